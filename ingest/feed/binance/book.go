package binance

import (
	"bytes"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// depthUpdate writes a book event. The chain of events (PrevSeq to Seq) is how
// a reader finds out about an event that is missing.
func (s *Session) depthUpdate(recv int64, f *fields) error {
	event, err := millis(f.time, f.eventTime)
	if err != nil {
		return err
	}
	if err := s.sequence(f); err != nil {
		return err
	}
	if err := s.levels(f.bid, f.ask, market.Modify); err != nil {
		return err
	}
	s.event.Flags = market.FlagLast | market.FlagMBP
	in, err := s.instrument(recv, scan.Text(f.s))
	if err != nil {
		return err
	}
	s.seenDepth(in)
	s.e.Book(market.KindBook, in.id, recv, event, &s.event)
	return nil
}

func (s *Session) sequence(f *fields) error {
	last, ok := scan.Uint(f.last)
	if !ok {
		return emit.MissingField
	}
	prev, ok := scan.Uint(f.prev)
	if f.prev == nil {
		first, okFirst := scan.Uint(f.first)
		prev, ok = first-1, okFirst && first > 0
	}
	if !ok {
		return emit.MissingField
	}
	s.event = market.BookEvent{Seq: last, PrevSeq: prev, Entries: s.event.Entries[:0]}
	return nil
}

// seenDepth keeps track of which instrument a snapshot without a symbol is of.
func (s *Session) seenDepth(in *instrument) {
	if in.hasDepth {
		return
	}
	in.hasDepth = true
	s.depths++
	s.depth = nil
	if s.depths == 1 {
		s.depth = in
	}
}

// levels reads both sides into s.event.Entries. set is the action for a level
// with a size; one without is cancelled, and left out of a snapshot.
func (s *Session) levels(bids, asks []byte, set market.Action) error {
	if !scan.IsArray(bids) || !scan.IsArray(asks) {
		return emit.MissingField
	}
	entries, err := appendSide(s.event.Entries[:0], bids, market.Bid, set)
	if err == nil {
		entries, err = appendSide(entries, asks, market.Ask, set)
	}
	s.event.Entries = entries
	return err
}

func appendSide(dst []market.Entry, levels []byte, side market.Side, set market.Action) ([]market.Entry, error) {
	var level [2][]byte
	for a := scan.Elements(levels); a.Next(); {
		if scan.Tuple(a.Value, level[:]) != 2 {
			return dst, emit.MissingField
		}
		price, err := market.ParseFixed(scan.Text(level[0]), market.DefaultPriceExponent)
		if err != nil {
			return dst, err
		}
		size, err := size(level[1])
		if err != nil {
			return dst, err
		}
		e := market.Entry{Price: price, Size: size, Side: side, Action: set}
		if size == 0 {
			if set == market.Add {
				continue
			}
			e.Action = market.Cancel
		}
		dst = append(dst, e)
	}
	return dst, nil
}

// size reads a quantity, which is never negative.
func size(v []byte) (int64, error) {
	n, err := market.ParseFixed(scan.Text(v), market.DefaultSizeExponent)
	if err == nil && n < 0 {
		return 0, emit.OutOfRange
	}
	return n, err
}

// snapshot writes a REST snapshot. One that names no symbol is the one
// instrument's, or that of the one with depth events; when nothing has been seen
// yet it waits for the first instrument.
func (s *Session) snapshot(recv int64, f *fields, body []byte) {
	in := s.only
	if in == nil {
		in = s.depth
	}
	if len(f.symbol) > 0 {
		named, err := s.instrument(recv, f.symbol)
		if err != nil {
			s.e.Skip(emit.ReasonOf(err))
			return
		}
		in = named
	}
	if in == nil && len(s.symbols) == 0 && s.held == nil {
		s.held = &heldSnapshot{recv: recv, body: bytes.Clone(body)}
		return
	}
	if in == nil {
		s.e.Skip(emit.NoSymbol)
		return
	}
	s.book(recv, in, f)
}

// release writes the snapshot that waited for in, the first instrument.
func (s *Session) release(in *instrument) {
	if held := s.held; held != nil {
		s.held = nil
		event := s.event // the caller's event is half way
		s.event = market.BookEvent{}
		f := parse(held.body)
		s.book(held.recv, in, &f)
		s.event = event
	}
}

// Finish counts a snapshot that no instrument came for. Call it at the end of
// the input.
func (s *Session) Finish() {
	if s.held != nil {
		s.held = nil
		s.e.Skip(emit.NoSymbol)
	}
}

// book writes the snapshot f of in.
func (s *Session) book(recv int64, in *instrument, f *fields) {
	last, ok := scan.Uint(f.lastUpdateID)
	event, err := millis(f.time, f.eventTime)
	if !ok {
		err = emit.MissingField
	}
	if err == nil {
		err = s.levels(f.bids, f.asks, market.Add)
	}
	if err != nil {
		s.e.Skip(emit.ReasonOf(err))
		return
	}
	s.event = market.BookEvent{
		Seq: last, Flags: market.FlagSnapshot | market.FlagMBP | market.FlagLast,
		AsOfEvent: event, AsOfRecv: recv, Entries: s.event.Entries,
	}
	s.e.Book(market.KindSnapshot, in.id, recv, event, &s.event)
	s.e.Message()
}
