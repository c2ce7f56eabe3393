// Package okx understands OKX's public WebSocket feed, version 5, and the
// instruments responses that describe its instruments.
//
//	books, books-l2-tbt, books50-l2-tbt   KindSnapshot and KindBook, with the
//	                                      venue's checksum and, where sent, seqId
//	trades, trades-all                    KindTrade
//	tickers                               KindQuote
//	others known                          KindStatus, verbatim (codes in frames.go)
//
// Prices are kept at the decimals of the instrument's tick, sizes at those of
// its lot. The venue's checksum is over numbers without trailing zeros, so any
// exponent that holds all digits serves it.
//
// A Session belongs to one goroutine.
package okx

import (
	"bytes"
	"strings"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

var _ recording.Session = (*Session)(nil)

// Session turns frames into records.
type Session struct {
	e       *emit.Emitter
	listed  map[string]listing     // by instId, from the instruments responses
	books   map[string]string      // by instId: the connection of its book
	others  map[string]string      // by instId: the connection of other channels
	symbols map[string]*instrument // by instId
	event   market.BookEvent       // reused
}

// listing is what the instruments response says of an instrument.
type listing struct{ tick, lot, currency string }

type instrument struct {
	id                uint32
	priceExp, sizeExp int8
	conn              string // of its book, as defined

	seq, prev uint64 // of the last book event, where the venue sends them
	broken    bool   // a hole was seen, and no snapshot since
}

// New makes a session that writes to e.
func New(e *emit.Emitter) *Session {
	return &Session{
		e: e, listed: make(map[string]listing), books: make(map[string]string), others: make(map[string]string), symbols: make(map[string]*instrument),
	}
}

// Connect writes that a connection is up.
func (s *Session) Connect(recv int64, conn, addr []byte) {
	s.e.Connect(recv, string(conn), string(addr))
}

// Expect notes subscriptions; of books, unless earlier ones are noted already.
func (s *Session) Expect(conn, frame []byte) { s.subscribe(conn, frame, false) }

// Request notes subscriptions.
func (s *Session) Request(_ int64, conn, frame []byte) { s.subscribe(conn, frame, true) }

func (s *Session) subscribe(conn, frame []byte, replace bool) {
	for o := scan.Members(frame); o.Next(); {
		if string(o.Key) != "args" {
			continue
		}
		for a := scan.Elements(o.Value); a.Next(); {
			arg := parseArg(a.Value)
			if !isBook(arg.channel) {
				s.others[string(arg.inst)] = string(conn)
				continue
			}
			if _, known := s.books[string(arg.inst)]; !known || replace {
				s.books[string(arg.inst)] = string(conn)
			}
		}
	}
}

// arg names a channel and an instrument.
type arg struct{ channel, inst []byte }

func parseArg(v []byte) (a arg) {
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "channel":
			a.channel = scan.Text(o.Value)
		case "instId":
			a.inst = scan.Text(o.Value)
		}
	}
	return a
}

func isBook(channel []byte) bool {
	switch string(channel) {
	case "books", "books-l2-tbt", "books50-l2-tbt":
		return true
	}
	return false
}

// Response reads an instruments response; others are counted only.
func (s *Session) Response(_ int64, _, url, body []byte) {
	if !scan.Valid(body) {
		s.e.Skip(emit.BadJSON)
		return
	}
	for o := scan.Members(body); o.Next() && bytes.Contains(url, []byte("instruments")); {
		if string(o.Key) != "data" {
			continue
		}
		for a := scan.Elements(o.Value); a.Next(); {
			s.list(a.Value)
		}
	}
	s.e.Message()
}

func (s *Session) list(v []byte) {
	var inst string
	var l listing
	for o := scan.Members(v); o.Next(); {
		switch text := scan.Text(o.Value); string(o.Key) {
		case "instId":
			inst = string(text)
		case "tickSz":
			l.tick = string(text)
		case "lotSz":
			l.lot = string(text)
		case "quoteCcy", "settleCcy":
			if len(text) > 0 {
				l.currency = string(text)
			}
		}
	}
	if inst != "" {
		s.listed[inst] = l
	}
}

// instrument gives the instrument of instId, defining it if it is new.
func (s *Session) instrument(recv, event int64, instID []byte) (*instrument, error) {
	if in, ok := s.symbols[string(instID)]; ok {
		return in, nil
	}
	name := string(instID)
	if err := s.e.CheckSymbol(symbolOf(name)); err != nil {
		return nil, err
	}
	l := s.listed[name]
	in := &instrument{conn: s.books[name], priceExp: exponent(l.tick, market.DefaultPriceExponent), sizeExp: exponent(l.lot, market.DefaultSizeExponent)}
	if in.conn == "" { // it has no book
		in.conn = s.others[name]
	}
	in.id = s.e.Define(recv, event, s.definition(name, in))
	s.symbols[name] = in
	return in, nil
}

func (s *Session) definition(name string, in *instrument) market.Definition {
	l := s.listed[name]
	return market.Definition{
		ID: in.id, Symbol: symbolOf(name), Native: name, BookType: market.L2,
		PriceExponent: in.priceExp, SizeExponent: in.sizeExp, Channel: in.conn,
		Checksum: "okx", TickSize: l.tick, LotSize: l.lot, Currency: l.currency,
	}
}

// symbolOf gives btc_usdt for BTC-USDT and uni_usd_swap for UNI-USD-SWAP.
func symbolOf(instID string) string {
	return market.CanonicalSymbol(strings.ReplaceAll(instID, "-", "_"))
}

// exponent gives the exponent that holds every multiple of step, such as "0.001".
func exponent(step string, unknown int8) int8 {
	if step == "" {
		return unknown
	}
	for exp := int8(0); exp >= -18; exp-- {
		if _, err := market.ParseFixed(step, exp); err == nil {
			return exp
		}
	}
	return unknown
}
