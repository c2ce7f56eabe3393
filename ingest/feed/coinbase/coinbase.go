// Package coinbase understands Coinbase's public Advanced Trade WebSocket feed
// and the products response that describes its instruments.
//
//	l2_data               KindSnapshot and KindBook: one record for each product of a frame
//	market_trades         KindTrade, in the order of their ids
//	ticker, ticker_batch  KindQuote; without both best prices KindStatus
//	candles, status       KindStatus, each element verbatim (codes in frames.go)
//	heartbeats, subscriptions   counted only
//
// Frames of a connection are numbered: sequence_num. It is Seq of the records. A
// hole is a gap of the connection, for nobody knows which channel the missing
// frame was of. A number that was passed already is a repetition and is left
// out. A change of a book that cannot be used is a gap of that instrument.
//
// The side of a trade is that of the resting order; KindTrade has the aggressor's.
//
// A subscription to market_trades begins with the latest trades. Those since the
// last trade known are trades like any other; with none known, they came before the
// capture, may be in the archive already, and are kept as KindStatus.
//
// Prices are kept at the decimals of the product's price_increment, sizes at
// those of its base_increment. ts_event is the event_time of the changes, the
// time of the trade, or else the frame's timestamp.
//
// A Session belongs to one goroutine.
package coinbase

import (
	"bytes"
	"strings"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

var _ recording.Session = (*Session)(nil)

// Session turns frames into records.
type Session struct {
	e       *emit.Emitter
	listed  map[string]product     // by product_id, from the products response
	books   map[string]string      // by product_id: the connection of its book, or of its first channel
	symbols map[string]*instrument // by product_id
	lines   map[string]*sequence   // by connection
	event   market.BookEvent       // reused
	values  [][]byte               // reused
}

// product is what the products response says of a product.
type product struct{ tick, lot, currency, alias string }

type instrument struct {
	id                uint32
	name              string
	priceExp, sizeExp int8
	conn              string // of its book, as defined

	trade     uint64 // id of the last trade written; 0: none
	recovered uint64 // id of the last trade that came with a subscription
}

// New makes a session that writes to e.
func New(e *emit.Emitter) *Session {
	return &Session{
		e: e, listed: make(map[string]product), books: make(map[string]string),
		symbols: make(map[string]*instrument), lines: make(map[string]*sequence),
	}
}

// Connect writes that a connection is up. Its frames are numbered from 0.
func (s *Session) Connect(recv int64, conn, addr []byte) {
	s.lines[string(conn)] = &sequence{known: true}
	s.e.Connect(recv, string(conn), string(addr))
}

// Expect notes the connection of each product, unless one is noted already.
func (s *Session) Expect(conn, frame []byte) { s.subscribe(conn, frame, false) }

// Request notes the connection of each product's book.
func (s *Session) Request(_ int64, conn, frame []byte) { s.subscribe(conn, frame, true) }

func (s *Session) subscribe(conn, frame []byte, replace bool) {
	var kind, channel, products []byte
	for o := scan.Members(frame); o.Next(); {
		switch string(o.Key) {
		case "type":
			kind = scan.Text(o.Value)
		case "channel":
			channel = scan.Text(o.Value)
		case "product_ids":
			products = o.Value
		}
	}
	if string(kind) != "subscribe" {
		return
	}
	for a := scan.Elements(products); a.Next(); {
		name := string(scan.Text(a.Value))
		if _, known := s.books[name]; !known || replace && string(channel) == "level2" {
			s.books[name] = string(conn)
		}
	}
}

// Response reads a products response; others are counted only.
func (s *Session) Response(_ int64, _, url, body []byte) {
	if !scan.Valid(body) {
		s.e.Skip(emit.BadJSON)
		return
	}
	for o := scan.Members(body); o.Next() && bytes.Contains(url, []byte("/products")); {
		if string(o.Key) != "products" {
			continue
		}
		for a := scan.Elements(o.Value); a.Next(); {
			s.list(a.Value)
		}
	}
	s.e.Message()
}

func (s *Session) list(v []byte) {
	var id string
	var p product
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "product_id":
			id = string(scan.Text(o.Value))
		case "price_increment":
			p.tick = string(scan.Text(o.Value))
		case "base_increment":
			p.lot = string(scan.Text(o.Value))
		case "quote_currency_id":
			p.currency = string(scan.Text(o.Value))
		case "alias":
			p.alias = string(scan.Text(o.Value))
		}
	}
	if id != "" {
		s.listed[id] = p
	}
}

// instrument gives the instrument of a product, defining it if it is new.
func (s *Session) instrument(m *message, event int64, productID []byte) (*instrument, error) {
	if in, ok := s.symbols[string(productID)]; ok {
		return in, nil
	}
	name := string(productID)
	if err := s.e.CheckSymbol(symbolOf(name)); err != nil {
		return nil, err
	}
	p := s.listed[name]
	in := &instrument{
		name: name, conn: string(m.conn),
		priceExp: exponent(p.tick, market.DefaultPriceExponent), sizeExp: exponent(p.lot, market.DefaultSizeExponent),
	}
	if conn, ok := s.books[name]; ok {
		in.conn = conn
	}
	in.id = s.e.Define(m.recv, event, s.definition(in))
	s.symbols[name] = in
	return in, nil
}

func (s *Session) definition(in *instrument) market.Definition {
	p := s.listed[in.name]
	return market.Definition{
		ID: in.id, Symbol: symbolOf(in.name), Native: in.name, BookType: market.L2,
		PriceExponent: in.priceExp, SizeExponent: in.sizeExp, Channel: in.conn,
		TickSize: p.tick, LotSize: p.lot, Currency: p.currency,
	}
}

// symbolOf gives btc_usd for BTC-USD.
func symbolOf(productID string) string {
	return market.CanonicalSymbol(strings.ReplaceAll(productID, "-", "_"))
}

// exponent gives the exponent that holds every multiple of step, such as "0.01".
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

// nanos reads an RFC 3339 time as ns since the epoch.
func nanos(v []byte) (int64, error) {
	text := scan.Text(v)
	if text == nil {
		return 0, emit.MissingField
	}
	var t time.Time
	if err := t.UnmarshalText(text); err != nil {
		return 0, emit.BadField
	}
	if y := t.Year(); y < 1970 || y > 2261 {
		return 0, emit.OutOfRange
	}
	return t.UnixNano(), nil
}
