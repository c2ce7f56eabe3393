package kraken

import (
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// frameBook is what the payloads of one book frame hold.
type frameBook struct {
	sides    [4]side // in the frame's order
	n        int
	snapshot bool
	checksum []byte
}

type side struct {
	side   market.Side
	levels []byte
}

// book reads a snapshot or an update; an update of both sides comes as two
// payloads, which are one event.
func (s *Session) book(recv int64, conn, channel, wsname []byte, payloads [][]byte) error {
	f, err := parseBook(payloads)
	if err != nil {
		return err
	}
	priceExp, sizeExp, ok := f.exponents()
	in, known := s.symbols[string(wsname)]
	if !known && !ok {
		priceExp, sizeExp = market.DefaultPriceExponent, market.DefaultSizeExponent
	}
	use := instrument{priceExp: priceExp, sizeExp: sizeExp}
	if known && (!f.snapshot || !ok) { // between snapshots the exponents stand
		use = *in
	}
	event, err := s.entries(&f, &use)
	if err != nil {
		return err
	}
	if in, err = s.instrument(recv, event, wsname, use.priceExp, use.sizeExp); err != nil {
		return err
	}
	s.redefine(recv, event, in, wsname, conn, depthOf(channel), use)
	kind, err := s.finish(recv, event, &f)
	if err == nil {
		s.e.Book(kind, in.id, recv, event, &s.event)
	}
	return err
}

// redefine defines in anew when its book comes with another connection, depth
// or, at a snapshot, other exponents than were defined.
func (s *Session) redefine(recv, event int64, in *instrument, wsname, conn []byte, depth int, use instrument) {
	if in.conn == string(conn) && in.depth == depth && in.priceExp == use.priceExp && in.sizeExp == use.sizeExp {
		return
	}
	in.conn, in.depth, in.priceExp, in.sizeExp = string(conn), depth, use.priceExp, use.sizeExp
	s.e.Define(recv, event, s.definition(string(wsname), in))
}

// finish fills in everything of s.event but its entries.
func (s *Session) finish(recv, event int64, f *frameBook) (market.Kind, error) {
	s.event = market.BookEvent{Flags: market.FlagLast | market.FlagMBP, Entries: s.event.Entries}
	if f.checksum != nil {
		sum, ok := scan.Uint(f.checksum)
		if !ok || sum > 1<<32-1 {
			return 0, emit.BadNumber
		}
		s.event.Attr, s.event.Checksum = market.AttrChecksum, uint32(sum)
	}
	if !f.snapshot {
		return market.KindBook, nil
	}
	s.event.Flags |= market.FlagSnapshot
	s.event.AsOfEvent, s.event.AsOfRecv = event, recv
	return market.KindSnapshot, nil
}

func parseBook(payloads [][]byte) (f frameBook, err error) {
	for _, p := range payloads {
		for o := scan.Members(p); o.Next(); {
			switch key := string(o.Key); key {
			case "as", "bs":
				f.snapshot = true
				err = f.add(key[0], o.Value)
			case "a", "b":
				err = f.add(key[0], o.Value)
			case "c":
				f.checksum = o.Value
			}
			if err != nil {
				return f, err
			}
		}
	}
	if f.n == 0 {
		return f, emit.MissingField
	}
	return f, nil
}

func (f *frameBook) add(key byte, levels []byte) error {
	if f.n == len(f.sides) || !scan.IsArray(levels) {
		return emit.MissingField
	}
	s := side{market.Ask, levels}
	if key == 'b' {
		s.side = market.Bid
	}
	f.sides[f.n] = s
	f.n++
	return nil
}

// exponents gives the exponents of the frame's first level; ok is false when it
// has none.
func (f *frameBook) exponents() (price, size int8, ok bool) {
	for _, side := range f.sides[:f.n] {
		for a := scan.Elements(side.levels); a.Next(); {
			var level [2][]byte
			if scan.Tuple(a.Value, level[:]) == 2 {
				return exponent(scan.Text(level[0])), exponent(scan.Text(level[1])), true
			}
		}
	}
	return 0, 0, false
}

// entries reads the levels into s.event.Entries and gives the latest of their
// times. A snapshot's bids come before its asks, an update keeps its order.
func (s *Session) entries(f *frameBook, in *instrument) (event int64, err error) {
	s.event.Entries, event = s.event.Entries[:0], market.UndefTimestamp
	if f.snapshot {
		for i := 1; i < f.n; i++ {
			if f.sides[i].side == market.Bid && f.sides[i-1].side == market.Ask {
				f.sides[i], f.sides[i-1] = f.sides[i-1], f.sides[i]
			}
		}
	}
	for _, side := range f.sides[:f.n] {
		for a := scan.Elements(side.levels); a.Next(); {
			entry, at, err := level(a.Value, in)
			if err != nil {
				return 0, err
			}
			event = max(event, at)
			entry.Side = side.side
			if entry, ok := action(entry, f.snapshot); ok {
				s.event.Entries = append(s.event.Entries, entry)
			}
		}
	}
	return event, nil
}

// action sets what the entry does; a level without size is no part of a snapshot.
func action(e market.Entry, snapshot bool) (market.Entry, bool) {
	switch {
	case snapshot:
		e.Action = market.Add
		return e, e.Size != 0
	case e.Size == 0:
		e.Action = market.Cancel
	default:
		e.Action = market.Modify
	}
	return e, true
}

// level reads [price, volume, time(, "r")].
func level(v []byte, in *instrument) (e market.Entry, at int64, err error) {
	var parts [3][]byte
	if scan.Tuple(v, parts[:]) != 3 {
		return e, 0, emit.MissingField
	}
	if e.Price, err = market.ParseFixed(scan.Text(parts[0]), in.priceExp); err != nil {
		return e, 0, err
	}
	if e.Size, err = market.ParseFixed(scan.Text(parts[1]), in.sizeExp); err != nil {
		return e, 0, err
	}
	if e.Size < 0 {
		return e, 0, emit.OutOfRange
	}
	at, err = seconds(parts[2])
	return e, at, err
}

// depthOf reads N of "book-N".
func depthOf(channel []byte) int {
	n, ok := scan.Uint(channel[len("book-"):])
	if !ok || n > 1<<20 {
		return 0
	}
	return int(n)
}
