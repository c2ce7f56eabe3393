package query

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"chronicle/market"
)

var l2Def = market.Definition{Native: "BTCUSDT", BookType: market.L2, PriceExponent: -2, SizeExponent: -3}

// TestBookAtEqualsReplay: over random flows, cuts, places and clocks, a book at T
// is what a replay of the whole stream from its start gives.
func TestBookAtEqualsReplay(t *testing.T) {
	base := tempDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir := mkdirTemp(base)
		defer os.RemoveAll(dir)
		r := newRoot(rt, dir)
		def := l2Def
		if rapid.Bool().Draw(rt, "l3") {
			def.BookType = market.L3
		}
		s := r.stream(bookID("sim", "abc"), def)
		f := newFlow(s, rapid.Uint64().Draw(rt, "seed"))
		f.run(rapid.IntRange(1, 150).Draw(rt, "records"), rapid.IntRange(2, 40).Draw(rt, "cut"))
		if rapid.Bool().Draw(rt, "sealed") {
			s.roll()
		}
		defer s.close()
		m := r.mover()
		for _, file := range s.sealed() {
			if rapid.Bool().Draw(rt, "move") {
				m.move(file, rapid.IntRange(stepIntent, stepDone).Draw(rt, "step"))
			}
		}
		m.close()
		a := r.open()
		defer a.Close()
		for range 20 {
			checkBookAt(rt, a, s, drawTime(rt, s), rapid.SampledFrom([]Clock{ClockRecv, ClockEvent}).Draw(rt, "clock"))
		}
	})
}

func mkdirTemp(base string) string {
	dir, err := os.MkdirTemp(base, "")
	if err != nil {
		panic(err)
	}
	return dir
}

// drawTime picks a time near one of the stream's records.
func drawTime(rt *rapid.T, s *stream) int64 {
	r := s.records[rapid.IntRange(0, len(s.records)-1).Draw(rt, "record")]
	at := r.time
	if r.event != noTime && rapid.Bool().Draw(rt, "by event") {
		at = r.event
	}
	return at + int64(rapid.IntRange(-3, 3).Draw(rt, "off"))
}

func checkBookAt(t tester, a *Archive, s *stream, at int64, clock Clock) {
	t.Helper()
	want, ok := naiveAt(s.def.BookType, s.records, clock, at)
	got, err := a.BookAt(context.Background(), BookRequest{Symbol: s.id.SymbolID.String(), At: at, Depth: MaxDepth, Clock: clock})
	if !ok {
		var e *Error
		if !errors.As(err, &e) || e.Code != NotFound || e.Field != "at" {
			t.Fatalf("%s %d is before the archive, got %v, %v", clock, at, got, err)
		}
		return
	}
	check(t, err)
	if bids := want.book.side(market.Bid, MaxDepth); !slices.Equal(got.Bids, bids) {
		t.Fatalf("%s %d: bids %v, want %v (proof %+v)", clock, at, got.Bids, bids, got.Proof)
	}
	if asks := want.book.side(market.Ask, MaxDepth); !slices.Equal(got.Asks, asks) {
		t.Fatalf("%s %d: asks %v, want %v", clock, at, got.Asks, asks)
	}
	if got.TsRecv != want.recv || got.TsEvent != want.event || got.Sequence != want.seq || got.Condition != condition(want.degraded) {
		t.Fatalf("%s %d: times %d %d sequence %d %s, want %+v", clock, at, got.TsRecv, got.TsEvent, got.Sequence, got.Condition, want)
	}
}

// TestBookAtFollowsLiveStream: what is committed before a request is in its answer,
// across rolls and moves, with one archive open all the time.
func TestBookAtFollowsLiveStream(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	a, m := r.open(), r.mover()
	defer a.Close()
	defer m.close()
	f := newFlow(s, 7)
	for i := range 60 {
		f.run(5, 1000)
		checkBookAt(t, a, s, f.now, ClockRecv)
		checkBookAt(t, a, s, f.now+1_000_000_000_000, ClockEvent)
		if i%5 == 4 {
			s.roll()
			checkBookAt(t, a, s, f.now-20, ClockRecv)
		}
		if i%12 == 11 {
			for _, file := range s.sealed() {
				m.move(file, stepDone)
				checkBookAt(t, a, s, f.now-50, ClockRecv)
			}
		}
	}
	s.close()
}
