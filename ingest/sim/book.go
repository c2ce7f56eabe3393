package sim

import (
	"slices"
	"sort"

	"chronicle/market"
)

// tick is the price step, 0.01, in prices of four decimals.
const tick = 100

// Level is one price of a true book.
type Level struct {
	Price int64 // four decimals
	Size  int64 // shares
	Count int   // orders
}

// order rests in a book.
type order struct {
	id    uint64
	side  market.Side
	ticks int64
	size  uint32
	at    int // place in stock.all
}

// level holds the orders of one price, oldest first.
type level struct {
	ticks  int64
	orders []*order
}

// ladder is one side of a book, best level first.
type ladder struct {
	side   market.Side
	levels []*level
}

// stock is one symbol's market.
type stock struct {
	locate uint16
	name   [8]byte
	fair   int64 // ticks
	bids   ladder
	asks   ladder
	all    []*order // in no order, for picking one at random
}

func newStock(locate uint16, name string, fair int64) *stock {
	st := &stock{locate: locate, fair: fair, bids: ladder{side: market.Bid}, asks: ladder{side: market.Ask}}
	copy(st.name[:], name+"        ")
	return st
}

func (st *stock) side(side market.Side) *ladder {
	if side == market.Ask {
		return &st.asks
	}
	return &st.bids
}

// better tells whether price a comes before b on this side.
func (l *ladder) better(a, b int64) bool {
	if l.side == market.Ask {
		return a < b
	}
	return a > b
}

// find gives the index of a price's level, or where it belongs.
func (l *ladder) find(ticks int64) (int, bool) {
	i := sort.Search(len(l.levels), func(i int) bool { return !l.better(l.levels[i].ticks, ticks) })
	return i, i < len(l.levels) && l.levels[i].ticks == ticks
}

// add puts an order at the end of its price's queue.
func (st *stock) add(o *order) {
	l := st.side(o.side)
	i, ok := l.find(o.ticks)
	if !ok {
		l.levels = slices.Insert(l.levels, i, &level{ticks: o.ticks})
	}
	l.levels[i].orders = append(l.levels[i].orders, o)
	o.at = len(st.all)
	st.all = append(st.all, o)
}

// reduce takes size off an order, which leaves the book when nothing remains.
func (st *stock) reduce(o *order, size uint32) {
	o.size -= size
	if o.size > 0 {
		return
	}
	l := st.side(o.side)
	i, _ := l.find(o.ticks)
	lv := l.levels[i]
	lv.orders = slices.DeleteFunc(lv.orders, func(x *order) bool { return x == o })
	if len(lv.orders) == 0 {
		l.levels = slices.Delete(l.levels, i, i+1)
	}
	last := st.all[len(st.all)-1]
	st.all[o.at], last.at = last, o.at
	st.all = st.all[:len(st.all)-1]
}

// room gives the last price, seen from a side's own best, at which a new order
// of that side does not cross the other: ok is false when the other is empty.
func (st *stock) room(side market.Side) (ticks int64, ok bool) {
	other := st.side(side.Opposite()).levels
	if len(other) == 0 {
		return 0, false
	}
	if side == market.Bid {
		return other[0].ticks - 1, true
	}
	return other[0].ticks + 1, true
}
