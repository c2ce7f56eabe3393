package book

import "chronicle/market"

// Resolver completes the raw events of an L3 feed from the book. A feed keeps no
// books, so it leaves open what the venue's message does not say:
//
//	Fill + Exec   an execution names the resting order only: it becomes Exec (the
//	              aggressor's side), Fill and the Cancel that reduces the order. The
//	              raw Exec has the trade's id in OrderID, its condition in Count
//	Cancel        of an unknown size takes the whole order
//	Cancel + Add  a replacement: the new order is on the side of the old one
//
// The zero value is ready. It keeps its buffers from event to event; one owner
// at a time.
type Resolver struct {
	entries []market.Entry
	trades  []market.Trade
}

// Resolve completes ev, which is the next to be applied to b, and gives the trades
// that it reports; they are valid until the next call. Entries for an order that
// the book does not hold keep their undefined fields: applying them counts them
// as unknown. It is for events of the raw queue; those of a clean stream are
// complete already.
func (r *Resolver) Resolve(b *Book, ev *market.BookEvent) []market.Trade {
	r.trades = r.trades[:0]
	replaced := market.NoSide
	for i := range ev.Entries {
		if ev.Entries[i].Action == market.Fill {
			r.expand(b, ev, i, replaced)
			break
		}
		replaced = complete(b, &ev.Entries[i], replaced)
	}
	return r.trades
}

// complete gives a Cancel what the book knows of its order, and an Add without a
// side that of the order which it replaces. It gives the side of the latest order
// that was cancelled so far.
func complete(b *Book, t *market.Entry, replaced market.Side) market.Side {
	switch t.Action {
	case market.Cancel:
		_, ref := b.lookup(t.OrderID)
		if ref == 0 {
			break
		}
		o := &b.orders.all[ref]
		t.Price, t.Side = o.price, o.side
		if t.Size == market.UndefSize || t.Size > o.size {
			t.Size = o.size
		}
		return o.side
	case market.Add:
		if t.Side == market.NoSide {
			t.Side = replaced
		}
	}
	return replaced
}

// expand resolves from entry i on, which is a Fill. Executions become longer, so
// the entries are made anew; most events have none and are completed in place.
func (r *Resolver) expand(b *Book, ev *market.BookEvent, i int, replaced market.Side) {
	out := append(r.entries[:0], ev.Entries[:i]...)
	for ; i < len(ev.Entries); i++ {
		t := ev.Entries[i]
		if t.Action != market.Fill {
			replaced = complete(b, &t, replaced)
			out = append(out, t)
			continue
		}
		var match market.Entry
		if i+1 < len(ev.Entries) && ev.Entries[i+1].Action == market.Exec {
			i++
			match = ev.Entries[i]
		}
		out = r.execution(b, ev, t, match, out)
	}
	r.entries = out
	ev.Entries = append(ev.Entries[:0], out...)
}

// execution expands one fill of a resting order and remembers its trade.
func (r *Resolver) execution(b *Book, ev *market.BookEvent, fill, match market.Entry, out []market.Entry) []market.Entry {
	rest := fill
	rest.Action = market.Cancel
	if o, ok := b.Order(fill.OrderID); ok {
		fill.Side, rest.Side, rest.Price = o.Side, o.Side, o.Price
		if fill.Price == market.UndefPrice {
			fill.Price = o.Price
		}
	}
	exec := fill
	exec.Action, exec.OrderID, exec.Side = market.Exec, 0, fill.Side.Opposite()
	r.trades = append(r.trades, market.Trade{
		RawSeq: ev.RawSeq, Seq: ev.Seq, TradeID: match.OrderID, OrderID: fill.OrderID,
		Price: fill.Price, Size: fill.Size, Side: exec.Side, Cond: byte(match.Count),
		Flags: ev.Flags & (market.FlagLast | market.FlagBadTsRecv), Entry: fill.Flags,
	})
	return append(out, exec, fill, rest)
}
