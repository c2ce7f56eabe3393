package okx

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
	liveURL = "wss://ws.okx.com:8443/ws/v5/public"
	restURL = "https://www.okx.com"
)

// bookDepth is the number of levels a side of the channel "books".
const bookDepth = 400

// instrumentsPerConnection bounds what one connection carries. The venue takes
// 480 requests an hour on one, of which each resync needs two.
const instrumentsPerConnection = 60

// live is OKX's WebSocket v5 as it is subscribed: for each group of instruments
// one connection with books, trades and tickers. Book events name the one that
// they follow, and used to carry a checksum; where either does not hold, the
// instrument is unsubscribed and subscribed again, which brings a snapshot.
type live struct {
	*Session
	o ws.Options
}

// Live makes the session and the plan for receiving live. It writes to e.
func Live(e *emit.Emitter, o ws.Options) (ws.Venue, error) {
	if err := o.Check(bookDepth); err != nil {
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

// Lists implements ws.Venue. Options are not listed: the venue wants their
// underlying named.
func (l *live) Lists() (urls []string) {
	for _, kind := range []string{"SPOT", "SWAP", "FUTURES"} {
		urls = append(urls, strings.TrimSuffix(l.o.RESTURL, "/")+"/api/v5/public/instruments?instType="+kind)
	}
	return urls
}

// Connections implements ws.Venue.
func (l *live) Connections() ([]ws.Connection, error) {
	instruments, err := ws.Resolve(l.o.Symbols, slices.Collect(maps.Keys(l.listed)), guess, l.e.Log())
	if err != nil {
		return nil, err
	}
	var out []ws.Connection
	for i, group := range ws.Chunks(instruments, instrumentsPerConnection) {
		c := ws.Connection{
			Name: ws.Name(i), URL: l.o.URL, SendEvery: 100 * time.Millisecond,
			Ping: []byte("ping"), PingEvery: 15 * time.Second, Quiet: 40 * time.Second, // it hangs up after 30 s without either
		}
		for _, channel := range l.o.Channels {
			c.Subscribe = append(c.Subscribe, frame("subscribe", channel, group))
		}
		if l.o.Wants(ws.Book) {
			c.Books = group
		}
		out = append(out, c)
	}
	return out, nil
}

// Resync implements ws.Venue.
func (l *live) Resync(inst string) ws.Resync {
	group := []string{inst}
	return ws.Resync{Send: [][]byte{frame("unsubscribe", ws.Book, group), frame("subscribe", ws.Book, group)}}
}

// request is a frame to the venue.
type request struct {
	Op   string    `json:"op"`
	Args []channel `json:"args"`
}

type channel struct {
	Channel string `json:"channel"`
	InstID  string `json:"instId"`
}

// names are the venue's names of the channels.
var names = map[string]string{ws.Book: "books", ws.Trades: "trades", ws.Quotes: "tickers"}

// frame asks for a channel of some instruments, or to end it.
func frame(op, name string, instruments []string) []byte {
	r := request{Op: op}
	for _, inst := range instruments {
		r.Args = append(r.Args, channel{names[name], inst})
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("okx: " + err.Error()) // plain strings always encode
	}
	return b
}

// guess makes the venue's name of an instrument: btc_usdt is BTC-USDT,
// uni_usd_swap UNI-USD-SWAP.
func guess(symbol string) string {
	symbol = strings.NewReplacer("/", "-", "_", "-").Replace(symbol)
	if !strings.Contains(symbol, "-") {
		symbol = strings.ReplaceAll(market.SplitPair(symbol), "_", "-")
	}
	return strings.ToUpper(symbol)
}
