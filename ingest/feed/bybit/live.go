package bybit

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/ws"
)

// Where the venue is reached.
const (
	liveURL = "wss://stream.bybit.com/v5/public"
	restURL = "https://api.bybit.com"
)

// Bounds of a connection and of a request, within what the venue allows.
const (
	symbolsPerConnection = 50
	topicsPerRequest     = 10
	defaultDepth         = 200
)

// categories are those that are received live.
var categories = []string{spot, "linear"}

// live is Bybit's version 5 feed as it is subscribed: for each category, and each
// group of symbols in it, one connection with books, trades and tickers. Updates
// of a book are a chain; where it breaks the topic is unsubscribed and subscribed
// again, which brings a snapshot. The default depth is 200.
type live struct {
	*Session
	o ws.Options
}

// Live makes the session and the plan for receiving live. It writes to e.
func Live(e *emit.Emitter, o ws.Options) (ws.Venue, error) {
	if err := o.Check(1, 50, 200, 1000); err != nil {
		return nil, err
	}
	if o.Depth == 0 {
		o.Depth = defaultDepth
	}
	if o.URL == "" {
		o.URL = liveURL
	}
	if u, err := url.Parse(o.URL); err == nil && strings.Trim(u.Path, "/") == "" {
		o.URL = strings.TrimSuffix(o.URL, "/") + "/v5/public"
	}
	if o.RESTURL == "" {
		o.RESTURL = restURL
	}
	return &live{Session: New(e), o: o}, nil
}

// Lists implements ws.Venue.
func (l *live) Lists() (urls []string) {
	for _, category := range categories {
		urls = append(urls, strings.TrimSuffix(l.o.RESTURL, "/")+"/v5/market/instruments-info?category="+category+"&limit=1000")
	}
	return urls
}

// Connections implements ws.Venue.
func (l *live) Connections() ([]ws.Connection, error) {
	spellings := l.spellings()
	found, err := ws.Resolve(l.o.Symbols, slices.Collect(maps.Keys(spellings)), guess, l.e.Log())
	if err != nil {
		return nil, err
	}
	groups := make(map[string][]string) // symbols by category
	for _, s := range found {
		n, ok := spellings[s]
		if !ok {
			n = nameOf(s)
		}
		if !slices.Contains(groups[n.category], n.symbol) {
			groups[n.category] = append(groups[n.category], n.symbol)
		}
	}
	var out []ws.Connection
	for _, category := range slices.Sorted(maps.Keys(groups)) {
		for _, group := range ws.Chunks(groups[category], symbolsPerConnection) {
			out = append(out, l.connection(ws.Name(len(out)), category, group))
		}
	}
	return out, nil
}

func (l *live) connection(id, category string, symbols []string) ws.Connection {
	c := ws.Connection{
		Name: id, URL: strings.TrimSuffix(l.o.URL, "/") + "/" + category, SendEvery: 100 * time.Millisecond,
		Ping: []byte(`{"op":"ping"}`), PingEvery: 20 * time.Second, Quiet: 45 * time.Second,
	}
	var topics []string
	for _, symbol := range symbols {
		for _, channel := range l.o.Channels {
			topics = append(topics, l.topic(channel, symbol))
		}
		if l.o.Wants(ws.Book) {
			c.Books = append(c.Books, nativeOf(name{category, symbol}))
		}
	}
	for _, group := range ws.Chunks(topics, topicsPerRequest) {
		c.Subscribe = append(c.Subscribe, frame("subscribe", group...))
	}
	return c
}

func (l *live) topic(channel, symbol string) string {
	switch channel {
	case ws.Book:
		return "orderbook." + strconv.Itoa(l.o.Depth) + "." + symbol
	case ws.Trades:
		return "publicTrade." + symbol
	}
	return "tickers." + symbol
}

// Resync implements ws.Venue.
func (l *live) Resync(native string) ws.Resync {
	topic := l.topic(ws.Book, nameOf(native).symbol)
	return ws.Resync{Send: [][]byte{frame("unsubscribe", topic), frame("subscribe", topic)}}
}

// spellings gives every name by which a listed instrument of the live categories
// can be asked for. A symbol alone is the spot one where there is one.
func (l *live) spellings() map[string]name {
	out := make(map[string]name)
	for _, category := range slices.Backward(categories) {
		for n := range l.listed {
			if n.category == category {
				out[n.symbol], out[nativeOf(n)], out[l.symbolOf(n)] = n, n, n
			}
		}
	}
	return out
}

// nameOf reads a Definition.Native.
func nameOf(native string) name {
	category, symbol, ok := strings.Cut(native, "/")
	if !ok {
		return name{spot, native}
	}
	return name{category, symbol}
}

// guess makes the native name of a symbol: btc_usdt is BTCUSDT, btc_usdt_perp
// linear/BTCUSDT, btc_usdc_perp linear/BTCPERP, btc_usdt_25dec26 linear/BTCUSDT-25DEC26.
func guess(symbol string) string {
	if strings.Contains(symbol, "/") {
		return symbol
	}
	parts := strings.Split(strings.ToUpper(strings.ReplaceAll(symbol, "-", "_")), "_")
	switch {
	case len(parts) == 3 && parts[2] == "PERP" && parts[1] == "USDC":
		return "linear/" + parts[0] + "PERP"
	case len(parts) == 3 && parts[2] == "PERP":
		return "linear/" + parts[0] + parts[1]
	case len(parts) == 3:
		return "linear/" + parts[0] + parts[1] + "-" + parts[2]
	}
	return strings.Join(parts, "")
}

// frame asks for topics, or to end them.
func frame(op string, topics ...string) []byte {
	b, err := json.Marshal(struct {
		Op   string   `json:"op"`
		Args []string `json:"args"`
	}{op, topics})
	if err != nil {
		panic("bybit: " + err.Error()) // plain strings always encode
	}
	return b
}
