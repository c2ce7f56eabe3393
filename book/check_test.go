package book

import (
	"errors"
	"fmt"
	"math/bits"

	"chronicle/market"
)

// check verifies every invariant of the book's inside; nil means that all hold.
func (b *Book) check() error {
	return errors.Join(
		b.checkSide(market.Bid),
		b.checkSide(market.Ask),
		b.checkIndex(),
		b.checkPool())
}

func (b *Book) checkSide(side market.Side) error {
	l := b.side(side)
	if l.lo < 0 || l.lo+len(l.levels) > len(l.buf) || cap(l.levels) != len(l.buf)-l.lo {
		return fmt.Errorf("%c: window %d+%d (cap %d) of a buffer of %d", side, l.lo, len(l.levels), cap(l.levels), len(l.buf))
	}
	if len(l.levels) > 0 && &l.levels[0] != &l.buf[l.lo] {
		return fmt.Errorf("%c: the levels are not a window into the buffer", side)
	}
	for i, v := range l.levels {
		if i > 0 && l.levels[i-1].key >= v.key {
			return fmt.Errorf("%c: level %d is not better than level %d", side, i, i-1)
		}
		if v.size <= 0 {
			return fmt.Errorf("%c: level %d has size %d", side, i, v.size)
		}
		if at, ok := l.find(v.key); at != i || !ok {
			return fmt.Errorf("%c: level %d is found at %d %v", side, i, at, ok)
		}
		if err := b.checkQueue(side, i); err != nil {
			return err
		}
	}
	return nil
}

func (b *Book) checkQueue(side market.Side, i int) error {
	v := b.side(side).levels[i]
	if !b.l3 {
		if v.head != 0 || v.tail != 0 {
			return fmt.Errorf("%c: L2 level %d has a queue", side, i)
		}
		return nil
	}
	var size int64
	count, prev := uint32(0), uint32(0)
	for ref := v.head; ref != 0; ref = b.orders.all[ref].next {
		o := b.orders.all[ref]
		if o.prev != prev || o.side != side || o.price^b.side(side).flip != v.key || o.size <= 0 {
			return fmt.Errorf("%c: order %+v does not belong behind %d in level %+v", side, o, prev, v)
		}
		if _, found := b.lookup(o.id); found != ref {
			return fmt.Errorf("order %d is at %d, its id leads to %d", o.id, ref, found)
		}
		size, count, prev = size+o.size, count+1, ref
	}
	if size != v.size || count != v.count || prev != v.tail {
		return fmt.Errorf("%c: level %d has %d in %d orders, last %d; its queue %d in %d, last %d",
			side, i, v.size, v.count, v.tail, size, count, prev)
	}
	return nil
}

func (b *Book) checkIndex() error {
	n := 0
	for _, s := range b.ids.slots {
		if s == 0 {
			continue
		}
		n++
		if id := b.orders.all[uint32(s)].id; hashID(id)>>32 != s>>32 {
			return fmt.Errorf("slot %x does not have the hash of order %d", s, id)
		}
	}
	if n != b.ids.used || n*2 > len(b.ids.slots) || bits.OnesCount(uint(len(b.ids.slots))) > 1 {
		return fmt.Errorf("%d of %d slots used, counted as %d", n, len(b.ids.slots), b.ids.used)
	}
	resting := 0
	for _, l := range [2]ladder{b.bids, b.asks} {
		for _, v := range l.levels {
			resting += int(v.count)
		}
	}
	if b.l3 && resting != n {
		return fmt.Errorf("%d orders in levels, %d in the id table", resting, n)
	}
	return nil
}

func (b *Book) checkPool() error {
	free := 0
	for ref := b.orders.free; ref != 0; ref = b.orders.all[ref].next {
		if free++; free > len(b.orders.all) {
			return errors.New("the free list is a ring")
		}
	}
	if n := len(b.orders.all); n > 0 && free+b.ids.used != n-1 {
		return fmt.Errorf("%d free and %d used orders in a pool of %d", free, b.ids.used, n-1)
	}
	return nil
}
