package queue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// budget is a reserver with only so many bytes to give.
type budget struct{ left int64 }

func (b *budget) reserve(f *os.File, from, to int64) error {
	if to-from > b.left {
		return asFull(unix.ENOSPC)
	}
	b.left -= to - from
	return reserveBlocks(f, from, to)
}

// fillUp appends the series from i on until the queue is full, and gives the
// next one to append.
func fillUp(t *testing.T, w *Writer, i int) int {
	t.Helper()
	for ; ; i++ {
		if _, err := w.Append(sample(i)); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatalf("append to a full queue: %v, want ErrFull", err)
			}
			return i
		}
	}
}

// TestFullQueueGoesOn runs out of space at many different points, in the middle
// of a segment, at a roll, in the live index: each time nothing is lost, nothing
// is doubled, and the queue goes on when there is space again.
func TestFullQueueGoesOn(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			dir := fastDir(t)
			b := &budget{left: 1 << 20}
			o.Precreate = false // its helper shares the budget
			o.reserve = b.reserve
			w := open(t, dir, o)
			i := 0
			for step := range int64(40) {
				b.left = step * 4096
				next := fillUp(t, w, i)
				if i = next; int(w.NextSeq()) != i+1 {
					t.Fatalf("next sequence %d after %d records", w.NextSeq(), i)
				}
				if _, err := w.Reserve(1 << 20); !errors.Is(err, ErrFull) {
					t.Fatalf("reserve in a full queue: %v, want ErrFull", err)
				}
				if step%8 == 7 {
					must(t, w.Roll()) // sealing needs no reservation: it gives space back
				}
			}
			b.left = 1 << 30
			add(t, w, i, i+100)
			wantSeries(t, readAll(t, dir, 0), 0, i+100)
			must(t, w.Close())
			verifyAll(t, dir)
		})
	}
}

// TestCommitAfterFull: a reservation survives a Commit that found no space for
// the index.
func TestCommitAfterFull(t *testing.T) {
	b := &budget{left: 1 << 30}
	w := open(t, t.TempDir(), Options{reserve: b.reserve})
	add(t, w, 0, 1)
	p, err := w.Reserve(5)
	must(t, err)
	copy(p, "hello")
	b.left = 0
	if _, err := w.Commit(Record{Flags: FlagKey}, 5); !errors.Is(err, ErrFull) {
		t.Fatalf("commit without space for the index: %v, want ErrFull", err)
	}
	b.left = 1 << 30
	if _, err := w.Commit(Record{Flags: FlagKey}, 5); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, w.dir, 2); len(got) != 1 || string(got[0].Body) != "hello" {
		t.Errorf("read %v", got)
	}
}

// smallFS mounts a file system of its own of so many bytes, or skips the test.
func smallFS(t *testing.T, sizeOption string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("chronicle-test", dir, "tmpfs", 0, sizeOption); err != nil {
		t.Skipf("a small tmpfs cannot be mounted here (%v): the test of a really full disk is left out", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestReallyFullDisk fills a tmpfs of 1 MiB: the writer must get ErrFull, where
// touching a page too many would be a SIGBUS, and go on after a file was removed.
func TestReallyFullDisk(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			root := smallFS(t, "size=1m")
			ballast := filepath.Join(root, "ballast")
			must(t, os.WriteFile(ballast, make([]byte, 200<<10), 0o644))
			dir := filepath.Join(root, "q")
			w := open(t, dir, o)
			i := fillUp(t, w, 0)
			i = fillUp(t, w, i)
			tailer := tail(t, dir, 0)
			for j := range i {
				wantSeries(t, []Record{await(t, tailer)}, j, j+1)
			}
			none(t, tailer)
			must(t, os.Remove(ballast))
			add(t, w, i, i+200)
			rollWhenFull(t, w)
			wantSeries(t, readAll(t, dir, 0), 0, i+200)
			must(t, w.Close())
			verifyAll(t, dir)
		})
	}
}

// rollWhenFull rolls and waits for the seal.
func rollWhenFull(t *testing.T, w *Writer) {
	t.Helper()
	must(t, w.Roll())
	must(t, w.Sync())
}

// TestSealWaitsForSpace ends a segment on a disk without space for its footer:
// it stays readable, and is sealed when there is space.
func TestSealWaitsForSpace(t *testing.T) {
	root := smallFS(t, "size=512k")
	must(t, os.WriteFile(filepath.Join(root, "ballast"), make([]byte, 100<<10), 0o644))
	dir := filepath.Join(root, "q")
	w := open(t, dir, Options{ManualRoll: true})
	i := fillUp(t, w, 0)
	for { // end exactly at the last reserved byte, so that the cut frees nothing
		n := w.active.limit - w.active.pos - recordHeader
		if n < 0 {
			break
		}
		_, err := w.Append(Record{Kind: 1, Body: body(1, min(n, 50000))})
		must(t, err)
	}
	fillRest(t, filepath.Join(root, "rest"))
	if err := w.Roll(); !errors.Is(err, ErrFull) {
		t.Fatalf("roll on a full disk: %v, want ErrFull", err)
	}
	if w.SegmentRecords() != 0 {
		t.Error("the segment has not ended")
	}
	if got := readAll(t, dir, 0); len(got) < i {
		t.Errorf("%d records can be read, want at least %d", len(got), i)
	}
	if err := w.Sync(); !errors.Is(err, ErrFull) {
		t.Errorf("sync: %v, want ErrFull: a segment is still not sealed", err)
	}
	must(t, os.Remove(filepath.Join(root, "ballast")))
	must(t, w.Roll())
	verifyAll(t, dir)
	if files, _ := ListSegments(dir); len(files) != 1 || !files[0].Sealed {
		t.Errorf("segments %v, want one, sealed", files)
	}
}

// fillRest writes a file until the disk is full.
func fillRest(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, pageSize))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestWritesZerosWhereFallocateCannot uses a file whose system has no fallocate.
func TestWritesZerosWhereFallocateCannot(t *testing.T) {
	o := Options{SegmentBytes: minSegmentBytes, reserve: func(f *os.File, from, to int64) error { return asFull(writeZeros(f, from, to)) }}
	dir := t.TempDir()
	w := open(t, dir, o)
	add(t, w, 0, 500)
	must(t, w.Close())
	w = open(t, dir, o)
	add(t, w, 500, 600)
	wantSeries(t, readAll(t, dir, 0), 0, 600)
}
