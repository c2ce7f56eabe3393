// Package bybit understands Bybit's public WebSocket feed, version 5, and the
// instruments-info responses that describe its instruments.
//
//	orderbook.N    KindSnapshot and KindBook: Seq is u, PrevSeq of a delta is u - 1
//	publicTrade    KindTrade: Seq is seq, the order of the venue's matching;
//	               Cond is B for a block trade, R for a retail price improvement
//	tickers        KindQuote where the message has both best prices: Seq is cs;
//	               KindStatus, verbatim, where it has anything else
//	others known   KindStatus, verbatim (codes in frames.go)
//
// A symbol is one instrument in each category, and only the address of the
// connection tells the category: BTCUSDT of .../public/spot is btc_usdt, of
// .../public/linear btc_usdt_perp. Definition.Native is the venue's symbol, with
// the category and a slash before it where it is not spot: linear/BTCUSDT.
//
// A snapshot whose u is lower than what came before means that the venue's
// service was restarted and counts anew. So that the snapshot is not taken for
// an old one, a gap of that instrument is written before it. A change of a book
// that cannot be used leaves one too. An instrument has one book: of several
// depths the deepest that came, the others are KindStatus.
//
// Prices are kept at the decimals of tickSize, sizes at those of qtyStep or
// basePrecision. ts_event is cts, the time of the venue's matching, else ts; of a trade, T.
// TradeID is the venue's number, or the first 64 bits of the id where that is a UUID.
//
// A Session belongs to one goroutine.
package bybit

import (
	"bytes"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

var _ recording.Session = (*Session)(nil)

// Session turns frames into records.
type Session struct {
	e       *emit.Emitter
	listed  map[name]listing
	lines   map[string]*line // by connection
	symbols map[name]*instrument
	event   market.BookEvent // reused
}

// name is a symbol of a category.
type name struct{ category, symbol string }

// listing is what the instruments-info response says of an instrument.
type listing struct{ base, quote, contract, tick, lot, currency string }

// line is what is known of a connection.
type line struct {
	category string         // empty until it is up
	books    map[string]int // depth of the books that were asked for over it, by symbol
	symbols  map[string]*instrument
}

type instrument struct {
	id                uint32
	name              name
	priceExp, sizeExp int8
	conn              string // of its book, as defined
	depth             int
	update            uint64 // u of the last book frame on this connection; 0: none
}

// New makes a session that writes to e.
func New(e *emit.Emitter) *Session {
	return &Session{e: e, listed: make(map[name]listing), lines: make(map[string]*line), symbols: make(map[name]*instrument)}
}

// line gives the state of a connection.
func (s *Session) line(conn []byte) *line {
	l := s.lines[string(conn)]
	if l == nil {
		l = &line{books: make(map[string]int), symbols: make(map[string]*instrument)}
		s.lines[string(conn)] = l
	}
	return l
}

// Connect writes that a connection is up. Its address tells the category.
func (s *Session) Connect(recv int64, conn, addr []byte) {
	l := s.line(conn)
	l.category = categoryOf(addr)
	clear(l.symbols)
	for _, in := range s.symbols {
		if in.conn == string(conn) {
			in.update = 0
		}
	}
	s.e.Connect(recv, string(conn), string(addr))
}

// categoryOf gives linear for wss://stream.bybit.com/v5/public/linear.
func categoryOf(addr []byte) string {
	_, after, _ := bytes.Cut(addr, []byte("/public/"))
	category, _, _ := bytes.Cut(after, []byte("?"))
	return string(bytes.Trim(category, "/"))
}

// Expect notes book subscriptions.
func (s *Session) Expect(conn, frame []byte) { s.subscribe(conn, frame) }

// Request notes book subscriptions.
func (s *Session) Request(_ int64, conn, frame []byte) { s.subscribe(conn, frame) }

func (s *Session) subscribe(conn, frame []byte) {
	var op, args []byte
	for o := scan.Members(frame); o.Next(); {
		switch string(o.Key) {
		case "op":
			op = scan.Text(o.Value)
		case "args":
			args = o.Value
		}
	}
	if string(op) != "subscribe" {
		return
	}
	for a := scan.Elements(args); a.Next(); {
		t := parseTopic(scan.Text(a.Value))
		if depth := t.depth(); depth > 0 {
			books := s.line(conn).books
			books[string(t.symbol)] = max(books[string(t.symbol)], depth)
		}
	}
}

// asked gives the connection and depth of the book that was asked for, of several
// connections first this one; conn and 0 where none was.
func (s *Session) asked(n name, conn []byte) (id string, depth int) {
	if depth = s.line(conn).books[n.symbol]; depth > 0 {
		return string(conn), depth
	}
	for other, l := range s.lines {
		if d := l.books[n.symbol]; d > 0 && l.category == n.category && (depth == 0 || other < id) {
			id, depth = other, d
		}
	}
	if depth == 0 {
		id = string(conn)
	}
	return id, depth
}

// instrument gives the instrument of a symbol on a connection, defining it if it
// is new.
func (s *Session) instrument(recv, event int64, conn, symbol []byte) (*instrument, error) {
	l := s.line(conn)
	if in, ok := l.symbols[string(symbol)]; ok {
		return in, nil
	}
	if l.category == "" || len(symbol) == 0 {
		return nil, emit.NoSymbol
	}
	n := name{l.category, string(symbol)}
	in, ok := s.symbols[n]
	if !ok {
		if err := s.e.CheckSymbol(s.symbolOf(n)); err != nil {
			return nil, err
		}
		p := s.listed[n]
		in = &instrument{
			name:     n,
			priceExp: exponent(p.tick, market.DefaultPriceExponent), sizeExp: exponent(p.lot, market.DefaultSizeExponent),
		}
		in.conn, in.depth = s.asked(n, conn)
		in.id = s.e.Define(recv, event, s.definition(in))
		s.symbols[n] = in
	}
	l.symbols[n.symbol] = in
	return in, nil
}

func (s *Session) definition(in *instrument) market.Definition {
	p := s.listed[in.name]
	return market.Definition{
		ID: in.id, Symbol: s.symbolOf(in.name), Native: nativeOf(in.name), BookType: market.L2, Chained: true,
		PriceExponent: in.priceExp, SizeExponent: in.sizeExp, Channel: in.conn, Depth: in.depth,
		TickSize: p.tick, LotSize: p.lot, Currency: p.currency,
	}
}
