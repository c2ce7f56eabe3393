package iex

import (
	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

// maintain is the modify flag of an order that keeps its priority.
const maintain = 1

// order writes the event of a message that changes an order or executes against it.
func (d *Decoder) order(m *message) error {
	entries, err := d.orderEntries(m.b)
	if err != nil {
		return err
	}
	in, err := d.instrument(m)
	if err != nil {
		return err
	}
	d.event = market.BookEvent{Seq: m.seq, Flags: market.FlagLast, Entries: entries}
	d.e.Book(market.KindBook, in.id, m.recv, m.event, &d.event)
	return nil
}

// orderEntries decodes the entries of a message, into d.entries.
func (d *Decoder) orderEntries(b []byte) ([]market.Entry, error) {
	first, second := &d.entries[0], &d.entries[1]
	*first = market.Entry{OrderID: le.Uint64(b[18:]), Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide}
	if b[0] == 'R' {
		first.Action = market.Cancel
		return d.entries[:1], nil
	}
	at, err := price(b[30:])
	if err != nil {
		return nil, err
	}
	*second = *first
	second.Size, second.Price = shares(b[26:]), at
	switch b[0] {
	case 'a':
		second.Action = market.Add
		second.Side, err = side(b[1])
		return d.entries[1:], err
	case 'L':
		second.Action = market.Fill
		*first = *second
		second.Action, second.OrderID, second.Count = market.Exec, le.Uint64(b[38:]), uint32(b[1])
		return d.entries[:2], nil
	}
	if b[1]&maintain != 0 {
		second.Action = market.Modify
		return d.entries[1:], nil
	}
	first.Action, second.Action = market.Cancel, market.Add
	return d.entries[:2], nil
}

// side reads a side as the price level types have it.
func side(b byte) (market.Side, error) {
	switch b {
	case '8':
		return market.Bid, nil
	case '5':
		return market.Ask, nil
	}
	return 0, emit.BadField
}

// clear writes that a book is empty.
func (d *Decoder) clear(m *message) error {
	in, err := d.instrument(m)
	if err != nil {
		return err
	}
	d.event = market.BookEvent{
		Seq: m.seq, Flags: market.FlagSnapshot | market.FlagLast, AsOfEvent: m.event, AsOfRecv: m.recv,
	}
	d.e.Book(market.KindSnapshot, in.id, m.recv, m.event, &d.event)
	return nil
}
