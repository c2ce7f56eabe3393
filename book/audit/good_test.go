package audit

import (
	"slices"
	"testing"

	"chronicle/market"
)

// kinds gives what is found, without the rest.
func kinds(items []item) (all []Kind) {
	found, _ := collect(items)
	for i := range found {
		all = append(all, found[i].Kind)
	}
	return all
}

// one gives a stream that begins with an empty snapshot, and one event more.
func one(bt market.BookType, flags market.Flags, entries ...market.Entry) []item {
	items := steady(bt, 2)[:2]
	items[1].ev.Entries, items[1].ev.Flags = entries, flags
	if flags&market.FlagMaybeBadBook != 0 {
		items[0].ev.Flags |= market.FlagMaybeBadBook
	}
	return items
}

// TestGoodBooks: what shows a book to be wrong is a finding where the book is
// called good, and only there.
func TestGoodBooks(t *testing.T) {
	level := func(side market.Side, price int64) market.Entry {
		return market.Entry{Side: side, Price: price, Size: 1, Action: market.Add}
	}
	gone := market.Entry{OrderID: 77, Side: market.Bid, Price: 5, Size: 1, Action: market.Cancel}
	const last, bad = market.FlagLast, market.FlagMaybeBadBook
	for name, c := range map[string]struct {
		items []item
		want  []Kind
	}{
		"crossed":             {one(market.L2, last, level(market.Bid, 10), level(market.Ask, 9)), []Kind{Crossed}},
		"locked":              {one(market.L2, last, level(market.Bid, 10), level(market.Ask, 10)), nil},
		"crossed and bad":     {one(market.L2, last|bad, level(market.Bid, 10), level(market.Ask, 9)), nil},
		"crossed inside":      {one(market.L2, 0, level(market.Bid, 10), level(market.Ask, 9)), nil},
		"crossed, by order":   {one(market.L3, last, market.Entry{OrderID: 1, Side: market.Bid, Price: 10, Size: 1, Action: market.Add}, market.Entry{OrderID: 2, Side: market.Ask, Price: 9, Size: 1, Action: market.Add}), nil},
		"unknown order":       {one(market.L3, last, gone), []Kind{Unknown}},
		"unknown and bad":     {one(market.L3, last|bad, gone), nil},
		"unknown, by level":   {one(market.L2, last, gone), nil},
		"fill alone":          {one(market.L3, last|bad, market.Entry{OrderID: 1, Side: market.Bid, Price: 1, Size: 1, Action: market.Fill}), []Kind{Execution, Execution}},
		"snapshot of nothing": {twice(), []Kind{Place}},
	} {
		if got := kinds(c.items); !slices.Equal(got, c.want) {
			t.Errorf("%s: found %v, want %v", name, got, c.want)
		}
	}
}

// twice gives a stream with a snapshot too many.
func twice() []item {
	items := steady(market.L2, 3)
	extra := clone(items[:1])[0]
	extra.def = nil
	extra.Time--
	items = slices.Insert(items, 0, extra)
	items[0].def, items[1].def = items[1].def, nil
	return renumber(items)
}
