package binance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/ws"
)

// place is one of Binance's markets, as it is reached.
type place struct {
	stream, rest string // addresses
	api          string // path of the REST calls
	plain        time.Duration
	intervals    []time.Duration
}

// places are Binance's markets by venue. USD-M books, trades and tickers are on
// the path "public"; plain is the interval of the stream that names none.
var places = map[string]place{
	"binance-spot": {
		"wss://stream.binance.com:9443/stream", "https://api.binance.com", "/api/v3/",
		time.Second, []time.Duration{100 * time.Millisecond, time.Second},
	},
	"binance-usdm": {
		"wss://fstream.binance.com/public/stream", "https://fapi.binance.com", "/fapi/v1/",
		250 * time.Millisecond, []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond},
	},
	"binance-coinm": {
		"wss://dstream.binance.com/stream", "https://dapi.binance.com", "/dapi/v1/",
		250 * time.Millisecond, []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond},
	},
}

// Bounds of a connection and of a request, below what the venue allows.
const (
	symbolsPerConnection = 50
	streamsPerRequest    = 100
	snapshotLevels       = 1000
	defaultInterval      = 100 * time.Millisecond
)

// live is one of Binance's markets as it is subscribed: combined streams of
// changes of depth, of trades and of best prices. Changes are a chain; a snapshot
// to begin it is fetched by HTTP at each start, reconnect and break.
//
// The venue ends a connection after 24 hours; it is renewed before that. The
// request that lists the subscriptions serves as ping: its answer shows that the
// venue is there when nothing is traded.
type live struct {
	*Session
	place
	o ws.Options
}

// Live makes the session and the plan for receiving live from a market:
// "binance-spot", "binance-usdm" or "binance-coinm". It writes to e.
func Live(e *emit.Emitter, market string, o ws.Options) (ws.Venue, error) {
	p, ok := places[market]
	if !ok {
		return nil, fmt.Errorf("market %q: one of %s", market, strings.Join(slices.Sorted(maps.Keys(places)), ", "))
	}
	if err := o.Check(snapshotLevels); err != nil {
		return nil, err
	}
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	if !slices.Contains(p.intervals, o.Interval) {
		return nil, fmt.Errorf("interval %v: one of %v", o.Interval, p.intervals)
	}
	if o.URL != "" {
		p.stream = strings.TrimSuffix(o.URL, "/")
		if u, err := url.Parse(p.stream); err == nil && u.Path == "" {
			p.stream += "/stream"
		}
	}
	if o.RESTURL != "" {
		p.rest = strings.TrimSuffix(o.RESTURL, "/")
	}
	return &live{Session: New(e), place: p, o: o}, nil
}

// Lists implements ws.Venue.
func (l *live) Lists() []string { return []string{l.rest + l.api + "exchangeInfo"} }

// Connections implements ws.Venue.
func (l *live) Connections() ([]ws.Connection, error) {
	symbols, err := ws.Resolve(l.o.Symbols, slices.Collect(maps.Keys(l.listed)), guess, l.e.Log())
	if err != nil {
		return nil, err
	}
	var out []ws.Connection
	for i, group := range ws.Chunks(symbols, symbolsPerConnection) {
		c := ws.Connection{
			Name: ws.Name(i), URL: l.stream, SendEvery: 250 * time.Millisecond, // five requests a second are taken
			Ping: request("LIST_SUBSCRIPTIONS", nil, 0), PingEvery: 20 * time.Second, MaxAge: 23*time.Hour + 30*time.Minute,
		}
		for n, streams := range ws.Chunks(l.streams(group), streamsPerRequest) {
			c.Subscribe = append(c.Subscribe, request("SUBSCRIBE", streams, n+1))
		}
		if l.o.Wants(ws.Book) {
			c.Books = group
		}
		out = append(out, c)
	}
	return out, nil
}

// streams names the streams of some symbols.
func (l *live) streams(symbols []string) (out []string) {
	depth := "@depth"
	if l.o.Interval != l.plain {
		depth += "@" + strconv.FormatInt(l.o.Interval.Milliseconds(), 10) + "ms"
	}
	names := map[string]string{ws.Book: depth, ws.Trades: "@trade", ws.Quotes: "@bookTicker"}
	for _, symbol := range symbols {
		for _, channel := range l.o.Channels {
			out = append(out, strings.ToLower(symbol)+names[channel])
		}
	}
	return out
}

// Resync implements ws.Venue.
func (l *live) Resync(symbol string) ws.Resync {
	q := url.Values{"symbol": {symbol}, "limit": {strconv.Itoa(snapshotLevels)}}
	return ws.Resync{Get: l.rest + l.api + "depth?" + q.Encode()}
}

// request makes a frame to the venue.
func request(method string, params []string, id int) []byte {
	b, err := json.Marshal(struct {
		Method string   `json:"method"`
		Params []string `json:"params,omitempty"`
		ID     int      `json:"id"`
	}{method, params, id})
	if err != nil {
		panic("binance: " + err.Error()) // plain strings always encode
	}
	return b
}

// guess makes the venue's name of a symbol: btc_usdt is BTCUSDT, btc_usd_perp
// BTCUSD_PERP.
func guess(symbol string) string {
	symbol = strings.ToUpper(strings.NewReplacer("/", "_", "-", "_").Replace(symbol))
	base, rest, ok := strings.Cut(symbol, "_")
	quote, suffix, more := strings.Cut(rest, "_")
	switch {
	case more:
		return base + quote + "_" + suffix
	case ok && len(rest) == 6 && strings.Trim(rest, "0123456789") == "", rest == "PERP": // BTCUSDT_230929, BTCUSD_PERP
		return base + "_" + rest
	}
	return base + quote
}
