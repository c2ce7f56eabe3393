package book

import (
	"math/rand/v2"
	"testing"

	"chronicle/market"
)

// flow is a day in small: entries near the best of a book that starts and ends
// empty, so that it can be played round and round.
type flow struct {
	rng     *rand.Rand
	entries []market.Entry
	resting []market.Entry // L3
	id      uint64
	mid     int64
}

func newFlow() *flow {
	return &flow{rng: rand.New(rand.NewPCG(1, 2)), mid: 1_000_000}
}

// price is near the best: half of all are within three ticks of it, a few far off.
func (f *flow) price(side market.Side) int64 {
	away := int64(f.rng.ExpFloat64()*4) + 1
	if f.rng.IntN(50) == 0 {
		away = 1 + f.rng.Int64N(1000)
	}
	if side == market.Bid {
		return f.mid - away
	}
	return f.mid + away
}

func (f *flow) side() market.Side {
	if f.rng.IntN(2) == 0 {
		return market.Bid
	}
	return market.Ask
}

func (f *flow) add() {
	f.id += 1 + f.rng.Uint64N(40) // other instruments' orders are numbered in between
	e := market.Entry{OrderID: f.id, Size: 100 + f.rng.Int64N(900), Side: f.side(), Action: market.Add}
	e.Price = f.price(e.Side)
	f.entries = append(f.entries, e)
	f.resting = append(f.resting, e)
}

// change cancels, reduces or replaces an order, mostly a recent one.
func (f *flow) change() {
	age := min(int(f.rng.ExpFloat64()*float64(len(f.resting))/4), len(f.resting)-1)
	i := len(f.resting) - 1 - age
	e := f.resting[i]
	switch f.rng.IntN(10) {
	case 0:
		e.Action, e.Price = market.Modify, f.price(e.Side)
		f.resting[i].Price = e.Price
	case 1, 2:
		e.Action, e.Size = market.Cancel, 1 // an execution of a part
	default:
		e.Action, e.Size = market.Cancel, market.UndefSize
		f.resting = append(f.resting[:i], f.resting[i+1:]...)
	}
	f.entries = append(f.entries, e)
}

// l3Flow gives n messages over a book of some resting orders.
func l3Flow(n, resting int) []market.Entry {
	f := newFlow()
	for len(f.entries) < n {
		if f.rng.IntN(1000) == 0 {
			f.mid += f.rng.Int64N(3) - 1
		}
		if len(f.resting) < resting || f.rng.IntN(len(f.resting)) < resting*45/100 {
			f.add()
		} else {
			f.change()
		}
	}
	for _, e := range f.resting {
		f.entries = append(f.entries, market.Entry{OrderID: e.OrderID, Size: market.UndefSize, Side: e.Side, Action: market.Cancel})
	}
	return f.entries
}

// l2Flow gives n level updates over a book of some levels a side: sizes set near
// the best, every fourth a removal.
func l2Flow(n, levels int) []market.Entry {
	f := newFlow()
	for i := range int64(levels) {
		f.entries = append(f.entries,
			market.Entry{Price: f.mid - 1 - i, Size: 1 + i, Side: market.Bid, Action: market.Add},
			market.Entry{Price: f.mid + 1 + i, Size: 1 + i, Side: market.Ask, Action: market.Add})
	}
	for len(f.entries) < n {
		e := market.Entry{Size: 1 + f.rng.Int64N(900), Count: 1, Side: f.side(), Action: market.Modify}
		e.Price = f.price(e.Side)
		if f.rng.IntN(4) == 0 {
			e.Size = 0
		}
		f.entries = append(f.entries, e)
	}
	return append(f.entries, market.Entry{Side: market.NoSide, Action: market.Clear})
}

// play gives one entry after the other, from the start again at the end.
func play(b *testing.B, entries []market.Entry, apply func(e []market.Entry)) {
	b.ReportAllocs()
	at := 0
	for b.Loop() {
		apply(entries[at : at+1])
		if at++; at == len(entries) {
			at = 0
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
}

func BenchmarkL3(b *testing.B) {
	entries := l3Flow(300_000, 5000)
	b.Run("book", func(b *testing.B) {
		bk, ev := New(market.L3), market.BookEvent{}
		play(b, entries, func(e []market.Entry) {
			ev.Entries = e
			if r := bk.Apply(&ev, market.KindBook); !r.OK() {
				b.Fatalf("%+v: %+v", e, r)
			}
		})
	})
	b.Run("map", func(b *testing.B) { // for comparison: the orders alone, without a book
		orders := map[uint64]market.Entry{}
		play(b, entries, func(e []market.Entry) {
			if e[0].Size == market.UndefSize {
				delete(orders, e[0].OrderID)
			} else {
				orders[e[0].OrderID] = e[0]
			}
		})
	})
}

func BenchmarkL2(b *testing.B) {
	entries := l2Flow(300_000, 1000)
	b.Run("book", func(b *testing.B) {
		bk, ev := New(market.L2), market.BookEvent{}
		play(b, entries, func(e []market.Entry) {
			ev.Entries = e
			if r := bk.Apply(&ev, market.KindBook); r.Invalid > 0 {
				b.Fatalf("%+v: %+v", e, r)
			}
		})
	})
	b.Run("map", func(b *testing.B) { // for comparison: sizes by price, in no order
		sides := map[market.Side]map[int64]int64{market.Bid: {}, market.Ask: {}, market.NoSide: {}}
		play(b, entries, func(e []market.Entry) {
			if e[0].Size == 0 {
				delete(sides[e[0].Side], e[0].Price)
			} else {
				sides[e[0].Side][e[0].Price] = e[0].Size
			}
		})
	})
}

// full gives a book as the flows leave it in the middle.
func full(bt market.BookType) *Book {
	entries := l2Flow(100_000, 1000)
	if bt == market.L3 {
		entries = l3Flow(100_000, 5000)
	}
	b := New(bt)
	b.Apply(&market.BookEvent{Entries: entries[:len(entries)/2]}, market.KindBook)
	return b
}

func BenchmarkSnapshot(b *testing.B) {
	for _, bt := range []market.BookType{market.L2, market.L3} {
		bk := full(bt)
		ev := market.BookEvent{Entries: bk.AppendSnapshot(nil)}
		perEntry := func(b *testing.B) {
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*len(ev.Entries)), "ns/entry")
		}
		b.Run("load/"+string(bt), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bk.Apply(&ev, market.KindSnapshot)
			}
			perEntry(b)
		})
		b.Run("append/"+string(bt), func(b *testing.B) {
			b.ReportAllocs()
			dst := bk.AppendSnapshot(nil)
			for b.Loop() {
				dst = bk.AppendSnapshot(dst[:0])
			}
			perEntry(b)
		})
		b.Run("digest/"+string(bt), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bk.Digest()
			}
			perEntry(b)
		})
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, bt := range []market.BookType{market.L2, market.L3} {
		entries := l2Flow(20_000, 300)
		if bt == market.L3 {
			entries = l3Flow(20_000, 500)
		}
		b, ev := New(bt), market.BookEvent{}
		var snapshot []market.Entry
		allocs := testing.AllocsPerRun(5, func() {
			for at := 0; at < len(entries); at += 10 {
				ev.Entries = entries[at:min(at+10, len(entries))]
				b.Apply(&ev, market.KindBook)
				if at%5000 == 0 {
					snapshot = b.AppendSnapshot(snapshot[:0])
					ev.Entries = snapshot
					b.Apply(&ev, market.KindSnapshot)
					b.Digest()
				}
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations in a run of %d entries, want 0", bt, allocs, len(entries))
		}
	}
}
