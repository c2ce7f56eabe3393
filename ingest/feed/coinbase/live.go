package coinbase

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/ws"
	"chronicle/market"
)

// Where the venue is reached.
const (
	liveURL = "wss://advanced-trade-ws.coinbase.com"
	restURL = "https://api.coinbase.com"
)

// productsPerConnection bounds what one connection carries: a book is all of its
// levels, 5 MB of frames for a large one.
const productsPerConnection = 20

// live is Coinbase's Advanced Trade feed as it is subscribed: for each group of
// products one connection with books, trades, tickers, and heartbeats, so that a
// quiet connection is not taken for a dead one. Frames are numbered; after a hole
// every book of the connection is unsubscribed and subscribed again, which brings
// a snapshot. The book is always of all levels.
//
// A product that is another one's alias (BTC-USDC of BTC-USD) has the other one's
// book and trades: that one is subscribed.
type live struct {
	*Session
	o ws.Options
}

// Live makes the session and the plan for receiving live. It writes to e.
func Live(e *emit.Emitter, o ws.Options) (ws.Venue, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.URL == "" {
		o.URL = liveURL
	}
	if o.RESTURL == "" {
		o.RESTURL = restURL
	}
	return &live{Session: New(e), o: o}, nil
}

// Lists implements ws.Venue.
func (l *live) Lists() []string {
	return []string{strings.TrimSuffix(l.o.RESTURL, "/") + "/api/v3/brokerage/market/products"}
}

// Connections implements ws.Venue.
func (l *live) Connections() ([]ws.Connection, error) {
	listed := slices.Collect(maps.Keys(l.listed))
	products, err := ws.Resolve(l.o.Symbols, listed, guess, l.e.Log())
	if err != nil {
		return nil, err
	}
	var out []ws.Connection
	for i, group := range ws.Chunks(l.ownBooks(products), productsPerConnection) {
		c := ws.Connection{
			Name: ws.Name(i), URL: l.o.URL, SendEvery: 150 * time.Millisecond, // eight requests a second are taken
			Quiet: 20 * time.Second, // a heartbeat comes every second
		}
		c.Subscribe = append(c.Subscribe, frame("subscribe", "heartbeats", nil))
		for _, channel := range l.o.Channels {
			c.Subscribe = append(c.Subscribe, frame("subscribe", channels[channel], group))
		}
		if l.o.Wants(ws.Book) {
			c.Books = group
		}
		out = append(out, c)
	}
	return out, nil
}

// ownBooks puts each product's alias in its place.
func (l *live) ownBooks(products []string) (out []string) {
	for _, name := range products {
		if alias := l.listed[name].alias; alias != "" {
			l.e.Log().Info("coinbase keeps one book for two products", "asked", name, "received", alias)
			name = alias
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Resync implements ws.Venue.
func (l *live) Resync(product string) ws.Resync {
	group := []string{product}
	return ws.Resync{Send: [][]byte{frame("unsubscribe", channels[ws.Book], group), frame("subscribe", channels[ws.Book], group)}}
}

// channels are the venue's names of the channels.
var channels = map[string]string{ws.Book: "level2", ws.Trades: "market_trades", ws.Quotes: "ticker"}

// request is a frame to the venue.
type request struct {
	Type     string   `json:"type"`
	Products []string `json:"product_ids,omitempty"`
	Channel  string   `json:"channel"`
}

// frame asks for a channel of some products, or to end it.
func frame(kind, channel string, products []string) []byte {
	b, err := json.Marshal(request{kind, products, channel})
	if err != nil {
		panic("coinbase: " + err.Error()) // plain strings always encode
	}
	return b
}

// guess makes the venue's name of a product: btc_usd is BTC-USD.
func guess(symbol string) string {
	symbol = strings.NewReplacer("/", "-", "_", "-").Replace(symbol)
	if !strings.Contains(symbol, "-") {
		symbol = strings.ReplaceAll(market.SplitPair(symbol), "_", "-")
	}
	return strings.ToUpper(symbol)
}
