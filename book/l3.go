package book

import (
	"math"

	"chronicle/market"
)

// applyOrder applies one entry to an L3 book.
func (b *Book) applyOrder(e *market.Entry) outcome {
	switch e.Action {
	case market.Add:
		return b.addOrder(e)
	case market.Cancel:
		return b.cancelOrder(e)
	case market.Modify:
		return b.modifyOrder(e)
	case market.Clear:
		return b.clearSide(e.Side)
	case market.Exec, market.Fill:
		return applied
	}
	return invalid
}

func (b *Book) addOrder(e *market.Entry) outcome {
	l := b.side(e.Side)
	if l == nil || e.Price == market.UndefPrice || e.Size <= 0 || b.orders.full() {
		return invalid
	}
	b.ids.reserve()
	hash := hashID(e.OrderID)
	slot, ref := b.ids.find(e.OrderID, hash, b.orders.all)
	if ref != 0 {
		return duplicate
	}
	v := l.levelFor(e.Price^l.flip, e.Size)
	if v == nil {
		return invalid
	}
	ref = b.orders.add(order{id: e.OrderID, price: e.Price, size: e.Size, side: e.Side})
	b.enqueue(v, ref)
	b.ids.put(slot, hash|uint64(ref))
	return applied
}

func (b *Book) cancelOrder(e *market.Entry) outcome {
	slot, ref := b.lookup(e.OrderID)
	if ref == 0 {
		return unknown
	}
	o := &b.orders.all[ref]
	if e.Size == market.UndefSize || e.Size >= o.size {
		b.removeOrder(slot, ref)
		return applied
	}
	if e.Size < 0 {
		return invalid
	}
	l := b.side(o.side)
	i, _ := l.find(o.price ^ l.flip)
	l.levels[i].size -= e.Size
	o.size -= e.Size
	return applied
}

func (b *Book) modifyOrder(e *market.Entry) outcome {
	slot, ref := b.lookup(e.OrderID)
	if ref == 0 {
		return unknown
	}
	o := &b.orders.all[ref]
	price, size := o.price, o.size
	if e.Price != market.UndefPrice {
		price = e.Price
	}
	if e.Size != market.UndefSize {
		size = e.Size
	}
	switch {
	case size < 0 || e.Side != o.side && e.Side != market.NoSide:
		return invalid
	case size == 0:
		b.removeOrder(slot, ref)
		return applied
	case price == o.price:
		return b.resize(ref, size)
	}
	return b.move(ref, price, size)
}

// resize changes an order's size. A larger one loses its place in the queue.
func (b *Book) resize(ref uint32, size int64) outcome {
	o := &b.orders.all[ref]
	l := b.side(o.side)
	i, _ := l.find(o.price ^ l.flip)
	v := &l.levels[i]
	rest := v.size - o.size
	if rest > math.MaxInt64-size {
		return invalid
	}
	v.size = rest + size
	if size > o.size && v.tail != ref {
		b.unlink(v, ref)
		b.link(v, ref)
	}
	o.size = size
	return applied
}

// move puts an order at the end of another level's queue.
func (b *Book) move(ref uint32, price, size int64) outcome {
	o := &b.orders.all[ref]
	l := b.side(o.side)
	if i, ok := l.find(price ^ l.flip); ok && l.levels[i].size > math.MaxInt64-size {
		return invalid
	}
	b.dequeue(l, ref)
	o.price, o.size = price, size
	b.enqueue(l.levelFor(price^l.flip, size), ref)
	return applied
}

// levelFor gives the level of key, made if need be, or nil when it has no room
// for another size. It is valid until the ladder next changes; an empty one must
// be filled at once.
func (l *ladder) levelFor(key, size int64) *level {
	i, ok := l.find(key)
	if !ok {
		l.insert(i, level{key: key})
	} else if l.levels[i].size > math.MaxInt64-size {
		return nil
	}
	return &l.levels[i]
}

// lookup finds an order by id; reference 0 when it does not rest here.
func (b *Book) lookup(id uint64) (slot int, ref uint32) {
	if b.ids.used == 0 {
		return 0, 0
	}
	return b.ids.find(id, hashID(id), b.orders.all)
}

// removeOrder takes an order out of its level, the id table and the pool.
func (b *Book) removeOrder(slot int, ref uint32) {
	b.dequeue(b.side(b.orders.all[ref].side), ref)
	b.ids.remove(slot)
	b.orders.drop(ref)
}

// dropOrders forgets all orders of a side, whose levels the caller then clears.
func (b *Book) dropOrders(l *ladder) {
	for i := range l.levels {
		for ref := l.levels[i].head; ref != 0; {
			o := &b.orders.all[ref]
			next := o.next
			slot, _ := b.lookup(o.id)
			b.ids.remove(slot)
			b.orders.drop(ref)
			ref = next
		}
	}
}

// enqueue puts an order at the end of a level's queue and into its sums.
func (b *Book) enqueue(v *level, ref uint32) {
	v.size += b.orders.all[ref].size
	v.count++
	b.link(v, ref)
}

// dequeue takes an order out of its level, and the level out of the ladder when
// that leaves it empty.
func (b *Book) dequeue(l *ladder, ref uint32) {
	o := &b.orders.all[ref]
	i, _ := l.find(o.price ^ l.flip)
	v := &l.levels[i]
	if v.count == 1 {
		l.remove(i)
		return
	}
	v.size -= o.size
	v.count--
	b.unlink(v, ref)
}

// link puts an order at the end of a level's queue.
func (b *Book) link(v *level, ref uint32) {
	o := &b.orders.all[ref]
	o.prev, o.next = v.tail, 0
	if v.tail != 0 {
		b.orders.all[v.tail].next = ref
	} else {
		v.head = ref
	}
	v.tail = ref
}

// unlink takes an order out of a level's queue.
func (b *Book) unlink(v *level, ref uint32) {
	o := &b.orders.all[ref]
	if o.prev != 0 {
		b.orders.all[o.prev].next = o.next
	} else {
		v.head = o.next
	}
	if o.next != 0 {
		b.orders.all[o.next].prev = o.prev
	} else {
		v.tail = o.prev
	}
}

// Order gives a resting order of an L3 book by its id; false when there is none.
func (b *Book) Order(id uint64) (Order, bool) {
	_, ref := b.lookup(id)
	if ref == 0 {
		return Order{}, false
	}
	return b.orders.all[ref].public(), true
}

// OrderCount gives the number of resting orders; 0 in an L2 book.
func (b *Book) OrderCount() int { return b.ids.used }

// AppendOrders appends the orders of the n best levels of a side to dst, best
// level first and in priority order within a level, and gives the extended
// slice; those of all levels when n <= 0. An L2 book has none.
func (b *Book) AppendOrders(side market.Side, n int, dst []Order) []Order {
	l := b.side(side)
	if l == nil {
		return dst
	}
	for i := len(l.levels) - 1; i >= l.from(n); i-- {
		for ref := l.levels[i].head; ref != 0; ref = b.orders.all[ref].next {
			dst = append(dst, b.orders.all[ref].public())
		}
	}
	return dst
}

func (o *order) public() Order {
	return Order{ID: o.id, Price: o.price, Size: o.size, Side: o.side}
}
