package query

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/market"
)

// TestBatchesAreBounded: no batch is beyond the limits, and a long range comes in
// several of them.
func TestBatchesAreBounded(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(streamID{market.SymbolID{Venue: "sim", Symbol: "abc"}, market.StreamTrade}, l2Def)
	const n = 80_000
	for i := range int64(n) {
		s.trade(i+1, i+1, 100, 1)
	}
	s.close()
	a := r.open()
	defer a.Close()
	st, err := a.Range(context.Background(), RangeRequest{Schema: SchemaTrades, Symbols: []string{"abc"}})
	check(t, err)
	defer st.Release()
	batches := 0
	for st.Next() {
		batches++
		rec := st.RecordBatch()
		if size := recordBytes(rec); rec.NumRows() > maxBatchRows || size > maxBatchBytes*5/4 {
			t.Fatalf("batch of %d rows, %d bytes", rec.NumRows(), size)
		}
	}
	check(t, st.Err())
	if st.Stats().Rows != n || batches < 2 || st.Stats().Limited {
		t.Fatalf("%d batches, %+v", batches, st.Stats())
	}
}

// recordBytes counts the bytes of a batch that its rows take.
func recordBytes(rec arrow.RecordBatch) (n int64) {
	for _, f := range rec.Schema().Fields() {
		if t, ok := f.Type.(arrow.FixedWidthDataType); ok {
			n += int64(t.BitWidth()+7) / 8 * rec.NumRows()
		}
	}
	return n
}

// TestStreamReleasesEverything: memory and segments are given back, whether a
// stream was read to its end, broken off or failed.
func TestStreamReleasesEverything(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	newFlow(s, 4).run(200, 20)
	s.close()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	a, err := Open(context.Background(), Config{Root: r.dir, Memory: mem})
	check(t, err)
	for _, schema := range []string{SchemaMBO, "mbp-2", SchemaGap} {
		for _, req := range []RangeRequest{{}, {Limit: 3}, {OnGap: GapError}} {
			req.Schema, req.Symbols = schema, []string{"abc"}
			st, err := a.Range(context.Background(), req)
			check(t, err)
			for st.Next() {
			}
			st.Release()
		}
	}
	st, err := a.Range(context.Background(), RangeRequest{Schema: SchemaMBO, Symbols: []string{"abc"}})
	check(t, err)
	st.Release() // without having read
	for e := a.handles.order.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*cached); c.h.refs != 1 {
			t.Errorf("%s has %d owners besides the cache", c.key, c.h.refs-1)
		}
	}
	check(t, a.Close())
}

// TestCancelledRange: a range whose context ends says so, and is not taken for a
// whole answer.
func TestCancelledRange(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	newFlow(s, 4).run(50, 20)
	s.close()
	a := r.open()
	defer a.Close()
	ctx, cancel := context.WithCancel(context.Background())
	st, err := a.Range(ctx, RangeRequest{Schema: SchemaMBO, Symbols: []string{"abc"}})
	check(t, err)
	defer st.Release()
	cancel()
	if st.Next() || !errors.Is(st.Err(), context.Canceled) {
		t.Fatalf("a cancelled range ended with %v", st.Err())
	}
	if _, err := a.Range(ctx, RangeRequest{Schema: SchemaMBO, Symbols: []string{"abc"}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled request was answered with %v", err)
	}
	if _, err := a.BookAt(ctx, BookRequest{Symbol: "abc", At: 1 << 62, Depth: 1}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled request was answered with %v", err)
	}
}

// TestErrorInTheMiddle: an error after the first rows ends the stream with an
// error, never with an end.
func TestErrorInTheMiddle(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(streamID{market.SymbolID{Venue: "sim", Symbol: "abc"}, market.StreamTrade}, l2Def)
	for i := range int64(60_000) {
		s.trade(i+1, i+1, 100, 1)
	}
	s.append(record{time: 60_001, event: 60_001, kind: market.Kind(99)})
	s.close()
	a := r.open()
	defer a.Close()
	st, err := a.Range(context.Background(), RangeRequest{Schema: SchemaTrades, Symbols: []string{"abc"}})
	check(t, err)
	defer st.Release()
	if !st.Next() {
		t.Fatalf("no rows before the error: %v", st.Err())
	}
	for st.Next() {
	}
	wantError(t, st.Err(), DataLoss, "", "record 60001")
}

// gapped is a stream with a gap from 20 to 30, healed at 50.
func gapped(t *testing.T) *Archive {
	t.Helper()
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	bid := market.Entry{Side: market.Bid, Price: 100, Size: 1, Action: market.Add}
	s.event(market.KindSnapshot, 10, 10, bid)
	s.event(market.KindBook, 20, 20, bid)
	s.gap(30)
	s.event(market.KindBook, 40, 40, bid)
	s.event(market.KindSnapshot, 50, 50, bid)
	s.close()
	a := r.open()
	t.Cleanup(func() { a.Close() })
	return a
}

// TestOnGapOfBook: a book that may be wrong is marked, withheld or refused.
func TestOnGapOfBook(t *testing.T) {
	a := gapped(t)
	for at, degraded := range map[int64]bool{20: false, 29: true, 30: true, 40: true, 49: true, 50: false} {
		for _, on := range []OnGap{GapMark, GapNull, GapError} {
			ans, err := a.BookAt(context.Background(), BookRequest{Symbol: "abc", At: at, Depth: 1, OnGap: on})
			if degraded && on == GapError {
				wantError(t, err, DataLoss, "on_gap", "records are missing")
				continue
			}
			check(t, err)
			if (ans.Condition == ConditionDegraded) != degraded || (len(ans.Bids) == 0) != (degraded && on == GapNull) {
				t.Errorf("at %d with %s: %s, bids %v", at, on, ans.Condition, ans.Bids)
			}
		}
	}
}

// TestGapNoticedLater: a book inside a gap is marked although the marker stands
// in a later segment, behind snapshots that are all that other segments hold.
func TestGapNoticedLater(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	s.event(market.KindBook, 10, 10)
	for range 2 {
		s.roll()
		s.inject(50, 50)
	}
	s.gap(60)
	s.close()
	a := r.open()
	defer a.Close()
	for at, want := range map[int64]string{10: ConditionAvailable, 11: ConditionDegraded, 50: ConditionDegraded, 60: ConditionDegraded} {
		ans, err := a.BookAt(context.Background(), BookRequest{Symbol: "abc", At: at, Depth: 1})
		check(t, err)
		if ans.Condition != want {
			t.Errorf("at %d: %s, want %s", at, ans.Condition, want)
		}
	}
}

// TestOnGapOfRange: likewise for the rows of ranges.
func TestOnGapOfRange(t *testing.T) {
	a := gapped(t)
	req := RangeRequest{Schema: "mbp-1", Symbols: []string{"abc"}, PriceType: PriceFixed, OnGap: GapNull}
	rows := collect(t, a, req)
	if len(rows) != 4 || !strings.HasSuffix(rows[2], " - - - - - -") || strings.HasSuffix(rows[1], " - - - - - -") {
		t.Errorf("on_gap=null gave %q", rows)
	}
	req.OnGap = GapError
	for _, schema := range []string{"mbp-1", SchemaMBO} {
		for r, fails := range map[[2]int64]bool{{10, 20}: false, {10, 21}: true, {25, 26}: true, {31, 45}: true, {50, 60}: false} {
			req.Schema, req.Start, req.End = schema, r[0], r[1]
			if _, err := tryCollect(a, req); (err != nil) != fails {
				t.Errorf("%s %v with on_gap=error: %v", schema, r, err)
			} else if fails {
				wantError(t, err, DataLoss, "on_gap", "missing")
			}
		}
	}
}

// TestGapSchema: a gap is listed by every range that its interval touches.
func TestGapSchema(t *testing.T) {
	a := gapped(t)
	for r, n := range map[[2]int64]int{{0, 0}: 1, {10, 20}: 0, {10, 21}: 1, {25, 26}: 1, {30, 31}: 1, {31, 99}: 0} {
		rows := collect(t, a, RangeRequest{Schema: SchemaGap, Symbols: []string{"abc"}, Start: r[0], End: r[1]})
		if len(rows) != n {
			t.Errorf("range %v lists %q", r, rows)
		}
	}
}

// TestRangeProof: a stream's metadata names its segments, clock and price type.
func TestRangeProof(t *testing.T) {
	a := gapped(t)
	st, err := a.Range(context.Background(), RangeRequest{Schema: "mbp-2", Symbols: []string{"ABC", "sim:abc"}, Clock: ClockEvent})
	check(t, err)
	defer st.Release()
	meta := st.Schema().Metadata().ToMap()
	var p RangeProof
	check(t, json.Unmarshal([]byte(meta[MetaProof]), &p))
	if len(p.Symbols) != 1 || p.Symbols[0].Symbol != "sim:abc" || p.Symbols[0].Count != 1 || p.Symbols[0].Segments[0].FirstSeq != 1 {
		t.Errorf("proof %+v", p)
	}
	if meta[MetaClock] != "event" || meta[MetaSchema] != "mbp-2" || meta[MetaPriceType] != "float" {
		t.Errorf("metadata %v", meta)
	}
	plain, err := a.RangeSchema(context.Background(), RangeRequest{Schema: "mbp-2", Symbols: []string{"abc"}, Clock: ClockEvent})
	check(t, err)
	if !slices.EqualFunc(plain.Fields(), st.Schema().Fields(), arrow.Field.Equal) {
		t.Errorf("RangeSchema gives %v, the stream has %v", plain, st.Schema())
	}
}
