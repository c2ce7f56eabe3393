// Package binance understands the traffic of Binance spot, USD-M and COIN-M
// futures: combined-stream frames ({"stream","data"}), bare event frames, and
// REST depth snapshots.
//
//	depthUpdate   KindBook: bids then asks as they come; Seq is u, PrevSeq is pu
//	              (futures) or U-1 (spot)
//	depth (REST)  KindSnapshot: Seq is lastUpdateId
//	trade         KindTrade: TradeID is t; m (the buyer is the maker) makes the
//	              aggressor a seller; Cond is the first letter of X
//	bookTicker    KindQuote: Seq is u
//	others known  KindStatus, verbatim, Code from the table in status.go
//
// ts_event is T (transaction time), else E (event time), else undefined. Prices
// and sizes are kept at the default exponents. Instruments are defined when they
// are first seen; what an exchangeInfo response said of one by then is in its
// definition. The channel is the connection, where there is one: an outage is
// all of its instruments'.
//
// A Session belongs to one goroutine.
package binance

import (
	"bytes"
	"log/slog"
	"math"
	"net/url"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

var _ recording.Session = (*Session)(nil)

// Session turns frames into records.
type Session struct {
	e       *emit.Emitter
	listed  map[string]listing // by native symbol, from exchangeInfo
	conns   map[string]string  // by native symbol: the connection, from our subscriptions
	symbols map[string]*instrument
	only    *instrument // the one instrument seen so far; nil when several
	depth   *instrument // the one instrument with depth events so far; nil when several
	depths  int
	held    *heldSnapshot
	conn    []byte           // of the frame being read
	event   market.BookEvent // reused
}

type instrument struct {
	id       uint32
	native   string
	conn     string // of its frames, as defined
	hasDepth bool
}

// heldSnapshot is a snapshot that came before anything told whose it is.
type heldSnapshot struct {
	recv int64
	body []byte
}

// New makes a session that writes to e.
func New(e *emit.Emitter) *Session {
	return &Session{e: e, listed: make(map[string]listing), conns: make(map[string]string), symbols: make(map[string]*instrument)}
}

// Expect notes the connection of the symbols that will be subscribed, unless one
// is noted already.
func (s *Session) Expect(conn, frame []byte) { s.subscribe(conn, frame, false) }

// Request notes the connection of the symbols that are subscribed.
func (s *Session) Request(_ int64, conn, frame []byte) { s.subscribe(conn, frame, true) }

func (s *Session) subscribe(conn, frame []byte, replace bool) {
	for o := scan.Members(frame); o.Next(); {
		if string(o.Key) != "params" {
			continue
		}
		for a := scan.Elements(o.Value); a.Next(); {
			symbol := string(streamSymbol(a.Value))
			if _, known := s.conns[symbol]; symbol != "" && (!known || replace) {
				s.conns[symbol] = string(conn)
			}
		}
	}
}

// Connect writes that a connection is up.
func (s *Session) Connect(recv int64, conn, addr []byte) {
	s.e.Connect(recv, string(conn), string(addr))
}

// Response reads a REST response: a depth snapshot, whose symbol is in the
// request's URL, or the instrument list. Other responses are counted only.
func (s *Session) Response(recv int64, _, address, body []byte) {
	if !scan.Valid(body) {
		s.e.Skip(emit.BadJSON)
		return
	}
	f := parse(body)
	if f.lastUpdateID == nil {
		s.list(f.symbols)
		s.e.Message()
		return
	}
	f.symbol = scan.Text(f.symbol)
	if u, err := url.Parse(string(address)); err == nil && f.symbol == nil {
		f.symbol = []byte(u.Query().Get("symbol"))
	}
	s.snapshot(recv, &f, body)
}

// Receive reads one frame.
func (s *Session) Receive(recv int64, conn, frame []byte) {
	if !scan.Valid(frame) {
		s.e.Skip(emit.BadJSON)
		return
	}
	s.conn = conn
	defer func() { s.conn = nil }()
	f := parse(frame)
	payload := frame
	if f.data != nil {
		payload = f.data
		stream := f.stream
		f = parse(payload)
		f.stream = stream
	}
	s.dispatch(recv, &f, payload)
}

func (s *Session) dispatch(recv int64, f *fields, payload []byte) {
	var err error
	switch e := scan.Text(f.e); {
	case f.lastUpdateID != nil && f.s == nil && f.stream == nil:
		f.symbol = scan.Text(f.symbol)
		s.snapshot(recv, f, payload)
		return
	case string(e) == "depthUpdate" && !partial(f.stream):
		err = s.depthUpdate(recv, f)
	case string(e) == "trade":
		err = s.trade(recv, f)
	case string(e) == "bookTicker" || e == nil && f.bidSize != nil && f.askSize != nil:
		err = s.bookTicker(recv, f)
	case f.result:
		s.e.Message()
		return
	default:
		err = s.status(recv, f, payload)
	}
	if err != nil {
		s.e.Skip(emit.ReasonOf(err), slog.String("event", string(f.e)), slog.String("symbol", string(f.s)))
		return
	}
	s.e.Message()
}

// partial tells whether a stream sends the top levels again and again
// ("@depth20") rather than changes ("@depth", "@depth@100ms").
func partial(stream []byte) bool {
	_, after, ok := bytes.Cut(stream, []byte("@depth"))
	return ok && len(after) > 0 && after[0] >= '0' && after[0] <= '9'
}

// instrument gives the instrument of a native symbol, defining it if it is new
// or comes over another connection than before.
func (s *Session) instrument(recv int64, native []byte) (*instrument, error) {
	if in, ok := s.symbols[string(native)]; ok {
		s.rename(recv, in)
		return in, nil
	}
	if len(native) == 0 {
		return nil, emit.NoSymbol
	}
	name := string(bytes.ToUpper(native))
	if in, ok := s.symbols[name]; ok {
		s.rename(recv, in)
		return in, nil
	}
	if err := s.e.CheckSymbol(s.symbolOf(name)); err != nil {
		return nil, err
	}
	in := &instrument{native: name, conn: string(s.conn)}
	if s.conn == nil {
		in.conn = s.conns[name]
	}
	in.id = s.e.Define(recv, market.UndefTimestamp, s.definition(in))
	s.only = nil
	if len(s.symbols) == 0 {
		s.only = in
	}
	s.symbols[name] = in
	s.release(in)
	return in, nil
}

// rename defines in anew when the frame being read came over another connection.
func (s *Session) rename(recv int64, in *instrument) {
	if len(s.conn) > 0 && in.conn != string(s.conn) {
		in.conn = string(s.conn)
		s.e.Define(recv, market.UndefTimestamp, s.definition(in))
	}
}

func (s *Session) definition(in *instrument) market.Definition {
	l := s.listed[in.native]
	d := market.Definition{
		ID: in.id, Symbol: s.symbolOf(in.native), Native: in.native, BookType: market.L2, Chained: true,
		PriceExponent: market.DefaultPriceExponent, SizeExponent: market.DefaultSizeExponent,
		Channel: in.conn, TickSize: l.tick, LotSize: l.lot, Currency: l.quote,
	}
	if d.Channel == "" {
		d.Channel = in.native + "@depth"
	}
	return d
}

// millis reads a time in ms (or µs, which Binance sends on demand) as ns.
func millis(values ...[]byte) (int64, error) {
	for _, v := range values {
		if v == nil {
			continue
		}
		n, ok := scan.Uint(v)
		switch {
		case !ok:
			return 0, emit.BadNumber
		case n >= 100_000_000_000_000 && n < math.MaxInt64/1_000:
			return int64(n) * 1_000, nil
		case n >= 100_000_000_000_000:
			return 0, emit.OutOfRange
		}
		return int64(n) * 1_000_000, nil
	}
	return market.UndefTimestamp, nil
}
