package etl

import "chronicle/market"

// resolve completes the raw entries of an L3 event from the book. The feed, which
// keeps no books, leaves open what the venue's message does not say:
//
//	Fill + Exec   an execution names the resting order only: it becomes Exec (the
//	              aggressor's side), Fill and the Cancel that reduces the order
//	Cancel        of an unknown size takes the whole order
//	Cancel + Add  a replacement: the new order is on the side of the old one
//
// Entries for an order that the book does not hold keep their undefined fields;
// the book ignores them and the event is flagged.
func (e *ETL) resolve(inst *instrument, ev *market.BookEvent) {
	e.scratch.trades = e.scratch.trades[:0]
	out := e.scratch.resolved[:0]
	replaced := market.NoSide
	for i := 0; i < len(ev.Entries); i++ {
		t := ev.Entries[i]
		switch t.Action {
		case market.Fill:
			var match uint64
			if i+1 < len(ev.Entries) && ev.Entries[i+1].Action == market.Exec {
				i++
				match = ev.Entries[i].OrderID
			}
			out = e.execution(inst, ev, t, match, out)
			continue
		case market.Cancel:
			if o, ok := inst.book.Order(t.OrderID); ok {
				t.Price, t.Side, replaced = o.Price, o.Side, o.Side
				if t.Size == market.UndefSize || t.Size > o.Size {
					t.Size = o.Size
				}
			}
		case market.Add:
			if t.Side == market.NoSide {
				t.Side = replaced
			}
		}
		out = append(out, t)
	}
	e.scratch.resolved = out
	ev.Entries = append(ev.Entries[:0], out...)
}

// execution expands one fill of a resting order and remembers its trade.
func (e *ETL) execution(inst *instrument, ev *market.BookEvent, fill market.Entry, match uint64, out []market.Entry) []market.Entry {
	rest := fill
	rest.Action = market.Cancel
	if o, ok := inst.book.Order(fill.OrderID); ok {
		fill.Side, rest.Side, rest.Price = o.Side, o.Side, o.Price
		if fill.Price == market.UndefPrice {
			fill.Price = o.Price
		}
	}
	exec := fill
	exec.Action, exec.OrderID, exec.Side = market.Exec, 0, fill.Side.Opposite()
	e.scratch.trades = append(e.scratch.trades, market.Trade{
		RawSeq: ev.RawSeq, Seq: ev.Seq, TradeID: match, OrderID: fill.OrderID,
		Price: fill.Price, Size: fill.Size, Side: exec.Side,
		Flags: ev.Flags & (market.FlagLast | market.FlagBadTsRecv), Entry: fill.Flags,
	})
	return append(out, exec, fill, rest)
}

// executions writes the trades that the last resolved event contains.
func (e *ETL) executions(inst *instrument, ev *market.BookEvent, time, eventTime int64) error {
	for i := range e.scratch.trades {
		t := &e.scratch.trades[i]
		if err := e.stream(inst, tradeStream).put(market.KindTrade, time, eventTime, market.TradeSize, t); err != nil {
			return err
		}
	}
	e.scratch.trades = e.scratch.trades[:0]
	return nil
}
