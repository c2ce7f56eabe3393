package tape_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/tape"
)

// raw is a raw queue that a test writes.
type raw struct {
	*emit.Emitter
	w   *queue.Writer
	dir string
}

func newRaw(t testing.TB, opts queue.Options) *raw {
	t.Helper()
	opts.NoSync = true
	dir := filepath.Join(t.TempDir(), "raw_main.q")
	w, err := queue.OpenWriter(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &raw{emit.New(w, &emit.Counters{}, emit.Options{Venue: "sim", Repeat: true}), w, dir}
}

// trades appends trades from..to-1 of an instrument, each received at its own number.
func (r *raw) trades(id uint32, from, to int) {
	for i := from; i < to; i++ {
		r.Trade(id, int64(i), int64(i), &market.Trade{TradeID: uint64(i), Price: 5, Size: 7, Side: market.Bid})
	}
}

func open(t testing.TB, dir string, start tape.Start, opts tape.Options) *tape.Reader {
	t.Helper()
	r, err := tape.Open(dir, start, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// next gives the next message of a kind; nil at the end.
func next(t testing.TB, r *tape.Reader, kind market.Kind) *tape.Message {
	t.Helper()
	for {
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m == nil || m.Kind == kind {
			return m
		}
	}
}

// TestStarts: wherever the tape is joined, the first message is the right one and
// knows its instrument.
func TestStarts(t *testing.T) {
	q := newRaw(t, queue.Options{SegmentBytes: 16 << 10})
	a := q.Define(1, 1, market.Definition{Symbol: "a"})
	q.trades(a, 2, 500)
	b := q.Define(500, 1, market.Definition{Symbol: "b"})
	q.trades(b, 501, 1000)
	q.trades(a, 1000, 1500)
	middle := q.w.NextSeq()
	q.trades(b, 1500, 2000)
	for name, c := range map[string]struct {
		start  tape.Start
		id     uint64
		symbol string
	}{
		"oldest":             {tape.Oldest(), 2, "a"},
		"sequence":           {tape.Sequence(middle), 1500, "b"},
		"time":               {tape.Time(700), 700, "b"},
		"time of the oldest": {tape.Time(-5), 2, "a"},
	} {
		m := next(t, open(t, q.dir, c.start, tape.Options{}), market.KindTrade)
		if m == nil || m.Trade.TradeID != c.id || m.Instrument == nil || m.Instrument.Symbol != c.symbol {
			t.Errorf("%s: the first trade is %+v, want %d of %s", name, m, c.id, c.symbol)
		}
	}
	live, late := open(t, q.dir, tape.Live(), tape.Options{}), open(t, q.dir, tape.Time(2500), tape.Options{})
	if m := next(t, live, market.KindTrade); m != nil {
		t.Errorf("live: %+v was there before", m)
	}
	q.trades(a, 2499, 2502)
	if m := next(t, live, market.KindTrade); m == nil || m.Trade.TradeID != 2499 || m.Instrument.Symbol != "a" {
		t.Errorf("live: the first trade is %+v, want 2499 of a", m)
	}
	if m := next(t, late, market.KindTrade); m == nil || m.Trade.TradeID != 2500 {
		t.Errorf("a time to come: the first trade is %+v, want 2500", m)
	}
}

// TestWant: messages of other instruments are passed over, gaps and sessions are not.
func TestWant(t *testing.T) {
	q := newRaw(t, queue.Options{})
	a, b := q.Define(1, 1, market.Definition{Symbol: "a"}), q.Define(1, 1, market.Definition{Symbol: "b"})
	q.trades(a, 2, 10)
	q.trades(b, 10, 20)
	q.Gap(20, market.Gap{Channel: "c", Cause: market.GapSequence})
	r := open(t, q.dir, tape.Oldest(), tape.Options{Want: func(d *market.Definition) bool { return d.Symbol == "b" }})
	var kinds []market.Kind
	var def *market.Definition
	for {
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			break
		}
		kinds = append(kinds, m.Kind)
		if m.Kind == market.KindTrade {
			if m.Instrument.Symbol != "b" || def != nil && def != m.Instrument {
				t.Errorf("trade of %+v, after one of %p", m.Instrument, def)
			}
			def = m.Instrument
		}
	}
	if len(kinds) != 1+1+10+1 || kinds[0] != market.KindSession || kinds[1] != market.KindDefinition || kinds[12] != market.KindGap {
		t.Errorf("messages are %v", kinds)
	}
}

// TestNewSourceNumbersAnew: a second source's ids have nothing to do with the first's.
func TestNewSourceNumbersAnew(t *testing.T) {
	q := newRaw(t, queue.Options{SegmentBytes: 16 << 10})
	q.trades(q.Define(1, 1, market.Definition{Symbol: "old"}), 2, 400)
	second := emit.New(q.w, &emit.Counters{}, emit.Options{Venue: "sim", Repeat: true})
	id := second.Define(400, 1, market.Definition{Symbol: "new"})
	middle := q.w.NextSeq()
	second.Trade(id, 401, 401, &market.Trade{TradeID: 401, Side: market.Bid})
	undefined := queue.Record{Kind: uint16(market.KindTrade), Tag: 9, Body: make([]byte, market.TradeSize)}
	(&market.Trade{Side: market.Bid}).Put(undefined.Body)
	if _, err := q.w.Append(undefined); err != nil {
		t.Fatal(err)
	}
	r := open(t, q.dir, tape.Sequence(middle), tape.Options{Want: func(d *market.Definition) bool { return true }})
	if m := next(t, r, market.KindTrade); m.Instrument == nil || m.Instrument.Symbol != "new" {
		t.Errorf("joined after the second source began, a trade is of %+v", m.Instrument)
	}
	if m := next(t, r, market.KindTrade); m == nil || m.Instrument != nil {
		t.Errorf("a trade of an instrument that was never defined is %+v", m)
	}
	all := open(t, q.dir, tape.Oldest(), tape.Options{})
	for range 398 {
		if m := next(t, all, market.KindTrade); m.Instrument.Symbol != "old" {
			t.Fatalf("a trade of the first source is of %+v", m.Instrument)
		}
	}
	if m := next(t, all, market.KindTrade); m.Instrument.Symbol != "new" {
		t.Errorf("read through, the second source's trade is of %+v", m.Instrument)
	}
}

// TestMessagesWaits: the iterator gives what comes while it waits, and ends with
// its context.
func TestMessagesWaits(t *testing.T) {
	q := newRaw(t, queue.Options{})
	a := q.Define(1, 1, market.Definition{Symbol: "a"})
	ctx, cancel := context.WithCancel(t.Context())
	r := open(t, q.dir, tape.Live(), tape.Options{})
	seen := make(chan uint64)
	go func() {
		defer close(seen)
		for m, err := range r.Messages(ctx) {
			if err != nil {
				t.Error(err)
				return
			}
			seen <- m.Trade.TradeID
		}
	}()
	for i := 2; i < 50; i++ {
		q.trades(a, i, i+1)
		if id := <-seen; id != uint64(i) {
			t.Fatalf("trade %d came, want %d", id, i)
		}
	}
	cancel()
	if id, more := <-seen; more {
		t.Errorf("trade %d after the end", id)
	}
}

// TestCorruptRecordIsToldAndPassed: a body that cannot be decoded is an error,
// and the records after it are still to be had.
func TestCorruptRecordIsToldAndPassed(t *testing.T) {
	q := newRaw(t, queue.Options{})
	a := q.Define(1, 1, market.Definition{Symbol: "a"})
	for _, kind := range []market.Kind{market.KindTrade, market.KindBook, market.KindGap, market.KindDefinition, 99} {
		if _, err := q.w.Append(queue.Record{Kind: uint16(kind), Tag: a, Body: []byte("nonsense")}); err != nil {
			t.Fatal(err)
		}
	}
	q.trades(a, 2, 3)
	r := open(t, q.dir, tape.Oldest(), tape.Options{})
	bad := 0
	for {
		m, err := r.Next()
		if errors.Is(err, market.ErrCorrupt) {
			bad++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind == market.KindTrade {
			break
		}
	}
	if bad != 5 {
		t.Errorf("%d records were called corrupt, want 5", bad)
	}
}

// TestOvertaken: a reader whose records retention has taken learns from where it
// can go on, and there the instruments are known.
func TestOvertaken(t *testing.T) {
	q := newRaw(t, queue.Options{SegmentBytes: 16 << 10})
	a := q.Define(1, 1, market.Definition{Symbol: "a"})
	q.trades(a, 2, 2000)
	r := open(t, q.dir, tape.Sequence(5), tape.Options{})
	files, err := queue.ListSegments(q.dir)
	if err != nil {
		t.Fatal(err)
	}
	keep := files[len(files)-2].FirstSeq
	if _, err := queue.RemoveOldest(q.dir, keep); err != nil {
		t.Fatal(err)
	}
	_, err = r.Next()
	oldest, ok := tape.Overtaken(err)
	if !ok || oldest != keep {
		t.Fatalf("error %v, want one that says %d", err, keep)
	}
	if m := next(t, open(t, q.dir, tape.Sequence(oldest), tape.Options{}), market.KindTrade); m.Instrument == nil || m.Instrument.Symbol != "a" {
		t.Errorf("the first trade after the loss is of %+v", m.Instrument)
	}
}

// TestNextDoesNotAllocate: nor does the follower, once its book has grown.
func TestNextDoesNotAllocate(t *testing.T) {
	q := newRaw(t, queue.Options{})
	a := q.Define(1, 1, market.Definition{Symbol: "a", BookType: market.L2})
	entries := []market.Entry{{Price: 5, Size: 1, Side: market.Bid, Action: market.Modify}, {Price: 6, Size: 1, Side: market.Ask, Action: market.Modify}}
	for i := range 5000 {
		q.Book(market.KindBook, a, int64(i), int64(i), &market.BookEvent{Entries: entries})
		q.trades(a, i, i+1)
	}
	f := tape.NewFollower(market.SymbolID{Venue: "sim", Symbol: "a"})
	r := open(t, q.dir, tape.Oldest(), tape.Options{Want: f.Wants})
	for range 10 {
		if m, err := r.Next(); err != nil || m == nil {
			t.Fatal(m, err)
		} else {
			f.Apply(m)
		}
	}
	if n := testing.AllocsPerRun(5000, func() {
		m, err := r.Next()
		if err != nil || m == nil {
			t.Fatal(m, err)
		}
		f.Apply(m)
	}); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, other := range []int{0, 9} {
		b.Run(fmt.Sprintf("others=%d", other), func(b *testing.B) {
			q := newRaw(b, queue.Options{SegmentBytes: 1 << 30})
			ids := []uint32{q.Define(1, 1, market.Definition{Symbol: "wanted"})}
			for i := range other {
				ids = append(ids, q.Define(1, 1, market.Definition{Symbol: fmt.Sprintf("other%d", i)}))
			}
			const n = 1 << 20
			for i := range n {
				q.trades(ids[i%len(ids)], i, i+1)
			}
			want := tape.Options{Want: func(d *market.Definition) bool { return d.Symbol == "wanted" }}
			r := open(b, q.dir, tape.Oldest(), want)
			b.ReportAllocs()
			for b.Loop() {
				m, err := r.Next()
				if err != nil {
					b.Fatal(err)
				}
				if m == nil {
					b.StopTimer()
					r = open(b, q.dir, tape.Oldest(), want)
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(other+1), "ns/record")
		})
	}
}
