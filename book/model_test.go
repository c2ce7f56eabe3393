package book

import (
	"cmp"
	"math"
	"slices"

	"chronicle/market"
)

// model is the naive book that the real one is tested against: maps, sorted
// anew for every question.
type model struct {
	l3     bool
	levels map[market.Side]map[int64]Level // L2
	orders map[uint64]modelOrder           // L3
	clock  int                             // the next priority
	result Result
}

type modelOrder struct {
	Order
	priority int
}

func newModel(t market.BookType) *model {
	m := &model{l3: t == market.L3}
	m.clear()
	return m
}

func (m *model) clear() {
	m.levels = map[market.Side]map[int64]Level{market.Bid: {}, market.Ask: {}}
	m.orders = map[uint64]modelOrder{}
}

func (m *model) Apply(ev *market.BookEvent, kind market.Kind) Result {
	m.result = Result{}
	if kind == market.KindSnapshot {
		m.clear()
	}
	for _, e := range ev.Entries {
		switch {
		case kind == market.KindSnapshot && e.Action != market.Add:
			m.result.Invalid++
		case e.Action == market.Clear:
			m.clearSide(e.Side)
		case e.Action == market.Exec || e.Action == market.Fill:
		case m.l3:
			m.applyOrder(e)
		default:
			m.applyLevel(e)
		}
	}
	return m.result
}

func (m *model) clearSide(side market.Side) {
	for _, s := range []market.Side{market.Bid, market.Ask} {
		if side == s || side == market.NoSide {
			clear(m.levels[s])
		}
	}
	for id, o := range m.orders {
		if side == o.Side || side == market.NoSide {
			delete(m.orders, id)
		}
	}
}

func (m *model) applyLevel(e market.Entry) {
	size := e.Size
	if e.Action == market.Cancel {
		size = 0
	}
	if e.Side == market.NoSide || e.Price == market.UndefPrice || size < 0 {
		m.result.Invalid++
		return
	}
	side := m.levels[e.Side]
	if _, ok := side[e.Price]; !ok && size == 0 {
		m.result.Unknown++
	}
	delete(side, e.Price)
	if size > 0 {
		side[e.Price] = Level{Price: e.Price, Size: size, Count: e.Count}
	}
}

func (m *model) applyOrder(e market.Entry) {
	o, ok := m.orders[e.OrderID]
	switch {
	case e.Action == market.Add && (e.Side == market.NoSide || e.Price == market.UndefPrice || e.Size <= 0):
		m.result.Invalid++
	case e.Action == market.Add && ok:
		m.result.Duplicate++
	case e.Action == market.Add:
		m.put(Order{ID: e.OrderID, Price: e.Price, Size: e.Size, Side: e.Side}, m.now())
	case !ok:
		m.result.Unknown++
	case e.Action == market.Cancel:
		m.cancel(o, e.Size)
	default:
		m.modify(o, e)
	}
}

func (m *model) cancel(o modelOrder, size int64) {
	switch {
	case size == market.UndefSize || size >= o.Size:
		delete(m.orders, o.ID)
	case size < 0:
		m.result.Invalid++
	default:
		o.Size -= size
		m.orders[o.ID] = o
	}
}

func (m *model) modify(o modelOrder, e market.Entry) {
	n := o
	if e.Price != market.UndefPrice {
		n.Price = e.Price
	}
	if e.Size != market.UndefSize {
		n.Size = e.Size
	}
	if n.Price != o.Price || n.Size > o.Size {
		n.priority = m.now()
	}
	switch {
	case n.Size < 0 || e.Side != o.Side && e.Side != market.NoSide:
		m.result.Invalid++
	case n.Size == 0:
		delete(m.orders, o.ID)
	default:
		m.put(n.Order, n.priority)
	}
}

// put stores an order unless its level would overflow.
func (m *model) put(o Order, priority int) {
	rest := int64(math.MaxInt64) - o.Size
	for _, p := range m.orders {
		if p.ID != o.ID && p.Side == o.Side && p.Price == o.Price {
			rest -= p.Size
		}
	}
	if rest < 0 {
		m.result.Invalid++
		return
	}
	m.orders[o.ID] = modelOrder{o, priority}
}

func (m *model) now() int {
	m.clock++
	return m.clock
}

// queue gives a side's orders, best first and in priority.
func (m *model) queue(side market.Side) []Order {
	var all []modelOrder
	for _, o := range m.orders {
		if o.Side == side {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b modelOrder) int {
		return cmp.Or(better(side, a.Price, b.Price), cmp.Compare(a.priority, b.priority))
	})
	out := make([]Order, len(all))
	for i := range all {
		out[i] = all[i].Order
	}
	return out
}

// Levels gives a side's levels, best first.
func (m *model) Levels(side market.Side) []Level {
	out := []Level{}
	if m.l3 {
		for _, o := range m.queue(side) {
			if n := len(out); n == 0 || out[n-1].Price != o.Price {
				out = append(out, Level{Price: o.Price})
			}
			out[len(out)-1].Size += o.Size
			out[len(out)-1].Count++
		}
		return out
	}
	for _, l := range m.levels[side] {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b Level) int { return better(side, a.Price, b.Price) })
	return out
}

// better sorts the better price of a side first.
func better(side market.Side, a, b int64) int {
	if side == market.Bid {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}
