package queue

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// FuzzTable gives readers arbitrary bytes as index.meta: they may find nothing, or
// say that something is gone, but what they give is the series.
func FuzzTable(f *testing.F) {
	dir := f.TempDir()
	rolled(f, dir)
	path := filepath.Join(dir, tableName)
	seed, err := os.ReadFile(path)
	must(f, err)
	f.Add(seed, uint64(12), int64(1033))
	lies := bytes.Clone(seed)
	le.PutUint64(lies[tableNewest:], 1<<40)
	f.Add(lies, uint64(51), int64(2000))
	lies = bytes.Clone(seed)
	le.PutUint64(lies[tableCount:], 1<<40)
	f.Add(lies, uint64(0), int64(0))
	f.Add([]byte(tableMagic), uint64(1), int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, from uint64, since int64) {
		must(t, os.WriteFile(path, b, 0o644))
		table, _, err := ReadTable(dir)
		must(t, err)
		if len(table.Segments)*tableEntry > len(b) {
			t.Fatalf("%d segments out of %d bytes", len(table.Segments), len(b))
		}
		opened := func(tailer *Tailer, err error) {
			if errors.Is(err, ErrGone) || errors.Is(err, fs.ErrNotExist) {
				return // it was told of segments that are not there
			}
			must(t, err)
			defer tailer.Close()
			for n := 0; n < 60; n++ {
				r, ok, err := tailer.Next()
				if !ok {
					if err != nil && !errors.Is(err, ErrGone) {
						t.Fatal(err)
					}
					tailer.something()
					break
				}
				wantSeries(t, []Record{r}, int(r.Seq-1), int(r.Seq))
			}
		}
		opened(OpenTailer(dir, from))
		opened(OpenTailerLive(dir, TailerOptions{}))
		opened(OpenTailerTime(dir, ByTime, since, TailerOptions{}))
		opened(OpenTailerTime(dir, ByEventTime, since, TailerOptions{}))
		if _, _, err := Bounds(dir); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzConsumer takes arbitrary bytes for a consumer's file: its position is never
// above either of the two in it, and where there is none, nothing is removed.
func FuzzConsumer(f *testing.F) {
	dir := f.TempDir()
	rolled(f, dir)
	path := consumerPath(dir, "fuzz")
	c := register(f, dir, "fuzz")
	must(f, c.Close())
	good := newConsumerFile()
	f.Add(good)
	f.Add(good[:consumerHead])
	f.Add(good[:consumerHead-1])
	putPosition(good, 1<<60)
	f.Add(good)
	f.Add([]byte(consumerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, os.WriteFile(path, b, 0o644))
		infos, err := Consumers(dir)
		if _, e := Retain(dir, Retention{MaxBytes: 1 << 40}); (e == nil) != (err == nil) {
			t.Fatalf("consumers: %v, retain: %v", err, e)
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if next := infos[0].Next; next == 0 || next > max(1, le.Uint64(b[consumerNext:])) || next > max(1, ^le.Uint64(b[consumerCheck:])) {
			t.Fatalf("position %d", next)
		}
		held, err := RegisterConsumer(dir, "fuzz")
		if err != nil {
			if len(b) >= consumerSize || !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		defer held.Close()
		if held.Next() != infos[0].Next {
			t.Fatalf("position %d, listed as %d", held.Next(), infos[0].Next)
		}
	})
}

// FuzzSegments opens a queue of two segments whose bytes, headers and all, are
// arbitrary: it opens or says why not, and what it appends is read back. A group makes
// the same of it.
func FuzzSegments(f *testing.F) {
	sealed := fuzzSegment(f)
	w := open(f, f.TempDir(), Options{})
	add(f, w, 0, 25)
	live, err := os.ReadFile(segmentPath(w.dir, 1))
	must(f, err)
	f.Add(sealed, live)
	f.Add(live, sealed)
	f.Add(live[:headerPage+100], []byte{})
	f.Add(make([]byte, 2*headerPage), live)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir, err := os.MkdirTemp(fastDir(t), "q")
		must(t, err)
		must(t, os.WriteFile(segmentPath(dir, 1), first, 0o644))
		must(t, os.WriteFile(segmentPath(dir, 26), second, 0o644))
		must(t, copyDir(dir, dir+"-group"))
		next := groupOpens(t, dir+"-group")
		w, err := OpenWriter(dir, Options{NoSync: true})
		if err == nil && w.NextSeq() != next || err != nil && next != 0 {
			t.Fatalf("a writer opens it with %v, a group goes on with %d", err, next)
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		defer w.Close()
		had := w.NextSeq() - 1
		seq, err := w.Append(Record{Body: []byte("new")})
		must(t, err)
		if seq != had+1 {
			t.Fatalf("record %d after %d", seq, had)
		}
		if got := readAll(t, dir, seq); len(got) != 1 || string(got[0].Body) != "new" {
			t.Fatalf("read back %v", got)
		}
	})
}

// groupOpens gives the sequence that a group goes on with in the queue in dir, having
// sealed what it has, or 0 if it refuses.
func groupOpens(t *testing.T, dir string) uint64 {
	t.Helper()
	g := NewGroup(GroupOptions{NoSync: true})
	m, err := g.Open(dir, Options{ManualRoll: true})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		must(t, g.Close())
		return 0
	}
	next := m.NextSeq()
	_, err = m.Append(Record{Body: []byte("new")})
	must(t, errors.Join(err, m.Roll(), g.Sync(), g.Seal(), g.Wait(), g.Close()))
	files, err := ListSegments(dir)
	must(t, err)
	for _, f := range files {
		if !f.Sealed {
			t.Fatalf("%s is not sealed", f.Path)
		}
	}
	if got := readAll(t, dir, next); len(got) != 1 || string(got[0].Body) != "new" {
		t.Fatalf("read back %v", got)
	}
	return next
}
