package book

import (
	"slices"
	"testing"

	"chronicle/market"
)

// TestResolve: what a venue's message leaves open comes from the book.
func TestResolve(t *testing.T) {
	b := New(market.L3)
	b.Apply(&market.BookEvent{Entries: []market.Entry{
		{OrderID: 1, Price: 100, Size: 50, Side: market.Bid, Action: market.Add},
		{OrderID: 2, Price: 101, Size: 30, Side: market.Ask, Action: market.Add},
	}}, market.KindBook)
	var r Resolver
	for name, c := range map[string]struct {
		raw, want []market.Entry
		trades    []market.Trade
	}{
		"execution": {
			raw: []market.Entry{
				{OrderID: 2, Price: market.UndefPrice, Size: 10, Side: market.NoSide, Action: market.Fill},
				{OrderID: 77, Price: market.UndefPrice, Size: 10, Count: '@', Side: market.NoSide, Action: market.Exec},
			},
			want: []market.Entry{
				{Price: 101, Size: 10, Side: market.Bid, Action: market.Exec},
				{OrderID: 2, Price: 101, Size: 10, Side: market.Ask, Action: market.Fill},
				{OrderID: 2, Price: 101, Size: 10, Side: market.Ask, Action: market.Cancel},
			},
			trades: []market.Trade{{Seq: 9, TradeID: 77, OrderID: 2, Price: 101, Size: 10, Side: market.Bid, Flags: market.FlagLast, Cond: '@'}},
		},
		"deletion of a whole order": {
			raw:  []market.Entry{{OrderID: 1, Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Cancel}},
			want: []market.Entry{{OrderID: 1, Price: 100, Size: 50, Side: market.Bid, Action: market.Cancel}},
		},
		"replacement": {
			raw: []market.Entry{
				{OrderID: 1, Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Cancel},
				{OrderID: 3, Price: 99, Size: 5, Side: market.NoSide, Action: market.Add},
			},
			want: []market.Entry{
				{OrderID: 1, Price: 100, Size: 50, Side: market.Bid, Action: market.Cancel},
				{OrderID: 3, Price: 99, Size: 5, Side: market.Bid, Action: market.Add},
			},
		},
		"unknown order": {
			raw:  []market.Entry{{OrderID: 8, Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Cancel}},
			want: []market.Entry{{OrderID: 8, Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Cancel}},
		},
	} {
		ev := market.BookEvent{Seq: 9, Flags: market.FlagLast, Entries: c.raw}
		trades := r.Resolve(b, &ev)
		if !slices.Equal(ev.Entries, c.want) || !slices.Equal(trades, c.trades) {
			t.Errorf("%s: entries %+v and trades %+v, want %+v and %+v", name, ev.Entries, trades, c.want, c.trades)
		}
	}
}
