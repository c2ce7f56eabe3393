package book

import (
	"math"

	"chronicle/market"
)

// order is one resting order. Orders refer to each other by their place in the
// pool; 0 is no order.
type order struct {
	id    uint64
	price int64
	size  int64
	next  uint32 // behind it in its level's queue; in a free order: the next free one
	prev  uint32 // before it in its level's queue
	side  market.Side
}

// maxOrders bounds a pool, so that references fit 32 bits and the id table 2^32 slots.
const maxOrders = math.MaxInt32

// pool holds orders; slots of removed ones are used again, the latest first.
type pool struct {
	all  []order // all[0] is not used
	free uint32  // first free order, linked by next; 0 none
}

// full tells whether no further order can be held.
func (p *pool) full() bool { return p.free == 0 && len(p.all) > maxOrders }

// add stores o and gives its reference. The pool must not be full.
func (p *pool) add(o order) uint32 {
	if ref := p.free; ref != 0 {
		at := &p.all[ref]
		p.free = at.next
		*at = o
		return ref
	}
	if len(p.all) == 0 {
		p.all = append(p.all, order{})
	}
	p.all = append(p.all, o)
	return uint32(len(p.all) - 1)
}

// drop frees ref.
func (p *pool) drop(ref uint32) {
	p.all[ref].next = p.free
	p.free = ref
}

func (p *pool) clear() {
	p.all = p.all[:min(1, len(p.all))]
	p.free = 0
}
