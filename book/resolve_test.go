package book

import (
	"math/rand/v2"
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

// TestResolveAnyEvent: whatever is in an event and in whatever order, each entry
// is completed by the rule for it, from the book as it was before the event.
func TestResolveAnyEvent(t *testing.T) {
	b := New(market.L3)
	rng := rand.New(rand.NewPCG(3, 4))
	for id := range uint64(20) {
		side := []market.Side{market.Bid, market.Ask}[id%2]
		b.Apply(&market.BookEvent{Entries: []market.Entry{{OrderID: id, Price: int64(100 + id), Size: 10 + int64(id), Side: side, Action: market.Add}}}, market.KindBook)
	}
	var r Resolver
	var ev market.BookEvent
	for range 20_000 {
		raw := make([]market.Entry, rng.IntN(6))
		for i := range raw {
			raw[i] = market.Entry{OrderID: rng.Uint64N(25), Price: market.UndefPrice, Size: 1 + rng.Int64N(40), Side: market.NoSide,
				Action: []market.Action{market.Add, market.Cancel, market.Fill, market.Exec, market.Modify}[rng.IntN(5)]}
			if rng.IntN(3) == 0 {
				raw[i].Size = market.UndefSize
			}
		}
		ev.Seq, ev.Entries = rng.Uint64(), append(ev.Entries[:0], raw...)
		trades := r.Resolve(b, &ev)
		want, wantTrades := resolved(b, raw, ev.Seq)
		if !slices.Equal(ev.Entries, want) || !slices.Equal(trades, wantTrades) {
			t.Fatalf("%+v: entries %+v and trades %+v, want %+v and %+v", raw, ev.Entries, trades, want, wantTrades)
		}
	}
}

// resolved is the rule of each entry, one after the other.
func resolved(b *Book, raw []market.Entry, seq uint64) (out []market.Entry, trades []market.Trade) {
	replaced := market.NoSide
	for i := 0; i < len(raw); i++ {
		t := raw[i]
		o, known := b.Order(t.OrderID)
		switch {
		case t.Action == market.Cancel && known:
			t.Price, t.Side, replaced = o.Price, o.Side, o.Side
			if t.Size == market.UndefSize {
				t.Size = o.Size
			}
			t.Size = min(t.Size, o.Size)
		case t.Action == market.Add:
			t.Side = replaced
		case t.Action == market.Fill:
			if known {
				t.Price, t.Side = o.Price, o.Side
			}
			exec := market.Entry{Price: t.Price, Size: t.Size, Side: t.Side.Opposite(), Action: market.Exec}
			cancel := t
			cancel.Action = market.Cancel
			trade := market.Trade{Seq: seq, OrderID: t.OrderID, Price: t.Price, Size: t.Size, Side: exec.Side}
			if i+1 < len(raw) && raw[i+1].Action == market.Exec {
				i++
				trade.TradeID = raw[i].OrderID
			}
			out, trades = append(out, exec, t, cancel), append(trades, trade)
			continue
		}
		out = append(out, t)
	}
	return out, trades
}
