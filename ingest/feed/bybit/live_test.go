package bybit

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/ws"
)

func plan(t *testing.T, o ws.Options) *live {
	t.Helper()
	e := emit.New(&emittest.Queue{}, &emit.Counters{}, emit.Options{Venue: "bybit", Log: slog.New(slog.DiscardHandler)})
	v, err := Live(e, o)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*live)
}

func TestPlan(t *testing.T) {
	l := plan(t, ws.Options{Symbols: []string{"BTC-USDT", "btc_usdt_perp", "linear/BTCUSDT", "ETHPERP", "bybit:btc_usdt_14aug26", "nope"}, Channels: []string{ws.Book, ws.Quotes}, RESTURL: "http://x"})
	want := []string{"http://x/v5/market/instruments-info?category=spot&limit=1000", "http://x/v5/market/instruments-info?category=linear&limit=1000"}
	if got := l.Lists(); !slices.Equal(got, want) {
		t.Errorf("lists are %v", got)
	}
	l.Response(1, nil, []byte(want[0]), []byte(spotList))
	l.Response(1, nil, []byte(want[1]), []byte(linearList))
	conns, err := l.Connections()
	if err != nil || len(conns) != 2 {
		t.Fatalf("connections are %+v, %v, want one for each category", conns, err)
	}
	for i, want := range []struct {
		url   string
		send  []string
		books []string
	}{
		{liveURL + "/linear", []string{`{"op":"subscribe","args":["orderbook.200.BTCUSDT","tickers.BTCUSDT","orderbook.200.ETHPERP","tickers.ETHPERP","orderbook.200.BTCUSDT-14AUG26","tickers.BTCUSDT-14AUG26"]}`},
			[]string{"linear/BTCUSDT", "linear/ETHPERP", "linear/BTCUSDT-14AUG26"}},
		{liveURL + "/spot", []string{`{"op":"subscribe","args":["orderbook.200.BTCUSDT","tickers.BTCUSDT"]}`}, []string{"BTCUSDT"}},
	} {
		c := conns[i]
		if c.URL != want.url || !slices.Equal(text(c.Subscribe), want.send) || !slices.Equal(c.Books, want.books) || string(c.Ping) != `{"op":"ping"}` {
			t.Errorf("connection %d is %+v, %q", i, c, text(c.Subscribe))
		}
	}
	if conns[0].Name == conns[1].Name {
		t.Error("connections have one name")
	}
	r := l.Resync("linear/BTCUSDT")
	if got := text(r.Send); r.Get != "" || !slices.Equal(got, []string{`{"op":"unsubscribe","args":["orderbook.200.BTCUSDT"]}`, `{"op":"subscribe","args":["orderbook.200.BTCUSDT"]}`}) {
		t.Errorf("a resync is %q", got)
	}
}

func TestPlanOfManySymbols(t *testing.T) {
	var symbols []string
	for i := range symbolsPerConnection + 1 {
		symbols = append(symbols, fmt.Sprintf("a%d_usdt_perp", i))
	}
	l := plan(t, ws.Options{Symbols: symbols, Depth: 50, URL: "ws://127.0.0.1:1"})
	conns, err := l.Connections() // the list could not be had
	if err != nil || len(conns) != 2 || conns[0].URL != "ws://127.0.0.1:1/v5/public/linear" || len(conns[0].Subscribe) != 15 {
		t.Fatalf("connections are %+v, %v", conns, err)
	}
	if got := text(conns[1].Subscribe); !slices.Equal(got, []string{`{"op":"subscribe","args":["orderbook.50.A50USDT","publicTrade.A50USDT","tickers.A50USDT"]}`}) {
		t.Errorf("the last subscription is %q", got)
	}
	if got := plan(t, ws.Options{Symbols: symbols, URL: "wss://h/v5/public/"}).o.URL; got != "wss://h/v5/public/" {
		t.Errorf("an address with a path became %s", got)
	}
	e := emit.New(&emittest.Queue{}, &emit.Counters{}, emit.Options{})
	for _, o := range []ws.Options{{}, {Symbols: symbols, Depth: 77}, {Symbols: symbols, Channels: []string{"all"}}} {
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
