package queue

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
)

// crashed opens the queue at root/q as it may be after a power failure now, in many
// outcomes.
func crashed(t *testing.T, fs *faultfs.FS, n int, check func(dir string)) {
	t.Helper()
	images := fastDir(t)
	for seed := range n {
		mode := faultfs.Mode{Ordered: seed%2 == 0, Sectors: seed%3 == 0}
		image := filepath.Join(images, fmt.Sprint(seed))
		must(t, fs.Crash(image, rand.New(rand.NewPCG(uint64(seed), 9)), mode))
		check(filepath.Join(image, "q"))
		must(t, os.RemoveAll(image))
	}
}

// watched gives a directory that loses power, and a queue in it.
func watched(t *testing.T, o Options) (*faultfs.FS, *Writer) {
	t.Helper()
	root := fastDir(t)
	fs := faultfs.New(t, root)
	w, err := OpenWriter(filepath.Join(root, "q"), o)
	must(t, err)
	t.Cleanup(func() { w.Close() })
	return fs, w
}

// lastAfter gives the last record of the queue in dir as the next writer sees it,
// having checked that it is the series.
func lastAfter(t *testing.T, dir string) int {
	t.Helper()
	w := open(t, dir, Options{})
	last := int(w.NextSeq() - 1)
	must(t, w.Close())
	got := readAll(t, dir, 0)
	wantSeries(t, got, 0, len(got))
	return last
}

// TestSyncIsSync: what Sync, and Roll without a helper, have returned for is there,
// after any power failure, the queue's own directory and all.
func TestSyncIsSync(t *testing.T) {
	for name, end := range map[string]func(*Writer) error{"sync": (*Writer).Sync, "roll": (*Writer).Roll, "close": (*Writer).Close} {
		t.Run(name, func(t *testing.T) {
			fs, w := watched(t, Options{})
			add(t, w, 0, 300)
			must(t, end(w))
			crashed(t, fs, 30, func(dir string) {
				if last := lastAfter(t, dir); last != 300 {
					t.Fatalf("%d records, want 300", last)
				}
			})
		})
	}
}

// TestSyncAfterFailedSync: a sync that fails has the kernel take for clean what it
// has not written. One that goes well later must write it all the same.
func TestSyncAfterFailedSync(t *testing.T) {
	for name, do := range map[string]func(*Writer) error{"sync": (*Writer).Sync, "roll": (*Writer).Roll} {
		for skip := range 7 {
			t.Run(fmt.Sprint(name, skip), func(t *testing.T) {
				fs, w := watched(t, Options{ManualRoll: true})
				add(t, w, 0, 400)
				bad := fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSync, durable.OpSyncRange, durable.OpSyncDir}, Skip: skip})
				if err := do(w); (err != nil) != (bad.Hits() > 0) || err != nil && !errors.Is(err, syscall.EIO) {
					t.Fatalf("%s: %v with %d syncs failed", name, err, bad.Hits())
				}
				bad.Stop()
				must(t, do(w))
				crashed(t, fs, 10, func(dir string) {
					if sealed, _ := isSealed(filepath.Join(dir, SegmentName(1))); name == "roll" && !sealed {
						t.Fatal("the segment is not sealed on disk")
					}
					if last := lastAfter(t, dir); last != 400 {
						t.Fatalf("%d records, want 400", last)
					}
					if name == "roll" { // moved to the archive, it is remembered by index.meta alone
						must(t, os.Remove(filepath.Join(dir, SegmentName(1))))
						if last := lastAfter(t, dir); last != 400 {
							t.Fatalf("the numbering goes on after %d, want 400", last)
						}
					}
				})
			})
		}
	}
}

// TestSealedFileIsLeftAlone: once the trailer may be there, a seal that is tried
// again changes nothing, for somebody may be moving the segment away already.
func TestSealedFileIsLeftAlone(t *testing.T) {
	for _, moved := range []bool{false, true} {
		fs, w := watched(t, Options{ManualRoll: true})
		path := filepath.Join(w.dir, SegmentName(1))
		add(t, w, 0, 400)
		bad := fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSync}, Name: SegmentName(1), Skip: 1, Times: -1})
		if err := w.Roll(); !errors.Is(err, syscall.EIO) || bad.Hits() != 1 {
			t.Fatalf("roll: %v, %d hits", err, bad.Hits())
		}
		sealed, err := os.ReadFile(path)
		must(t, err)
		if ok, _ := isSealed(path); !ok {
			t.Fatal("the trailer is not there")
		}
		if moved {
			must(t, os.Rename(path, path+".moved"))
			path += ".moved"
		}
		shorter := false
		fs.Watch(func(durable.Op) {
			info, err := os.Stat(path)
			shorter = shorter || err != nil || info.Size() != int64(len(sealed))
		})
		bad.Stop()
		must(t, w.Roll())
		fs.Watch(nil)
		if b, err := os.ReadFile(path); err != nil || shorter || !bytes.Equal(b, sealed) {
			t.Errorf("moved %v: the sealed segment was changed (meanwhile: %v)", moved, shorter)
		}
		add(t, w, 400, 401)
		must(t, w.Close())
	}
}

// TestCutIsDurable: recovery cuts old records off behind a page that was lost. New
// ones of the same sizes take their places, and the power fails again: the old ones
// must not stand behind the new.
func TestCutIsDurable(t *testing.T) {
	const perPage = pageSize / 64
	record := func(life, i int) Record { return Record{Time: int64(i), Tag: uint32(life), Body: body(i, 24)} }
	dir := fastDir(t)
	w := open(t, dir, Options{})
	for i := range 4 * perPage {
		_, err := w.Append(record(1, i))
		must(t, err)
	}
	must(t, w.Close())
	b, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	clear(b[headerPage+pageSize : headerPage+2*pageSize]) // the second page of records was lost

	root := fastDir(t)
	must(t, os.Mkdir(filepath.Join(root, "q"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "q", SegmentName(1)), b, 0o644))
	fs := faultfs.New(t, root)
	w, err = OpenWriter(filepath.Join(root, "q"), Options{})
	must(t, err)
	if r := w.Recovery(); r.LostRecords != 2*perPage || w.NextSeq() != perPage+1 {
		t.Fatalf("recovery %+v", r)
	}
	for i := range 2 * perPage {
		_, err := w.Append(record(2, i))
		must(t, err)
	}
	crashed(t, fs, 60, func(dir string) {
		next := open(t, dir, Options{})
		must(t, next.Close())
		for i, r := range readAll(t, dir, 0) {
			if want := uint32(1 + min(i/perPage, 1)); r.Tag != want {
				t.Fatalf("record %d is of life %d, want %d", r.Seq, r.Tag, want)
			}
		}
	})
	must(t, w.Close())
}

// TestRunAheadOfTheSealing: the helper cannot seal, and the writer goes on. However
// many segments wait then, a power failure leaves the series from its beginning.
func TestRunAheadOfTheSealing(t *testing.T) {
	fs, w := watched(t, Options{SegmentBytes: minSegmentBytes, Precreate: true})
	bad := fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpTruncate}, Times: -1})
	add(t, w, 0, 500)
	if files, _ := segmentFiles(w.dir); len(files) < 4 {
		t.Fatalf("%d segments", len(files))
	}
	aside := 0
	crashed(t, fs, 60, func(dir string) {
		if !exists(dir) {
			return
		}
		next := open(t, dir, Options{})
		aside += len(next.Recovery().SetAside)
		must(t, next.Close())
		got := readAll(t, dir, 0)
		wantSeries(t, got, 0, len(got))
	})
	if aside == 0 {
		t.Error("in no outcome a segment was set aside: the test does not do what it says")
	}
	bad.Stop()
	must(t, w.Sync())
	crashed(t, fs, 10, func(dir string) {
		if last := lastAfter(t, dir); last != 500 {
			t.Fatalf("%d records, want 500", last)
		}
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestSyncAfterKill: the process that made the queue is killed before it has synced
// anything. What the next one syncs is there, the queue's directory and all.
func TestSyncAfterKill(t *testing.T) {
	for _, ended := range []bool{false, true} {
		fs, w := watched(t, Options{})
		add(t, w, 0, 10)
		if ended {
			w.active.end()
		}
		w.closed = true
		must(t, w.release())
		next, err := OpenWriter(w.dir, Options{})
		must(t, err)
		add(t, next, 10, 20)
		must(t, next.Sync())
		crashed(t, fs, 30, func(dir string) {
			if last := lastAfter(t, dir); last != 20 {
				t.Fatalf("%d records, want 20", last)
			}
		})
		must(t, next.Close())
	}
}

// TestSyncOfACutSegment: the cut of a seal is done, but reported as failed. The syncs
// after it must not touch what the file no longer has.
func TestSyncOfACutSegment(t *testing.T) {
	fs, w := watched(t, Options{ManualRoll: true})
	add(t, w, 0, 200)
	fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpTruncate}, Applied: true, Times: 3})
	fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSyncRange}})
	if err := w.Roll(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("roll: %v, want EIO", err)
	}
	for range 2 {
		if err := w.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync: %v, want EIO", err)
		}
	}
	must(t, w.Sync())
	crashed(t, fs, 10, func(dir string) {
		if last := lastAfter(t, dir); last != 200 {
			t.Fatalf("%d records, want 200", last)
		}
	})
}

// TestRebuiltHeaderIsDurable: a part of the header was lost, the rest is of a longer
// one. The power fails again while the new one is written: it must never be of both.
func TestRebuiltHeaderIsDurable(t *testing.T) {
	dir := fastDir(t)
	old := open(t, dir, Options{Meta: bytes.Repeat([]byte("m"), MaxMeta)})
	add(t, old, 0, 20)
	must(t, old.Close())
	b, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	clear(b[:sector])
	root := fastDir(t)
	must(t, os.Mkdir(filepath.Join(root, "q"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "q", SegmentName(1)), b, 0o644))
	fs := faultfs.New(t, root)
	check := func() {
		crashed(t, fs, 60, func(dir string) {
			if last := lastAfter(t, dir); last != 20 {
				t.Fatalf("%d records, want 20", last)
			}
		})
	}
	fs.Watch(func(op durable.Op) {
		if op.Kind == durable.OpSyncRange {
			check()
		}
	})
	w, err := OpenWriter(filepath.Join(root, "q"), Options{Meta: []byte("short")})
	must(t, err)
	fs.Watch(nil)
	if !w.Recovery().HeaderRebuilt {
		t.Errorf("recovery %+v", w.Recovery())
	}
	check()
	must(t, w.Close())
}
