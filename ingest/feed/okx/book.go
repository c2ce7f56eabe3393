package okx

import (
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// bookFrame writes the events of one book frame. If one cannot be used, the book
// is not known from there on: that is a gap.
func (s *Session) bookFrame(recv int64, conn, inst, action, data []byte) error {
	err := s.bookEvents(recv, conn, inst, action, data)
	if err != nil {
		s.e.Gap(recv, market.Gap{
			Channel: string(conn), Symbol: symbolOf(string(inst)), Cause: market.GapSource, Detail: "a book event that cannot be used",
		})
	}
	return err
}

func (s *Session) bookEvents(recv int64, conn, inst, action, data []byte) error {
	kind := market.KindBook
	switch string(action) {
	case "snapshot":
		kind = market.KindSnapshot
	case "update":
	default:
		return emit.MissingField
	}
	for a := scan.Elements(data); a.Next(); {
		f := parse(a.Value)
		if err := s.bookEvent(recv, conn, inst, kind, &f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) bookEvent(recv int64, conn, inst []byte, kind market.Kind, f *fields) error {
	event, err := millis(f.ts)
	if err != nil {
		return err
	}
	if !scan.IsArray(f.asks) || !scan.IsArray(f.bids) {
		return emit.MissingField
	}
	in, err := s.instrument(recv, event, inst)
	if err != nil {
		return err
	}
	if in.conn != string(conn) {
		in.conn = string(conn)
		s.e.Define(recv, event, s.definition(string(inst), in))
	}
	s.event = market.BookEvent{Flags: market.FlagLast | market.FlagMBP, Entries: s.event.Entries[:0]}
	if kind == market.KindSnapshot {
		s.event.Flags |= market.FlagSnapshot
		s.event.AsOfEvent, s.event.AsOfRecv = event, recv
	}
	if err := s.proof(f); err != nil {
		return err
	}
	if err := s.side(f.bids, market.Bid, kind, in); err != nil {
		return err
	}
	if err := s.side(f.asks, market.Ask, kind, in); err != nil {
		return err
	}
	s.chain(recv, conn, inst, kind, in)
	s.e.Book(kind, in.id, recv, event, &s.event)
	return nil
}

// chain checks that an event follows the one before it, where the venue says. A
// hole is a gap, written before the event that shows it, and once until the next
// snapshot. The venue may begin anew with smaller numbers: only the link counts,
// not the order. The last event sent again changes nothing.
func (s *Session) chain(recv int64, conn, inst []byte, kind market.Kind, in *instrument) {
	seq, prev := s.event.Seq, s.event.PrevSeq
	if kind == market.KindSnapshot {
		in.seq, in.prev, in.broken = seq, prev, false
		return
	}
	if seq == 0 || prev == 0 || in.seq == 0 || in.broken {
		return
	}
	if prev == in.seq || seq == in.seq && prev == in.prev {
		in.seq, in.prev = seq, prev
		return
	}
	in.broken = true
	gap := market.Gap{
		Channel: string(conn), Symbol: symbolOf(string(inst)), Cause: market.GapChain,
		Detail: "an event does not follow the one before it",
	}
	if prev > in.seq {
		gap.FirstSeq, gap.LastSeq = in.seq+1, prev
	}
	s.e.Gap(recv, gap)
}

// proof reads the checksum, a signed 32-bit number, and the sequence numbers,
// of which -1 stands for none. Since 2026 the venue sends 0 for every checksum,
// which is none.
func (s *Session) proof(f *fields) error {
	if f.checksum != nil {
		sum, err := market.ParseFixed(scan.Text(f.checksum), 0)
		if err != nil || sum < -1<<31 || sum >= 1<<32 {
			return emit.BadNumber
		}
		if sum != 0 {
			s.event.Attr, s.event.Checksum = market.AttrChecksum, uint32(sum)
		}
	}
	if n, ok := scan.Uint(f.seq); ok {
		s.event.Seq = n
	}
	if n, ok := scan.Uint(f.prevSeq); ok {
		s.event.PrevSeq = n
	}
	return nil
}

// side appends levels [price, size, 0, orders] to s.event.Entries.
func (s *Session) side(levels []byte, side market.Side, kind market.Kind, in *instrument) error {
	for a := scan.Elements(levels); a.Next(); {
		var parts [4][]byte
		n := scan.Tuple(a.Value, parts[:])
		if n < 2 {
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
		if n == 4 {
			count, _ := scan.Uint(parts[3])
			e.Count = uint32(min(count, 1<<32-1))
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

// size reads a quantity, which is never negative.
func size(v []byte, exp int8) (int64, error) {
	n, err := market.ParseFixed(scan.Text(v), exp)
	if err == nil && n < 0 {
		return 0, emit.OutOfRange
	}
	return n, err
}
