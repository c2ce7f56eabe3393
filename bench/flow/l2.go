package flow

import (
	"math"
	"math/rand/v2"

	"chronicle/market"
)

const (
	window    = 4096 // prices of an instrument that can hold a level, a power of two
	wander    = 200  // ticks that the middle moves away from where it began
	l2Tick    = 10_000_000
	l2Lot     = 1_000_000
	leastEach = 5  // levels of an event
	mostEach  = 50 // levels of an event
)

// L2 is flow by level: depth updates over books of some levels a side.
type L2 struct {
	rng      *rand.Rand
	pairs    []pair
	byWeight []uint32
	deep     int
	made     int
	hot      *pair
}

// pair is one instrument.
type pair struct {
	id       uint32
	start    int64 // the middle's first price, in ticks
	mid      int64
	seq      uint64
	occupied []bool // by price modulo window
}

// NewL2 makes a flow over some instruments with some levels on each side.
func NewL2(instruments, levels int, seed uint64) *L2 {
	f := &L2{rng: rand.New(rand.NewPCG(seed, 2)), pairs: make([]pair, instruments), byWeight: newTable(instruments, activity), deep: levels * 3 / 2}
	for i := range f.pairs {
		mid := 100_000 + f.rng.Int64N(1_000_000)
		f.pairs[i] = pair{id: uint32(i + 1), start: mid, mid: mid, seq: 1_000, occupied: make([]bool, window)}
	}
	f.hot = &f.pairs[0]
	return f
}

// Instruments implements Flow.
func (f *L2) Instruments() int { return len(f.pairs) }

// Opening implements Flow: a snapshot of each instrument.
func (f *L2) Opening() int { return len(f.pairs) }

// Definition implements Flow.
func (f *L2) Definition(id uint32) market.Definition {
	s := SymbolOf(id)
	return market.Definition{ID: id, Venue: Venue, Symbol: s, Native: s, BookType: market.L2, Chained: true,
		PriceExponent: market.DefaultPriceExponent, SizeExponent: market.DefaultSizeExponent, Channel: Channel}
}

// Next implements Flow.
func (f *L2) Next(ev *market.BookEvent) (uint32, market.Kind) {
	f.made++
	ev.Entries = ev.Entries[:0]
	if f.made <= len(f.pairs) {
		p := &f.pairs[f.made-1]
		f.snapshot(p, ev)
		return p.id, market.KindSnapshot
	}
	if f.rng.IntN(2) == 0 {
		f.hot = &f.pairs[f.byWeight[f.rng.IntN(len(f.byWeight))]]
	}
	f.update(f.hot, ev)
	return f.hot.id, market.KindBook
}

// snapshot fills two thirds of the prices around the middle, best first.
func (f *L2) snapshot(p *pair, ev *market.BookEvent) {
	*ev = market.BookEvent{Seq: p.seq, Flags: market.FlagLast | market.FlagSnapshot | market.FlagMBP, Entries: ev.Entries}
	for _, side := range []market.Side{market.Bid, market.Ask} {
		for away := int64(1); away <= int64(f.deep); away++ {
			if f.rng.IntN(3) > 0 {
				f.set(p, side, at(p, side, away), f.size(), ev)
				ev.Entries[len(ev.Entries)-1].Action = market.Add
			}
		}
	}
}

// at gives the price in ticks so far behind the middle.
func at(p *pair, side market.Side, away int64) int64 {
	if side == market.Bid {
		return p.mid - away
	}
	return p.mid + away
}

func (f *L2) size() int64 { return l2Lot * (1 + f.rng.Int64N(100_000)) }

// set gives a level a size, 0 for none.
func (f *L2) set(p *pair, side market.Side, price, size int64, ev *market.BookEvent) {
	p.occupied[price%window] = size > 0
	ev.Entries = append(ev.Entries, market.Entry{Price: price * l2Tick, Size: size, Side: side, Action: market.Modify})
}

// update makes one depth update: bids, then asks, most of them near the middle.
func (f *L2) update(p *pair, ev *market.BookEvent) {
	*ev = market.BookEvent{PrevSeq: p.seq, Flags: market.FlagLast | market.FlagMBP, Entries: ev.Entries}
	n := leastEach + int(float64(mostEach-leastEach)*math.Pow(f.rng.Float64(), 2))
	p.seq += uint64(n)
	ev.Seq = p.seq
	f.move(p, ev)
	bids := n / 2
	for i := range n {
		side := market.Bid
		if i >= bids {
			side = market.Ask
		}
		away := 1 + int64(f.rng.ExpFloat64()*10)
		if f.rng.IntN(3) == 0 {
			away = 1 + f.rng.Int64N(int64(f.deep))
		}
		price := at(p, side, min(away, int64(f.deep)))
		size := f.size()
		if p.occupied[price%window] && f.rng.IntN(3) == 0 {
			size = 0
		}
		f.set(p, side, price, size, ev)
	}
}

// move lets the middle move now and then; the level that it takes the place of goes.
func (f *L2) move(p *pair, ev *market.BookEvent) {
	if f.rng.IntN(4) > 0 {
		return
	}
	side, to := market.Ask, p.mid+1
	if f.rng.IntN(2) == 0 {
		side, to = market.Bid, p.mid-1
	}
	if to > p.start+wander || to < p.start-wander {
		return
	}
	if p.occupied[to%window] {
		f.set(p, side, to, 0, ev)
	}
	p.mid = to
}
