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

// apply applies an entry and tells whether it named something that it could change.
func (b *naiveBook) apply(e market.Entry) bool {
	if e.Action == market.Exec || e.Action == market.Fill {
		return false
	}
	if !b.l3 {
		key := [2]int64{int64(e.Side), e.Price}
		_, there := b.levels[key]
		if delete(b.levels, key); e.Action != market.Cancel && e.Size > 0 {
			b.levels[key] = e
			return true
		}
		return there
	}
	o, there := b.orders[e.OrderID]
	switch {
	case there == (e.Action == market.Add):
		return false
	case e.Action == market.Add:
		o = e
	case e.Action == market.Modify:
		o.Price, o.Size = e.Price, e.Size
	case e.Size == market.UndefSize:
		o.Size = 0
	default:
		o.Size -= e.Size
	}
	if delete(b.orders, e.OrderID); o.Size > 0 {
		b.orders[e.OrderID] = o
	}
	return true
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

// apply applies a record and tells whether it is an event that changed the book.
func (s *naiveState) apply(r *record) (changed bool) {
	switch {
	case r.kind == market.KindGap:
		s.degraded = true
		return false
	case r.synthetic():
		s.degraded = r.body.Flags&market.FlagMaybeBadBook != 0
		return false // the book it holds must be the one that the other records make
	case r.kind == market.KindSnapshot:
		changed = true
		s.book = newNaive(map[bool]market.BookType{true: market.L3, false: market.L2}[s.book.l3])
	}
	for _, e := range r.body.Entries {
		changed = s.book.apply(e) || changed
	}
	s.recv, s.event, s.seq = r.time, r.event, r.body.Seq
	s.degraded = r.body.Flags&market.FlagMaybeBadBook != 0
	return changed
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
			s.degraded = s.degraded || c == ClockRecv && missingAt(records[i:], at)
			break
		}
		s.apply(&records[i])
		ok = running != noTime
	}
	return s, ok
}

// missingAt tells whether the records after a cut begin with a gap marker, behind
// the snapshots it made due, for a gap that had begun before the cut.
func missingAt(rest []record, at int64) bool {
	for i := range rest {
		if !rest[i].synthetic() {
			return rest[i].kind == market.KindGap && rest[i].gap.Start < at
		}
	}
	return false
}
