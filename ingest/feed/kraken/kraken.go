// Package kraken understands Kraken's public WebSocket feed, version 1, and the
// AssetPairs response that describes its instruments.
//
//	book-N, as/bs  KindSnapshot          book-N, a/b  KindBook, with the venue's checksum
//	trade          KindTrade, one for each trade of the frame; Cond is the order type
//	ticker         KindQuote             ohlc, spread KindStatus, verbatim
//
// The venue's checksum is over the digits of prices and volumes as it writes
// them, so an instrument's exponents are the decimals of its own frames: they
// come from its first frame and are defined anew when a snapshot has others.
// ts_event of a book event is the latest time of its levels.
//
// A Session belongs to one goroutine.
package kraken

import (
	"strings"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

var _ recording.Session = (*Session)(nil)

// defaultDepth is the depth of a book subscription that names none.
const defaultDepth = 10

// Session turns frames into records.
type Session struct {
	e       *emit.Emitter
	pairs   map[string]pair        // by wsname, from AssetPairs
	books   map[string]bookSource  // by wsname, from our subscriptions
	others  map[string]string      // by wsname: the connection of other channels
	symbols map[string]*instrument // by wsname
	event   market.BookEvent       // reused
}

// pair is what AssetPairs says of a pair.
type pair struct{ tick, lot, currency string }

// bookSource is the connection and depth of a pair's book.
type bookSource struct {
	conn  string
	depth int
}

type instrument struct {
	id                uint32
	priceExp, sizeExp int8
	conn              string // of its book, as defined
	depth             int
}

// New makes a session that writes to e.
func New(e *emit.Emitter) *Session {
	return &Session{
		e: e, pairs: make(map[string]pair), books: make(map[string]bookSource), others: make(map[string]string), symbols: make(map[string]*instrument),
	}
}

// Connect writes that a connection is up.
func (s *Session) Connect(recv int64, conn, addr []byte) {
	s.e.Connect(recv, string(conn), string(addr))
}

// Expect notes a subscription; of a book, unless an earlier one is noted already.
func (s *Session) Expect(conn, frame []byte) { s.subscribe(conn, frame, false) }

// Request notes a subscription.
func (s *Session) Request(_ int64, conn, frame []byte) { s.subscribe(conn, frame, true) }

func (s *Session) subscribe(conn, frame []byte, replace bool) {
	var pairs, subscription []byte
	for o := scan.Members(frame); o.Next(); {
		switch string(o.Key) {
		case "pair":
			pairs = o.Value
		case "subscription":
			subscription = o.Value
		}
	}
	depth := uint64(defaultDepth)
	name := ""
	for o := scan.Members(subscription); o.Next(); {
		switch string(o.Key) {
		case "name":
			name = string(scan.Text(o.Value))
		case "depth":
			depth, _ = scan.Uint(o.Value)
		}
	}
	for a := scan.Elements(pairs); a.Next(); {
		wsname := wsName(a.Value)
		if name != "book" {
			s.others[wsname] = string(conn)
			continue
		}
		if _, known := s.books[wsname]; !known || replace {
			s.books[wsname] = bookSource{conn: string(conn), depth: int(min(depth, 1<<20))}
		}
	}
}

// wsName gives the text of a pair's name, in which "/" may be escaped.
func wsName(v []byte) string {
	text, _ := scan.AppendText(nil, v)
	return string(text)
}

// Response reads an AssetPairs response; others are counted only.
func (s *Session) Response(_ int64, _, _, body []byte) {
	if !scan.Valid(body) {
		s.e.Skip(emit.BadJSON)
		return
	}
	for o := scan.Members(body); o.Next(); {
		if string(o.Key) != "result" {
			continue
		}
		for p := scan.Members(o.Value); p.Next(); {
			s.assetPair(p.Value)
		}
	}
	s.e.Message()
}

func (s *Session) assetPair(v []byte) {
	var wsname string
	var p pair
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "wsname":
			wsname = wsName(o.Value)
		case "pair_decimals":
			p.tick = step(o.Value)
		case "lot_decimals":
			p.lot = step(o.Value)
		}
	}
	if base, quote, ok := strings.Cut(wsname, "/"); ok && base != "" {
		p.currency = quote
		s.pairs[wsname] = p
	}
}

// step gives the smallest number with so many decimals: 2 is "0.01".
func step(v []byte) string {
	n, ok := scan.Uint(v)
	if !ok || n > 18 {
		return ""
	}
	return market.FormatFixed(1, -int8(n))
}

// instrument gives the instrument of wsname, defining it with the given
// exponents if it is new.
func (s *Session) instrument(recv, event int64, wsname []byte, priceExp, sizeExp int8) (*instrument, error) {
	if in, ok := s.symbols[string(wsname)]; ok {
		return in, nil
	}
	name := string(wsname)
	if err := s.e.CheckSymbol(symbolOf(name)); err != nil {
		return nil, err
	}
	in := &instrument{priceExp: priceExp, sizeExp: sizeExp}
	source := s.books[name]
	in.conn, in.depth = source.conn, source.depth
	if in.conn == "" { // it has no book
		in.conn = s.others[name]
	}
	in.id = s.e.Define(recv, event, s.definition(name, in))
	s.symbols[name] = in
	return in, nil
}

func symbolOf(wsname string) string {
	base, quote, ok := strings.Cut(wsname, "/")
	if !ok {
		return market.CanonicalSymbol(wsname)
	}
	return market.PairSymbol(base, quote)
}

func (s *Session) definition(name string, in *instrument) market.Definition {
	p := s.pairs[name]
	return market.Definition{
		ID: in.id, Symbol: symbolOf(name), Native: name, BookType: market.L2,
		PriceExponent: in.priceExp, SizeExponent: in.sizeExp, Channel: in.conn, Depth: in.depth,
		Checksum: "kraken", TickSize: p.tick, LotSize: p.lot, Currency: p.currency,
	}
}
