package emit

import (
	"slices"

	"chronicle/market"
)

// maxBody bounds one record, far below what a queue segment holds.
const maxBody = 16 << 20

// Define writes an instrument's definition and gives its id. With ID 0 it is a
// new instrument; with the ID of a known one it is written only if it differs
// from the definition in force.
func (e *Emitter) Define(recv, event int64, d market.Definition) uint32 {
	d.Venue = e.opts.Venue
	if d.ID != 0 && int(d.ID) <= len(e.defs) {
		if e.defs[d.ID-1].Definition == d {
			return d.ID
		}
	} else {
		d.ID = uint32(len(e.defs) + 1)
		e.defs = append(e.defs, definition{})
		e.c.Instruments.Add(1)
	}
	e.defs[d.ID-1] = definition{Definition: d, body: market.EncodeJSON(&d)}
	if d.Channel != "" && !slices.Contains(e.channels, d.Channel) {
		e.channels = append(e.channels, d.Channel)
	}
	e.writeDefinition(recv, event, d.ID)
	return d.ID
}

// Definition gives the definition in force of an id that Define has given.
func (e *Emitter) Definition(id uint32) market.Definition { return e.defs[id-1].Definition }

// Book writes a KindBook or KindSnapshot record.
func (e *Emitter) Book(kind market.Kind, id uint32, recv, event int64, b *market.BookEvent) {
	n := b.Size(kind)
	if n > maxBody {
		e.Skip(TooLarge)
		return
	}
	if body := e.reserve(recv, id, n); body != nil {
		b.Put(body, kind)
		e.commit(kind, id, recv, event, n)
	}
}

// Trade writes a KindTrade record.
func (e *Emitter) Trade(id uint32, recv, event int64, t *market.Trade) {
	if body := e.reserve(recv, id, market.TradeSize); body != nil {
		t.Put(body)
		e.commit(market.KindTrade, id, recv, event, market.TradeSize)
	}
}

// Quote writes a KindQuote record.
func (e *Emitter) Quote(id uint32, recv, event int64, q *market.Quote) {
	if body := e.reserve(recv, id, market.QuoteSize); body != nil {
		q.Put(body)
		e.commit(market.KindQuote, id, recv, event, market.QuoteSize)
	}
}

// Status writes a KindStatus record.
func (e *Emitter) Status(id uint32, recv, event int64, s *market.Status) {
	n := s.Size()
	if n > maxBody {
		e.Skip(TooLarge)
		return
	}
	if body := e.reserve(recv, id, n); body != nil {
		s.Put(body)
		e.commit(market.KindStatus, id, recv, event, n)
	}
}

// Session writes a KindSession record; Source and Venue are filled in.
func (e *Emitter) Session(recv int64, s market.Session) {
	s.Source, s.Venue = e.opts.Source, e.opts.Venue
	e.put(market.KindSession, recv, market.EncodeJSON(&s))
}

// Gap writes a KindGap record that ends now; Venue is filled in, and Start is
// ts_recv of the last record before it (recv when there is none).
func (e *Emitter) Gap(recv int64, g market.Gap) {
	start := recv
	if e.last != market.UndefTimestamp {
		start = e.last
	}
	e.gap(recv, start, g)
}

func (e *Emitter) gap(recv, start int64, g market.Gap) {
	g.Venue, g.Start, g.End = e.opts.Venue, min(start, recv), recv
	e.c.Gaps.Add(1)
	e.put(market.KindGap, recv, market.EncodeJSON(&g))
}

// Damage counts that the source breaks off here, and writes one gap for each of
// its channels, because nobody knows what the missing part held.
func (e *Emitter) Damage(cause error) {
	e.Skip(Damaged)
	e.opts.Log.Warn("source is damaged: what came before it is kept", "name", e.opts.Name, e.opts.Unit, e.pos, "error", cause)
	if e.last == market.UndefTimestamp {
		return
	}
	channels := e.channels
	if len(channels) == 0 {
		channels = []string{""}
	}
	for _, channel := range channels {
		e.Gap(e.max, market.Gap{Channel: channel, Cause: market.GapSource, Detail: "the source breaks off here"})
	}
}

// End writes source_end: the recording is complete. It writes nothing for a
// source that had no records.
func (e *Emitter) End() {
	if e.last != market.UndefTimestamp {
		e.Session(e.max, market.Session{Event: market.SessionSourceEnd, Input: e.opts.Input, Name: e.opts.Name})
	}
}

func (e *Emitter) put(kind market.Kind, recv int64, body []byte) {
	if b := e.reserve(recv, 0, len(body)); b != nil {
		copy(b, body)
		e.commit(kind, 0, recv, market.UndefTimestamp, len(body))
	}
}

// Connect writes that a connection is up. When it was up before, what the venue
// sent meanwhile is missing: that is a gap.
func (e *Emitter) Connect(recv int64, conn, addr string) {
	g := market.Gap{Channel: conn, Cause: market.GapDisconnect}
	heard, known := e.heard[conn]
	switch {
	case known:
		e.gap(recv, heard, g)
		delete(e.heard, conn)
	case slices.Contains(e.connected, conn):
		e.Gap(recv, g)
	default:
		e.connected = append(e.connected, conn)
	}
	e.Session(recv, market.Session{Event: market.SessionConnect, Channel: conn, Name: addr})
}

// Heard tells when something last came over a connection that is down now. The gap
// of its outage begins there, rather than with the last record of any connection.
func (e *Emitter) Heard(conn string, recv int64) {
	if e.heard == nil {
		e.heard = make(map[string]int64)
	}
	e.heard[conn] = recv
}

// MaxInstruments bounds the instruments of one source, so that broken input
// cannot fill the memory.
const MaxInstruments = 1 << 20

// CheckSymbol tells whether an instrument of that symbol can be defined.
func (e *Emitter) CheckSymbol(symbol string) error {
	if len(e.defs) >= MaxInstruments {
		return TooMany
	}
	if _, err := market.ParseSymbolID("venue:" + symbol); err != nil {
		return NoSymbol
	}
	return nil
}
