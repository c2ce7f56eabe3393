package coinbase

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/ws"
)

func plan(t *testing.T, o ws.Options) *live {
	t.Helper()
	e := emit.New(&emittest.Queue{}, &emit.Counters{}, emit.Options{Venue: "coinbase", Log: slog.New(slog.DiscardHandler)})
	v, err := Live(e, o)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*live)
}

func TestPlan(t *testing.T) {
	l := plan(t, ws.Options{Symbols: []string{"btc_usdc", "BTC/USD", "nope_usd"}, Channels: []string{ws.Book, ws.Trades}, RESTURL: "http://x/"})
	if got := l.Lists(); !slices.Equal(got, []string{"http://x/api/v3/brokerage/market/products"}) {
		t.Errorf("lists are %v", got)
	}
	l.Response(1, nil, []byte(l.Lists()[0]), []byte(products))
	conns, err := l.Connections()
	if err != nil || len(conns) != 1 {
		t.Fatalf("connections are %+v, %v", conns, err)
	}
	c := conns[0]
	want := []string{`{"type":"subscribe","channel":"heartbeats"}`, `{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}`, `{"type":"subscribe","product_ids":["BTC-USD"],"channel":"market_trades"}`}
	if got := text(c.Subscribe); c.URL != liveURL || !slices.Equal(got, want) || !slices.Equal(c.Books, []string{"BTC-USD"}) {
		t.Errorf("the connection is %+v, %q, want one book for a product and its alias", c, got)
	}
	r := l.Resync("BTC-USD")
	if got := text(r.Send); r.Get != "" || !slices.Equal(got, []string{strings.Replace(want[1], "subscribe", "unsubscribe", 1), want[1]}) {
		t.Errorf("a resync is %q", got)
	}
}

func TestPlanOfManyProducts(t *testing.T) {
	var symbols []string
	for i := range 2*productsPerConnection + 1 {
		symbols = append(symbols, fmt.Sprintf("a%d_usd", i))
	}
	l := plan(t, ws.Options{Symbols: symbols, Channels: []string{ws.Trades}, URL: "ws://127.0.0.1:1"})
	conns, err := l.Connections() // the list could not be had
	if err != nil || len(conns) != 3 || conns[2].Name == conns[0].Name || conns[2].URL != "ws://127.0.0.1:1" || conns[0].Books != nil {
		t.Errorf("connections are %+v, %v", conns, err)
	}
	if got := text(conns[2].Subscribe)[1]; got != `{"type":"subscribe","product_ids":["A40-USD"],"channel":"market_trades"}` {
		t.Errorf("the last subscription is %s", got)
	}
	e := emit.New(&emittest.Queue{}, &emit.Counters{}, emit.Options{})
	for _, o := range []ws.Options{{}, {Symbols: symbols, Depth: 50}, {Symbols: symbols, Channels: []string{"all"}}} {
		if _, err := Live(e, o); err == nil {
			t.Errorf("options %+v are taken", o)
		}
	}
}

func text(frames [][]byte) (out []string) {
	for _, f := range frames {
		out = append(out, string(f))
	}
	return out
}
