package query

import (
	"cmp"
	"maps"
	"slices"

	"chronicle/book"
	"chronicle/market"
)

// naiveBook is a book as plain as can be: maps, no order, no reuse.
type naiveBook struct {
	l3     bool
	levels map[[2]int64]market.Entry // by side and price
	orders map[uint64]market.Entry
}

func newNaive(t market.BookType) *naiveBook {
	return &naiveBook{l3: t == market.L3, levels: map[[2]int64]market.Entry{}, orders: map[uint64]market.Entry{}}
}

func (b *naiveBook) apply(e market.Entry) {
	if e.Action == market.Exec || e.Action == market.Fill {
		return
	}
	if !b.l3 {
		key := [2]int64{int64(e.Side), e.Price}
		if delete(b.levels, key); e.Action != market.Cancel && e.Size > 0 {
			b.levels[key] = e
		}
		return
	}
	o, there := b.orders[e.OrderID]
	switch {
	case e.Action == market.Add && !there:
		b.orders[e.OrderID] = e
	case e.Action == market.Modify && there:
		o.Price, o.Size = e.Price, e.Size
		b.orders[e.OrderID] = o
	case e.Action == market.Cancel && there:
		if o.Size -= e.Size; e.Size == market.UndefSize || o.Size <= 0 {
			delete(b.orders, e.OrderID)
			return
		}
		b.orders[e.OrderID] = o
	}
}

// side gives the levels of a side, best first.
func (b *naiveBook) side(side market.Side, depth int) []book.Level {
	at := map[int64]book.Level{}
	for _, o := range b.orders {
		if o.Side == side {
			l := at[o.Price]
			at[o.Price] = book.Level{Price: o.Price, Size: l.Size + o.Size, Count: l.Count + 1}
		}
	}
	for key, e := range b.levels {
		if market.Side(key[0]) == side {
			at[e.Price] = book.Level{Price: e.Price, Size: e.Size, Count: e.Count}
		}
	}
	levels := slices.SortedFunc(maps.Values(at), func(x, y book.Level) int {
		if side == market.Bid {
			x, y = y, x
		}
		return cmp.Compare(x.Price, y.Price)
	})
	return levels[:min(len(levels), depth)]
}

// naiveState is the state of a book stream after some of its records.
type naiveState struct {
	book        *naiveBook
	recv, event int64
	seq         uint64
	degraded    bool
}

func (s *naiveState) apply(r *record) {
	switch {
	case r.kind == market.KindGap:
		s.degraded = true
		return
	case r.synthetic():
		s.degraded = r.body.Flags&market.FlagMaybeBadBook != 0
		return // the book it holds must be the one that the other records make
	case r.kind == market.KindSnapshot:
		s.book = newNaive(map[bool]market.BookType{true: market.L3, false: market.L2}[s.book.l3])
	}
	for _, e := range r.body.Entries {
		s.book.apply(e)
	}
	s.recv, s.event, s.seq = r.time, r.event, r.body.Seq
	s.degraded = r.body.Flags&market.FlagMaybeBadBook != 0
}

func (c Clock) ofRecord(r *record) int64 {
	if c == ClockEvent {
		return r.event
	}
	return r.time
}

// naiveAt replays a whole stream from its start up to t. ok is false when the
// stream begins after t.
func naiveAt(t market.BookType, records []record, c Clock, at int64) (s naiveState, ok bool) {
	s = naiveState{book: newNaive(t), recv: noTime, event: noTime}
	running := noTime
	for i := range records {
		running = max(running, c.ofRecord(&records[i]))
		if running > at {
			break
		}
		s.apply(&records[i])
		ok = running != noTime
	}
	return s, ok
}
