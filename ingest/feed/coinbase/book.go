package coinbase

import (
	"bytes"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// bookFrame writes the events of an l2_data frame: successive updates of one
// product are one event. One that cannot be used is counted, and is a gap; those of
// other products are kept.
func (s *Session) bookFrame(m *message, events []byte) error {
	if !scan.IsArray(events) {
		s.broken(m, nil)
		return emit.MissingField
	}
	var last []byte // the product whose updates are in s.event
	var event int64
	for a := scan.Elements(events); a.Next(); {
		kind, productID, updates := bookEvent(a.Value)
		if last != nil && (kind != market.KindBook || !bytes.Equal(productID, last)) {
			if err := s.writeBook(m, market.KindBook, last, event); err != nil {
				return err
			}
			last = nil
		}
		if last == nil {
			s.event.Entries, event = s.event.Entries[:0], market.UndefTimestamp
		}
		at, err := s.levels(m, kind, productID, updates)
		if err != nil { // what is collected of this product goes with it
			s.skip(err, a.Value)
			s.broken(m, productID)
			last = nil
			continue
		}
		event = max(event, at)
		if last = productID; kind == market.KindSnapshot {
			last = nil
			if err := s.writeBook(m, kind, productID, event); err != nil {
				return err
			}
		}
	}
	if last == nil {
		return nil
	}
	return s.writeBook(m, market.KindBook, last, event)
}

// bookEvent reads the members of one event; kind is 0 for one of another type.
func bookEvent(v []byte) (kind market.Kind, productID, updates []byte) {
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "type":
			switch string(scan.Text(o.Value)) {
			case "snapshot":
				kind = market.KindSnapshot
			case "update":
				kind = market.KindBook
			}
		case "product_id":
			productID = scan.Text(o.Value)
		case "updates":
			updates = o.Value
		}
	}
	return kind, productID, updates
}

// levels appends the changes of one event to s.event.Entries and gives the latest
// of their times.
func (s *Session) levels(m *message, kind market.Kind, productID, updates []byte) (event int64, err error) {
	if kind == 0 || !scan.IsArray(updates) {
		return 0, emit.MissingField
	}
	in, err := s.instrument(m, m.at, productID)
	if err != nil {
		return 0, err
	}
	var stamp []byte // the same on every level, as a rule
	event = market.UndefTimestamp
	for a := scan.Elements(updates); a.Next(); {
		e, at, err := level(a.Value, in)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(at, stamp) {
			ns, err := nanos(at)
			if err != nil {
				return 0, err
			}
			event, stamp = max(event, ns), at
		}
		switch {
		case kind == market.KindSnapshot && e.Size == 0:
			continue
		case kind == market.KindSnapshot:
			e.Action = market.Add
		case e.Size == 0:
			e.Action = market.Cancel
		}
		s.event.Entries = append(s.event.Entries, e)
	}
	return event, nil
}

// level reads {"side","event_time","price_level","new_quantity"}.
func level(v []byte, in *instrument) (e market.Entry, at []byte, err error) {
	var side, price, quantity []byte
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "side":
			side = scan.Text(o.Value)
		case "event_time":
			at = o.Value
		case "price_level":
			price = scan.Text(o.Value)
		case "new_quantity":
			quantity = scan.Text(o.Value)
		}
	}
	e.Action = market.Modify
	switch string(side) {
	case "bid":
		e.Side = market.Bid
	case "offer", "ask":
		e.Side = market.Ask
	default:
		return e, nil, emit.BadField
	}
	if e.Price, err = market.ParseFixed(price, in.priceExp); err != nil {
		return e, nil, err
	}
	e.Size, err = size(quantity, in.sizeExp)
	return e, at, err
}

// writeBook writes s.event.Entries as an event of a product.
func (s *Session) writeBook(m *message, kind market.Kind, productID []byte, event int64) error {
	if event == market.UndefTimestamp {
		event = m.at
	}
	in, err := s.instrument(m, event, productID)
	if err != nil {
		return err
	}
	if in.conn != string(m.conn) {
		in.conn = string(m.conn)
		s.e.Define(m.recv, event, s.definition(in))
	}
	s.event = market.BookEvent{Seq: m.seq, Flags: market.FlagLast | market.FlagMBP, Entries: s.event.Entries}
	if kind == market.KindSnapshot {
		s.event.Flags |= market.FlagSnapshot
		s.event.AsOfEvent, s.event.AsOfRecv = event, m.recv
	}
	s.e.Book(kind, in.id, m.recv, event, &s.event)
	return nil
}

// broken writes that a change of a product's book is missing: it came, but could
// not be used. Where the product is not known it may be any of the connection.
func (s *Session) broken(m *message, productID []byte) {
	g := market.Gap{Channel: string(m.conn), FirstSeq: m.seq, LastSeq: m.seq, Cause: market.GapSource, Detail: "a book event that cannot be used"}
	if in := s.symbols[string(productID)]; in != nil {
		g.Channel, g.Symbol = in.conn, symbolOf(in.name)
	}
	s.e.Gap(m.recv, g)
}

// size reads a quantity, which is never negative.
func size(v []byte, exp int8) (int64, error) {
	n, err := market.ParseFixed(v, exp)
	if err == nil && n < 0 {
		return 0, emit.OutOfRange
	}
	return n, err
}
