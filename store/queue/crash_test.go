package queue

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestLostPages is a crash of the machine: of a live segment some pages never
// reached the disk. What is read afterwards is the series up to the first record
// that lost something, and no more; what else there was is counted.
func TestLostPages(t *testing.T) {
	const n = 800
	whole, ends := tornQueue(t, n)
	used := ends[n-1]
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		lost := rapid.SliceOfNDistinct(rapid.IntRange(1, (used-1)/pageSize), 1, 4, rapid.ID).Draw(rt, "pages lost")
		for _, page := range lost {
			clear(b[page*pageSize : (page+1)*pageSize])
		}
		intact, before := 0, headerPage
		for ; intact < n && bytes.Equal(b[before:ends[intact]], whole[before:ends[intact]]); intact++ {
			before = ends[intact]
		}
		dir := queueOf(t, map[uint64][]byte{1: b})
		defer os.RemoveAll(dir)
		w := open(t, dir, Options{})
		r := w.Recovery()
		if w.NextSeq() != uint64(intact+1) || r.LostRecords > uint64(n-intact) || int64(before) != r.CutOffset && r.Cut != "" {
			rt.Fatalf("%d records, want %d; recovery %+v", w.NextSeq()-1, intact, r)
		}
		add(t, w, intact, intact+20)
		wantSeries(t, readAll(t, dir, 0), 0, intact+20)
		must(t, w.Close())
		verifyAll(t, dir)
	})
}

// TestSeeksWhileWriting seeks in the live segment while records, Keys among
// them, are appended and segments roll: what it lands on must fit the record's
// own definition, whatever was visible at that moment.
func TestSeeksWhileWriting(t *testing.T) {
	dir := fastDir(t)
	w := open(t, dir, Options{ManualRoll: true})
	add(t, w, 0, 1)
	const n = 40000
	done := make(chan error, 1)
	go func() {
		defer close(done)
		for i := 1; i < n; i++ {
			if _, err := w.Append(sample(i)); err != nil {
				done <- err
				return
			}
		}
	}()
	t.Cleanup(func() { // before the writer is closed
		for range done {
		}
	})
	s, err := OpenSegment(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	defer s.Close()
	for running := true; running; {
		select {
		case err := <-done:
			must(t, err)
			running = false
		default:
		}
		must(t, s.Refresh())
		checkSeeks(t, s)
	}
	if last := s.Info().LastSeq; last != n {
		t.Errorf("the last refresh sees %d records, want %d", last, n)
	}
}

// checkSeeks seeks around the middle of what s has. Record i of the series has
// the time 1000+i, the sequence i+1, and is a Key if i ends in 9.
func checkSeeks(t *testing.T, s *Segment) {
	t.Helper()
	c := s.Cursor()
	last := int64(s.Info().LastSeq)
	for _, i := range []int64{last - 1, last / 2, last / 3} {
		must(t, c.SeekTime(ByTime, 1000+i))
		wantNext(t, c, i+1)
		must(t, c.SeekKey(ByEventTime, 900+i))
		wantNext(t, c, max((i+1)/10*10, 1))
		must(t, c.SeekSeq(uint64(i+1)))
		wantNext(t, c, i+1)
	}
	must(t, c.SeekTime(ByTime, math.MaxInt64))
	if r, err := c.Next(); err != io.EOF && (err != nil || int64(r.Seq) <= last) {
		t.Fatalf("after the end: record %d, error %v, want io.EOF or a new record", r.Seq, err)
	}
}

func wantNext(t *testing.T, c *Cursor, seq int64) {
	t.Helper()
	r, err := c.Next()
	must(t, err)
	if int64(r.Seq) != seq {
		t.Fatalf("at record %d, want %d", r.Seq, seq)
	}
}

// TestTableIsConsistentWhileWritten reads the table while segments come and go:
// entries are ascending, neighbours, and whole.
func TestTableIsConsistentWhileWritten(t *testing.T) {
	dir := fastDir(t)
	w := open(t, dir, Options{})
	done := make(chan error, 1)
	go func() {
		for i := range 300 {
			_, err := w.Append(sample(i))
			if err == nil {
				err = w.Roll()
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		table, _, err := ReadTable(dir)
		must(t, err)
		for i, e := range table.Segments {
			if live := i == len(table.Segments)-1 && e.LastSeq == 0; e.FirstSeq != uint64(i+1) || !live && (e.LastSeq != e.FirstSeq || e.FirstTime != int64(1000+i)) {
				t.Fatalf("entry %d of %d is %+v", i, len(table.Segments), e)
			}
		}
		select {
		case err := <-done:
			must(t, err)
			if table, ok, err := ReadTable(dir); !ok || err != nil || len(table.Segments) != 300 {
				t.Fatalf("at the end %d segments, table there: %v, error %v", len(table.Segments), ok, err)
			}
			return
		default:
		}
	}
}
