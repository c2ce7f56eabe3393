package sim

import (
	"math"

	"chronicle/market"
)

// tick is the price step, 0.01, in prices of four decimals.
const tick = 100

// order rests in a book. Orders live in Sim.orders and are named by their place
// there; 0 is none.
type order struct {
	id         uint64
	size       uint32
	key        int32  // see ladder
	next, prev uint32 // in the level's queue
	at         uint32 // place in stock.all
	side       market.Side
}

// level is the queue of the orders of one price.
type level struct {
	key        int32
	head, tail uint32 // oldest and newest
}

// ladder is one side of a book. Levels are in order of their key, the price in
// ticks, which is negative on the ask side: the best level is always the last.
type ladder struct {
	levels []level
	orders int
}

// stock is one symbol's market.
type stock struct {
	locate uint16
	state  state
	name   [8]byte
	fair   int32 // ticks
	spread int32 // half of the usual one, ticks
	depth  int   // orders a side that the market tends to
	paused bool  // the last halt was a volatility pause
	flags  [3]bool
	bids   ladder
	asks   ladder
	all    []uint32 // in the order of arrival, roughly, for picking one at random
}

func (st *stock) side(side market.Side) *ladder {
	if side == market.Ask {
		return &st.asks
	}
	return &st.bids
}

// sign turns ticks of a side into a ladder's key, and back.
func sign(side market.Side) int32 {
	if side == market.Ask {
		return -1
	}
	return 1
}

func (o *order) ticks() int32 { return o.key * sign(o.side) }

// find gives the place of a key's level, or where it belongs. Most changes are
// near the best price.
func (l *ladder) find(key int32) (int, bool) {
	lo, hi := 0, len(l.levels)
	for near := max(hi-8, 0); hi > near; hi-- {
		if k := l.levels[hi-1].key; k <= key {
			if k == key {
				return hi - 1, true
			}
			return hi, false
		}
	}
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if l.levels[mid].key < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(l.levels) && l.levels[lo].key == key
}

// best gives the key of the best level.
func (l *ladder) best() (key int32, ok bool) {
	if len(l.levels) == 0 {
		return 0, false
	}
	return l.levels[len(l.levels)-1].key, true
}

// room gives the best key of a side at which a new order does not cross the other.
func (st *stock) room(side market.Side) int32 {
	if other, ok := st.side(side.Opposite()).best(); ok {
		return -other - 1
	}
	return math.MaxInt32
}

// add puts a new order at the end of its price's queue. All changes of a book go
// through add and reduce, before the message that tells them is made.
func (s *Sim) add(st *stock, side market.Side, key int32, size uint32) *order {
	s.lastID++
	ref := s.free
	if ref == 0 {
		ref = uint32(len(s.orders))
		s.orders = append(s.orders, order{})
	}
	o := &s.orders[ref]
	s.free = o.next
	l := st.side(side)
	i, ok := l.find(key)
	if !ok {
		l.levels = append(l.levels, level{})
		copy(l.levels[i+1:], l.levels[i:])
		l.levels[i] = level{key: key}
	}
	v := &l.levels[i]
	*o = order{id: s.lastID, size: size, key: key, prev: v.tail, at: uint32(len(st.all)), side: side}
	if v.tail != 0 {
		s.orders[v.tail].next = ref
	} else {
		v.head = ref
	}
	v.tail = ref
	l.orders++
	st.all = append(st.all, ref)
	if s.journal != nil {
		s.journal.added(st, o)
	}
	return o
}

// reduce takes size off an order, which leaves the book when nothing remains.
func (s *Sim) reduce(st *stock, ref uint32, size uint32) {
	o := &s.orders[ref]
	o.size -= size
	if s.journal != nil {
		s.journal.reduced(st, o, size)
	}
	if o.size > 0 {
		return
	}
	l := st.side(o.side)
	i, _ := l.find(o.key)
	v := &l.levels[i]
	if o.prev != 0 {
		s.orders[o.prev].next = o.next
	} else {
		v.head = o.next
	}
	if o.next != 0 {
		s.orders[o.next].prev = o.prev
	} else {
		v.tail = o.prev
	}
	if v.head == 0 {
		l.levels = append(l.levels[:i], l.levels[i+1:]...)
	}
	l.orders--
	last := st.all[len(st.all)-1]
	st.all[o.at] = last
	s.orders[last].at = o.at
	st.all = st.all[:len(st.all)-1]
	o.next, s.free = s.free, ref
}

// first gives the oldest order of a side's best price.
func (st *stock) first(side market.Side) uint32 {
	l := st.side(side).levels
	return l[len(l)-1].head
}
