package itch

import (
	"encoding/binary"
	"math"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

var be = binary.BigEndian

// side reads a buy/sell indicator.
func side(b byte) (market.Side, error) {
	switch b {
	case 'B':
		return market.Bid, nil
	case 'S':
		return market.Ask, nil
	}
	return 0, emit.BadField
}

// book writes the event of a message that changes, or executes against, the book.
func (d *Decoder) book(m *message) error {
	entries, err := d.bookEntries(m.b)
	if err != nil {
		return err
	}
	id, err := d.instrument(m)
	if err != nil {
		return err
	}
	d.event = market.BookEvent{Seq: m.seq, Flags: d.flags, Entries: entries}
	d.e.Book(market.KindBook, id, m.recv, m.event, &d.event)
	return nil
}

// bookEntries decodes the entries of a message, into d.entries.
func (d *Decoder) bookEntries(b []byte) ([]market.Entry, error) {
	first, second := &d.entries[0], &d.entries[1]
	order := be.Uint64(b[11:])
	switch b[0] {
	case 'A', 'F':
		s, err := side(b[19])
		*first = market.Entry{OrderID: order, Price: price(b[32:]), Size: shares(b[20:]), Side: s, Action: market.Add}
		return d.entries[:1], err
	case 'E':
		execution(first, second, b, market.UndefPrice, 0)
		return d.entries[:2], nil
	case 'C':
		var flags market.EntryFlags
		if b[31] == 'N' {
			flags = market.EntryNonPrintable
		}
		execution(first, second, b, price(b[32:]), flags)
		return d.entries[:2], nil
	case 'X':
		*first = market.Entry{OrderID: order, Price: market.UndefPrice, Size: shares(b[19:]), Side: market.NoSide, Action: market.Cancel}
		return d.entries[:1], nil
	case 'U':
		*second = market.Entry{OrderID: be.Uint64(b[19:]), Price: price(b[31:]), Size: shares(b[27:]), Side: market.NoSide, Action: market.Add}
		*first = whole(order)
		return d.entries[:2], nil
	default: // D
		*first = whole(order)
		return d.entries[:1], nil
	}
}

// whole is the cancel of a whole order.
func whole(order uint64) market.Entry {
	return market.Entry{OrderID: order, Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Cancel}
}

// execution makes the two entries of E and C: the resting order's fill, and the
// execution itself, whose OrderID is the match number.
func execution(fill, exec *market.Entry, b []byte, price int64, flags market.EntryFlags) {
	*fill = market.Entry{OrderID: be.Uint64(b[11:]), Price: price, Size: shares(b[19:]), Side: market.NoSide, Action: market.Fill, Flags: flags}
	*exec = *fill
	exec.OrderID, exec.Action = be.Uint64(b[23:]), market.Exec
}

func price(b []byte) int64  { return int64(be.Uint32(b)) }
func shares(b []byte) int64 { return int64(be.Uint32(b)) }

// trade writes a trade against a hidden order (P) or of a cross (Q).
func (d *Decoder) trade(m *message) error {
	t := market.Trade{Seq: m.seq, Flags: d.flags, Cond: m.b[0]}
	var err error
	if m.b[0] == 'P' {
		err = hiddenTrade(&t, m.b)
	} else {
		err = crossTrade(&t, m.b)
	}
	if err != nil {
		return err
	}
	id, err := d.instrument(m)
	if err == nil {
		d.e.Trade(id, m.recv, m.event, &t)
	}
	return err
}

// hiddenTrade reads P. Its indicator is the resting order's side, so the
// aggressor's is the opposite.
func hiddenTrade(t *market.Trade, b []byte) error {
	resting, err := side(b[19])
	t.Side = resting.Opposite()
	t.OrderID, t.TradeID = be.Uint64(b[11:]), be.Uint64(b[36:])
	t.Size, t.Price = shares(b[20:]), price(b[32:])
	return err
}

// crossTrade reads Q. A cross without any volume has no price either.
func crossTrade(t *market.Trade, b []byte) error {
	size := be.Uint64(b[11:])
	if size > math.MaxInt64 {
		return emit.OutOfRange
	}
	t.Side, t.TradeID, t.Size, t.Price = market.NoSide, be.Uint64(b[31:]), int64(size), price(b[27:])
	if t.Size == 0 && t.Price == 0 {
		t.Price = market.UndefPrice
	}
	return nil
}

// status keeps any other message verbatim. A directory message (R) defines its
// stock first.
func (d *Decoder) status(m *message) error {
	var id uint32
	var err error
	if m.locate == 0 {
		id, err = d.venueWide(m)
	} else {
		id, err = d.instrument(m)
	}
	if err != nil {
		return err
	}
	st := market.Status{Seq: m.seq, Code: uint16(m.b[0]), Flags: d.flags, Payload: m.b}
	d.e.Status(id, m.recv, m.event, &st)
	return nil
}
