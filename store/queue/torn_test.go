package queue

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tornQueue makes a queue whose live segment holds n samples, closes it, and
// gives the segment's bytes and the offsets of its records' ends.
func tornQueue(t *testing.T, n int) (b []byte, ends []int) {
	t.Helper()
	dir := fastDir(t)
	w := open(t, dir, Options{})
	for i := range n {
		add(t, w, i, i+1)
		ends = append(ends, w.active.pos)
	}
	must(t, w.Close())
	b, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	return b, ends
}

// queueOf puts segments into a new queue directory, by first sequence.
func queueOf(t *testing.T, segs map[uint64][]byte) string {
	t.Helper()
	dir := fastDir(t)
	for first, b := range segs {
		must(t, os.WriteFile(filepath.Join(dir, SegmentName(first)), b, 0o644))
	}
	return dir
}

// TestTornTail loses the last record's bytes from each offset on, as when its
// page did not reach the disk, and damages each byte of it, in turn. The records
// before it must stay, the torn one go, and the queue be writable.
func TestTornTail(t *testing.T) {
	const n = 20
	whole, ends := tornQueue(t, n)
	from, to := ends[n-2], ends[n-1]
	bodyEnd := from + recordHeader + len(sample(n-1).Body)
	for at := from; at < to; at++ {
		lost := bytes.Clone(whole)
		clear(lost[at:to])
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x55
		for name, b := range map[string][]byte{"lost": lost, "damaged": damaged} {
			want := n - 1
			if at >= bodyEnd || bytes.Equal(b[:bodyEnd], whole[:bodyEnd]) {
				want = n // only padding was hit, or zeros became zeros
			}
			checkTorn(t, name, queueOf(t, map[uint64][]byte{1: b}), at, want)
		}
	}
}

func checkTorn(t *testing.T, name, dir string, at, want int) {
	t.Helper()
	w := open(t, dir, Options{})
	if got := int(w.NextSeq() - 1); got != want {
		t.Fatalf("%s at %d: %d records, want %d", name, at, got, want)
	}
	add(t, w, want, want+3)
	wantSeries(t, readAll(t, dir, 0), 0, want+3)
	must(t, w.Roll())
	verifyAll(t, dir)
	must(t, w.Close())
}

// TestCutKeepsWhatLooksLikeRecords damages a record in the middle: what follows
// is cut, counted and kept aside, and never taken for records again.
func TestCutKeepsWhatLooksLikeRecords(t *testing.T) {
	whole, ends := tornQueue(t, 500)
	b := bytes.Clone(whole)
	b[ends[99]+recordHeader] ^= 1 // the body of record 101
	dir := queueOf(t, map[uint64][]byte{1: b})
	tailer := tail(t, dir, 0)
	for i := range 100 {
		wantSeries(t, []Record{await(t, tailer)}, i, i+1)
	}
	if _, _, err := tailer.Next(); !strings.Contains(err.Error(), "record 101") {
		t.Errorf("reading the damaged record: %v", err)
	}
	w := open(t, dir, Options{})
	r := w.Recovery()
	if r.LostRecords != 399 || r.CutOffset != int64(ends[99]) || r.CutCause == "" || r.LastSeq != 100 || r.CutBytes > int64(ends[499]-ends[99]) {
		t.Errorf("recovery %+v: want 399 records lost after offset %d", r, ends[99])
	}
	saved, err := os.ReadFile(r.SavedTo[0])
	must(t, err)
	if !bytes.Equal(saved, b[ends[99]:ends[499]]) {
		t.Error("what was cut is not what was saved")
	}
	must(t, w.Close())
	now, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	if !isZero(now[ends[99]:]) {
		t.Error("bytes are left after the cut")
	}
	w = open(t, dir, Options{})
	if w.Recovery().LostRecords != 0 || w.Recovery().Cut != "" {
		t.Errorf("the second recovery cuts again: %+v", w.Recovery())
	}
	add(t, w, 100, 130)
	wantSeries(t, readAll(t, dir, 0), 0, 130)
}

// TestCutAtAPageBoundary cuts where the length word begins a page.
func TestCutAtAPageBoundary(t *testing.T) {
	dir := fastDir(t)
	w := open(t, dir, Options{})
	_, err := w.Append(Record{Body: make([]byte, 2*pageSize-headerPage-recordHeader)})
	must(t, err)
	if w.active.pos != 2*pageSize {
		t.Fatalf("the second record is at %d, not at a page", w.active.pos)
	}
	for range 300 {
		_, err := w.Append(Record{Body: body(1, 1000)})
		must(t, err)
	}
	w.active.mem[2*pageSize+9] ^= 1
	must(t, w.Close())
	w = open(t, dir, Options{})
	if r := w.Recovery(); r.LostRecords != 299 || w.NextSeq() != 2 {
		t.Fatalf("recovery %+v, next %d", r, w.NextSeq())
	}
	for range 400 {
		_, err := w.Append(Record{Body: body(2, 1500)})
		must(t, err)
	}
	must(t, w.Roll())
	verifyAll(t, dir)
}
