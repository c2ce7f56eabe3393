package query

import (
	"math/rand/v2"

	"chronicle/book"
	"chronicle/market"
)

// flow writes random events to a book stream.
type flow struct {
	s      *stream
	rng    *rand.Rand
	now    int64
	nextID uint64
	orders []market.Entry
}

// level gives a random L2 change.
func (f *flow) level() market.Entry {
	e := market.Entry{Side: market.Bid, Price: 90 + f.rng.Int64N(10), Size: 1 + f.rng.Int64N(50), Action: market.Modify, Count: uint32(f.rng.IntN(4))}
	if f.rng.IntN(2) == 0 {
		e.Side, e.Price = market.Ask, e.Price+10
	}
	if f.rng.IntN(4) == 0 {
		e.Action, e.Size = market.Cancel, market.UndefSize
	}
	if f.rng.IntN(12) == 0 {
		e.Action = market.Exec
	}
	return e
}

// order gives a random L3 change.
func (f *flow) order() market.Entry {
	if len(f.orders) == 0 || f.rng.IntN(3) > 0 {
		f.nextID++
		e := f.level()
		e.OrderID, e.Action, e.Size, e.Count = f.nextID, market.Add, 1+f.rng.Int64N(50), 0
		f.orders = append(f.orders, e)
		return e
	}
	e := f.orders[f.rng.IntN(len(f.orders))] // it may be gone: then it is an unknown order
	switch f.rng.IntN(3) {
	case 0:
		e.Action, e.Size = market.Modify, 1+f.rng.Int64N(50)
	case 1:
		e.Action, e.Size = market.Cancel, 1+f.rng.Int64N(20)
	default:
		e.Action, e.Size = market.Cancel, market.UndefSize
	}
	return e
}

func (f *flow) entry() market.Entry {
	if f.s.def.BookType == market.L3 {
		return f.order()
	}
	return f.level()
}

// step advances the time: often not at all, sometimes back.
func (f *flow) step() (recv, event int64) {
	f.now += f.rng.Int64N(4)
	recv = f.now
	if f.rng.IntN(15) == 0 {
		recv -= f.rng.Int64N(5)
	}
	event = recv - 100 - f.rng.Int64N(8)
	if f.rng.IntN(10) == 0 {
		event = noTime
	}
	return recv, event
}

// run writes n random records, cutting segments with probability 1/cut.
func (f *flow) run(n, cut int) {
	for range n {
		recv, event := f.step()
		switch k := f.rng.IntN(40); {
		case k == 0:
			f.s.gap(recv)
		case k == 1:
			f.snapshot(recv, event)
		case k < 5 && len(f.s.records) > 0:
			f.s.inject(recv, event)
		default:
			entries := make([]market.Entry, f.rng.IntN(4))
			for i := range entries {
				entries[i] = f.entry()
			}
			f.s.event(market.KindBook, recv, event, entries...)
		}
		if f.rng.IntN(cut) == 0 {
			f.s.roll()
		}
	}
}

// snapshot writes a venue's own snapshot of another book.
func (f *flow) snapshot(recv, event int64) {
	var entries []market.Entry
	b := book.New(f.s.def.BookType)
	f.orders = nil
	for range f.rng.IntN(12) {
		e := f.entry()
		if e.Action == market.Add || e.Action == market.Modify && f.s.def.BookType == market.L2 {
			b.Apply(&market.BookEvent{Entries: []market.Entry{e}}, market.KindBook)
		}
	}
	entries = b.AppendSnapshot(entries)
	f.s.event(market.KindSnapshot, recv, event, entries...)
}

func newFlow(s *stream, seed uint64) *flow {
	return &flow{s: s, rng: rand.New(rand.NewPCG(seed, 1)), now: 1_700_000_000_000_000_000}
}
