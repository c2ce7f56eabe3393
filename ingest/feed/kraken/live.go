package kraken

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
	liveURL = "wss://ws.kraken.com"
	restURL = "https://api.kraken.com"
)

// pairsPerConnection bounds what one connection carries.
const pairsPerConnection = 100

// live is Kraken's WebSocket v1 as it is subscribed: for each group of pairs one
// connection with books, trades and tickers. Nothing is numbered. Each update of a
// book carries a checksum of its best ten levels; a pair whose checksum does not
// match is unsubscribed and subscribed again, which brings a snapshot.
//
// The default depth is 10, of which the checksum covers every level. Deeper books
// (25, 100, 500, 1000) are proved for their best ten only.
type live struct {
	*Session
	o ws.Options
}

// Live makes the session and the plan for receiving live. It writes to e.
func Live(e *emit.Emitter, o ws.Options) (ws.Venue, error) {
	if err := o.Check(10, 25, 100, 500, 1000); err != nil {
		return nil, err
	}
	if o.Depth == 0 {
		o.Depth = defaultDepth
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
	return []string{strings.TrimSuffix(l.o.RESTURL, "/") + "/0/public/AssetPairs"}
}

// Connections implements ws.Venue.
func (l *live) Connections() ([]ws.Connection, error) {
	pairs, err := ws.Resolve(l.o.Symbols, slices.Collect(maps.Keys(l.pairs)), guess, l.e.Log())
	if err != nil {
		return nil, err
	}
	var out []ws.Connection
	for i, group := range ws.Chunks(pairs, pairsPerConnection) {
		c := ws.Connection{
			Name: ws.Name(i), URL: l.o.URL, SendEvery: 100 * time.Millisecond,
			Ping: []byte(`{"event":"ping"}`), Quiet: 20 * time.Second, // a heartbeat comes every second
		}
		for _, channel := range l.o.Channels {
			c.Subscribe = append(c.Subscribe, l.frame("subscribe", channel, group))
		}
		if l.o.Wants(ws.Book) {
			c.Books = group
		}
		out = append(out, c)
	}
	return out, nil
}

// Resync implements ws.Venue.
func (l *live) Resync(pair string) ws.Resync {
	group := []string{pair}
	return ws.Resync{Send: [][]byte{l.frame("unsubscribe", ws.Book, group), l.frame("subscribe", ws.Book, group)}}
}

// request is a frame to the venue.
type request struct {
	Event        string       `json:"event"`
	Pair         []string     `json:"pair"`
	Subscription subscription `json:"subscription"`
}

type subscription struct {
	Name  string `json:"name"`
	Depth int    `json:"depth,omitempty"`
}

// frame asks for a channel of some pairs, or to end it.
func (l *live) frame(event, channel string, pairs []string) []byte {
	r := request{Event: event, Pair: pairs}
	switch channel {
	case ws.Book:
		r.Subscription = subscription{"book", l.o.Depth}
	case ws.Trades:
		r.Subscription.Name = "trade"
	case ws.Quotes:
		r.Subscription.Name = "ticker"
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("kraken: " + err.Error()) // plain strings always encode
	}
	return b
}

// guess makes the venue's name of a pair: btc_usd is XBT/USD.
func guess(symbol string) string {
	base, quote, _ := strings.Cut(market.SplitPair(strings.NewReplacer("/", "", "-", "", "_", "").Replace(symbol)), "_")
	return code(base) + "/" + code(quote)
}

// code gives the venue's own code of a currency.
func code(currency string) string {
	switch currency {
	case "btc":
		return "XBT"
	case "doge":
		return "XDG"
	}
	return strings.ToUpper(currency)
}
