package bybit

import (
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// bookFrame writes the event of an orderbook frame. What cannot be read leaves a
// gap: deltas after a lost snapshot could look like old ones.
func (s *Session) bookFrame(m *message) error {
	depth := m.topic.depth()
	if depth == 0 {
		return s.status(m, codeBook)
	}
	in, err := s.instrument(m.recv, m.at, m.conn, m.topic.symbol)
	if err != nil {
		return err
	}
	if in.update != 0 && depth < in.depth {
		return s.status(m, codeBook)
	}
	kind, err := s.read(m, in)
	if err != nil {
		s.lost(m, in, market.GapSource, "a book event that cannot be used")
		return err
	}
	s.follow(m, in, depth)
	s.e.Book(kind, in.id, m.recv, m.at, &s.event)
	return nil
}

// read reads a frame into s.event.
func (s *Session) read(m *message, in *instrument) (kind market.Kind, err error) {
	switch string(m.kind) {
	case "snapshot":
		kind = market.KindSnapshot
	case "delta":
		kind = market.KindBook
	default:
		return 0, emit.MissingField
	}
	var bids, asks, update []byte
	for o := scan.Members(m.data); o.Next(); {
		switch string(o.Key) {
		case "b":
			bids = o.Value
		case "a":
			asks = o.Value
		case "u":
			update = o.Value
		}
	}
	u, ok := scan.Uint(update)
	if !ok || u == 0 || !scan.IsArray(bids) || !scan.IsArray(asks) {
		return 0, emit.MissingField
	}
	s.event = market.BookEvent{Seq: u, Flags: market.FlagLast | market.FlagMBP, Entries: s.event.Entries[:0]}
	if kind == market.KindSnapshot {
		s.event.Flags |= market.FlagSnapshot
		s.event.AsOfEvent, s.event.AsOfRecv = m.at, m.recv
	} else {
		s.event.PrevSeq = u - 1
	}
	if err := s.side(bids, market.Bid, kind, in); err != nil {
		return 0, err
	}
	return kind, s.side(asks, market.Ask, kind, in)
}

// side appends levels [price, size] to s.event.Entries.
func (s *Session) side(levels []byte, side market.Side, kind market.Kind, in *instrument) error {
	for a := scan.Elements(levels); a.Next(); {
		var parts [2][]byte
		if scan.Tuple(a.Value, parts[:]) != 2 {
			return emit.MissingField
		}
		e := market.Entry{Side: side, Action: market.Modify}
		var err error
		if e.Price, err = market.ParseFixed(scan.Text(parts[0]), in.priceExp); err != nil {
			return err
		}
		if e.Size, err = size(parts[1], in.sizeExp); err != nil {
			return err
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
	return nil
}

// follow keeps count of the updates. A book that counts anew, or comes at another
// depth, does not continue the one before.
func (s *Session) follow(m *message, in *instrument, depth int) {
	moved := in.conn != string(m.conn)
	if in.update != 0 && (s.event.Seq < in.update || depth != in.depth || moved) {
		s.lost(m, in, market.GapChain, "the venue's book begins anew")
	}
	if in.depth != depth || moved {
		in.depth, in.conn = depth, string(m.conn)
		s.e.Define(m.recv, m.at, s.definition(in))
	}
	in.update = s.event.Seq
}

// lost writes that the book of one instrument cannot be followed any more.
func (s *Session) lost(m *message, in *instrument, cause market.GapCause, why string) {
	s.e.Gap(m.recv, market.Gap{Channel: in.conn, Symbol: s.symbolOf(in.name), Cause: cause, Detail: why})
}

// size reads a quantity, which is never negative.
func size(v []byte, exp int8) (int64, error) {
	n, err := market.ParseFixed(scan.Text(v), exp)
	if err == nil && n < 0 {
		return 0, emit.OutOfRange
	}
	return n, err
}
