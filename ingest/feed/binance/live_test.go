package binance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/ws"
	"chronicle/market"
)

const exchangeInfo = `{"timezone":"UTC","symbols":[
	{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","stepSize":"0.00001000"},{"filterType":"MARKET_LOT_SIZE","stepSize":"0.5"}]},
	{"symbol":"BTCUSDT_260327","baseAsset":"BTC","quoteAsset":"USDT","filters":[]},
	{"symbol":"AAUSD1","baseAsset":"AA","quoteAsset":"USD1","filters":[]},
	{"symbol":"BTCUSD_PERP","baseAsset":"BTC","quoteAsset":"USD","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.1"}]},
	{"symbol":"ODD","baseAsset":"X","quoteAsset":"Y"}]}`

func newLive(t *testing.T, place string, o ws.Options) (ws.Venue, *emittest.Queue) {
	t.Helper()
	q := &emittest.Queue{}
	v, err := Live(emit.New(q, &emit.Counters{}, emit.Options{Venue: place}), place, o)
	if err != nil {
		t.Fatal(err)
	}
	return v, q
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		place                        string
		interval                     time.Duration
		url, list, snapshot, streams string
	}{
		{"binance-spot", 0, "wss://stream.binance.com:9443/stream", "https://api.binance.com/api/v3/exchangeInfo",
			"https://api.binance.com/api/v3/depth?limit=1000&symbol=BTCUSDT", `["btcusdt@depth@100ms","btcusdt@trade","btcusdt@bookTicker"]`},
		{"binance-spot", time.Second, "wss://stream.binance.com:9443/stream", "https://api.binance.com/api/v3/exchangeInfo",
			"https://api.binance.com/api/v3/depth?limit=1000&symbol=BTCUSDT", `["btcusdt@depth","btcusdt@trade","btcusdt@bookTicker"]`},
		{"binance-usdm", 0, "wss://fstream.binance.com/public/stream", "https://fapi.binance.com/fapi/v1/exchangeInfo",
			"https://fapi.binance.com/fapi/v1/depth?limit=1000&symbol=BTCUSDT", `["btcusdt@depth@100ms","btcusdt@trade","btcusdt@bookTicker"]`},
		{"binance-coinm", 500 * time.Millisecond, "wss://dstream.binance.com/stream", "https://dapi.binance.com/dapi/v1/exchangeInfo",
			"https://dapi.binance.com/dapi/v1/depth?limit=1000&symbol=BTCUSDT", `["btcusdt@depth@500ms","btcusdt@trade","btcusdt@bookTicker"]`},
	} {
		v, _ := newLive(t, c.place, ws.Options{Symbols: []string{"btc_usdt"}, Interval: c.interval})
		v.Response(1, []byte(ws.HTTP), []byte(c.list), []byte(exchangeInfo))
		conns, err := v.Connections()
		if err != nil || len(conns) != 1 || len(v.Lists()) != 1 || v.Lists()[0] != c.list {
			t.Fatalf("%s: %d connections, lists %v, %v", c.place, len(conns), v.Lists(), err)
		}
		if got, want := fmt.Sprintf("%s", conns[0].Subscribe), `[{"method":"SUBSCRIBE","params":`+c.streams+`,"id":1}]`; got != want || conns[0].URL != c.url || fmt.Sprint(conns[0].Books) != "[BTCUSDT]" {
			t.Errorf("%s: %s at %s, want %s at %s", c.place, got, conns[0].URL, want, c.url)
		}
		if r := v.Resync("BTCUSDT"); r.Get != c.snapshot {
			t.Errorf("%s: snapshot %s, want %s", c.place, r.Get, c.snapshot)
		}
	}
}

func TestManySymbols(t *testing.T) {
	var symbols []string
	for i := range 120 {
		symbols = append(symbols, fmt.Sprintf("c%03d_usdt", i))
	}
	v, _ := newLive(t, "binance-spot", ws.Options{Symbols: symbols, URL: "ws://127.0.0.1:1", RESTURL: "http://127.0.0.1:2/"})
	conns, err := v.Connections()
	if err != nil || len(conns) != 3 || len(conns[0].Subscribe) != 2 || len(conns[2].Books) != 20 || conns[1].Name != "ws.2" || conns[0].URL != "ws://127.0.0.1:1/stream" {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	if r := v.Resync("X"); !strings.HasPrefix(r.Get, "http://127.0.0.1:2/api/v3/depth") {
		t.Errorf("snapshot %s", r.Get)
	}
}

func TestOptions(t *testing.T) {
	if _, err := Live(nil, "binance-us", ws.Options{}); err == nil || !strings.Contains(err.Error(), "binance-coinm, binance-spot, binance-usdm") {
		t.Errorf("an unknown market: %v", err)
	}
	if _, err := Live(nil, "binance-spot", ws.Options{Symbols: []string{"x"}, Interval: time.Minute}); err == nil || !strings.Contains(err.Error(), "100ms 1s") {
		t.Errorf("an unknown interval: %v", err)
	}
	for symbol, want := range map[string]string{"btc_usdt": "BTCUSDT", "BTCUSDT": "BTCUSDT", "btc_usd_perp": "BTCUSD_PERP", "BTCUSD_PERP": "BTCUSD_PERP", "btc_usdt_260327": "BTCUSDT_260327", "BTCUSDT_260327": "BTCUSDT_260327", "BTC-USDT": "BTCUSDT"} {
		if got := guess(symbol); got != want {
			t.Errorf("%s is guessed to be %s, want %s", symbol, got, want)
		}
	}
}

// The instrument list gives symbols and steps; the connection is the channel.
func TestListing(t *testing.T) {
	q := &emittest.Queue{}
	s := New(emit.New(q, &emit.Counters{}, emit.Options{Venue: "v"}))
	s.Response(1, nil, []byte("https://x/exchangeInfo"), []byte(exchangeInfo))
	for native, want := range map[string]string{"BTCUSDT": "btc_usdt", "BTCUSDT_260327": "btc_usdt_260327", "AAUSD1": "aa_usd1", "BTCUSD_PERP": "btc_usd_perp", "ODD": "odd", "ETHBTC": "eth_btc"} {
		if got := s.symbolOf(native); got != want {
			t.Errorf("%s is %s, want %s", native, got, want)
		}
	}
	s.Expect([]byte("ws.1"), request("SUBSCRIBE", []string{"btcusdt@depth@100ms", "!ticker@arr"}, 1))
	s.Response(2, []byte("http"), []byte("https://x/depth?symbol=BTCUSDT"), []byte(spotRest))
	s.Receive(2, []byte("ws.1"), []byte(spotDepth))
	s.Receive(3, []byte("ws.1"), []byte(spotTrade))
	s.Receive(4, []byte("ws.2"), []byte(spotTrade))
	s.Response(5, []byte("http"), []byte("https://x/depth?symbol=BTCUSDT"), []byte(spotRest))
	defs, err := emittest.JSON[market.Definition](q)
	if err != nil || len(defs) != 2 {
		t.Fatalf("definitions %+v, %v", defs, err)
	}
	if d := defs[0]; d.Channel != "ws.1" || d.TickSize != "0.01" || d.LotSize != "0.00001" || d.Currency != "USDT" || d.Symbol != "btc_usdt" || !d.Chained {
		t.Errorf("definition %+v", d)
	}
	if d := defs[1]; d.Channel != "ws.2" || d.ID != defs[0].ID {
		t.Errorf("on another connection it is %+v", d)
	}
}
