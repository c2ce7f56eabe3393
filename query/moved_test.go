package query

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"chronicle/market"
)

// TestReaderSurvivesMoves: segments that are moved while a range is being read,
// one by one and just before the reader comes to them, are read once each.
func TestReaderSurvivesMoves(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	newFlow(s, 3).run(300, 20)
	defer s.close()
	a, m := r.open(), r.mover()
	defer a.Close()
	defer m.close()
	a.handles.limit = 1 // what was opened for the listing must not hide a move
	ctx := context.Background()
	rd, err := a.newReader(ctx, s.id, window{clock: ClockRecv, end: 1 << 62})
	check(t, err)
	defer rd.close()
	left := s.sealed()
	if len(left) < 5 {
		t.Fatalf("only %d segments", len(left))
	}
	for want := uint64(1); ; want++ {
		rec, err := rd.next(ctx)
		if errors.Is(err, io.EOF) {
			if want != s.w.NextSeq() {
				t.Fatalf("ended before record %d, %d were written", want, s.w.NextSeq()-1)
			}
			break
		}
		check(t, err)
		if rec.Seq != want {
			t.Fatalf("record %d where %d should be", rec.Seq, want)
		}
		if len(left) > 1 && rec.Seq >= left[0].FirstSeq {
			m.move(left[1], stepDone) // the next segment goes away before it is opened
			left = left[1:]
		}
	}
}

// TestQueriesDuringMoves: books and ranges are right while a mover moves
// everything away and a writer writes on.
func TestQueriesDuringMoves(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	f := newFlow(s, 11)
	f.run(400, 15)
	past, first, last := s.records[len(s.records)-1].seq, s.records[0].time, f.now
	before := slices.Clone(s.records)
	a := r.open()
	defer a.Close()
	var wg sync.WaitGroup
	wg.Go(func() { moveAndWrite(r, s, f) })
	then := &stream{id: s.id, def: s.def, records: before}
	for i := range 60 {
		at := first + (last-first)*int64(i)/60
		checkBookAt(t, a, then, at, ClockRecv)
		n := countRecords(t, a, s.id)
		if n < past {
			t.Fatalf("%d records read of %d", n, past)
		}
	}
	wg.Wait()
	s.close()
}

func moveAndWrite(r *root, s *stream, f *flow) {
	m := r.mover()
	defer m.close()
	for _, file := range s.sealed() {
		m.move(file, stepDone)
		f.now += 1000
		f.run(3, 5)
	}
}

// countRecords reads a whole stream and gives the last sequence.
func countRecords(t *testing.T, a *Archive, id streamID) uint64 {
	t.Helper()
	ctx := context.Background()
	rd, err := a.newReader(ctx, id, window{clock: ClockRecv, end: 1 << 62})
	check(t, err)
	defer rd.close()
	for {
		if _, err := rd.next(ctx); errors.Is(err, io.EOF) {
			return rd.last
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestMissingSegment: a segment that is nowhere is an error for the answers that
// need it, and for no others.
func TestMissingSegment(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	for i := range int64(5) {
		for j := range int64(10) {
			now := 1000*(i+1) + j
			s.event(market.KindBook, now, now, market.Entry{Side: market.Bid, Price: 100 + j, Size: now, Action: market.Modify})
		}
		s.roll()
	}
	s.close()
	files := s.sealed()
	check(t, os.Remove(files[2].Path))
	a := r.open()
	defer a.Close()
	for _, at := range []int64{1000, 2005, 4000, 5009, 99999} {
		checkBookAt(t, a, s, at, ClockRecv)
	}
	for _, at := range []int64{2009, 3000, 3009, 3999} {
		_, err := a.BookAt(context.Background(), BookRequest{Symbol: "sim:abc", At: at, Depth: 1})
		wantError(t, err, DataLoss, "", "missing between")
	}
	checkRange(t, a, RangeRequest{Schema: "mbp-3", Symbols: []string{"sim:abc"}, Start: 1, End: 2009, Clock: ClockRecv, PriceType: PriceFixed}, []*stream{s})
	checkRange(t, a, RangeRequest{Schema: "mbp-3", Symbols: []string{"sim:abc"}, Start: 4001, End: 9999, Clock: ClockRecv, PriceType: PriceFixed}, []*stream{s})
	_, err := a.Range(context.Background(), RangeRequest{Schema: SchemaMBO, Symbols: []string{"sim:abc"}, Start: 2005, End: 4001})
	wantError(t, err, DataLoss, "", "missing between")
}

// TestMissingEnd: records that the queue once had and that are nowhere now are an
// error for the answers that they would be in.
func TestMissingEnd(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	for now := int64(10); now <= 30; now += 10 {
		s.event(market.KindBook, now, now, market.Entry{Side: market.Bid, Price: 100, Size: now, Action: market.Modify})
		s.roll()
	}
	s.close()
	check(t, os.Remove(s.sealed()[2].Path))
	a := r.open()
	defer a.Close()
	checkBookAt(t, a, s, 19, ClockRecv)
	_, err := a.BookAt(context.Background(), BookRequest{Symbol: "sim:abc", At: 20, Depth: 1})
	wantError(t, err, DataLoss, "", "records 5 to 6 are missing at the stream's end")
	rows, err := tryCollect(a, RangeRequest{Schema: SchemaMBO, Symbols: []string{"sim:abc"}, End: 20})
	if err != nil || len(rows) != 1 {
		t.Errorf("rows %q, %v", rows, err)
	}
	_, err = tryCollect(a, RangeRequest{Schema: SchemaMBO, Symbols: []string{"sim:abc"}, End: 21})
	wantError(t, err, DataLoss, "", "missing at the stream's end")
}

// TestMissingTier: a tier that is not there, or a segment that the manifest has
// and its tier has not, is Unavailable and names it.
func TestMissingTier(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	newFlow(s, 5).run(50, 10)
	s.roll()
	s.close()
	m := r.mover()
	for _, file := range s.sealed() {
		m.move(file, stepDone)
	}
	m.close()
	archive := filepath.Join(r.dir, "archive")
	check(t, os.Rename(archive, archive+".away"))
	a := r.open()
	defer a.Close()
	req := BookRequest{Symbol: "sim:abc", At: 1 << 62, Depth: 1}
	_, err := a.BookAt(context.Background(), req)
	wantError(t, err, Unavailable, "", "warm")
	check(t, os.Rename(archive+".away", archive))
	ans, err := a.BookAt(context.Background(), req)
	check(t, err)
	check(t, os.Remove(filepath.Join(archive, filepath.FromSlash(ans.Proof.Segments[0].Key))))
	b := r.open()
	defer b.Close()
	_, err = b.BookAt(context.Background(), req)
	wantError(t, err, Unavailable, "", ans.Proof.Segments[0].Key)
}
