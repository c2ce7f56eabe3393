package kraken

import (
	"fmt"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/ws"
	"chronicle/market"
)

func newLive(t *testing.T, o ws.Options) ws.Venue {
	t.Helper()
	v, err := Live(emit.New(&emittest.Queue{}, &emit.Counters{}, emit.Options{Venue: "kraken"}), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPlan(t *testing.T) {
	v := newLive(t, ws.Options{Symbols: []string{"xmr_usd", "kraken:BTC/CHF", "xbtchf", "no_such"}, Channels: []string{"book", "trades"}, Depth: 100})
	if got := strings.Join(v.Lists(), " "); got != "https://api.kraken.com/0/public/AssetPairs" {
		t.Errorf("lists %s", got)
	}
	v.Response(1, []byte(ws.HTTP), []byte(v.Lists()[0]), []byte(assetPairs))
	conns, err := v.Connections()
	if err != nil || len(conns) != 1 {
		t.Fatalf("%d connections, %v", len(conns), err)
	}
	c := conns[0]
	if c.Name != "ws.1" || c.URL != liveURL || fmt.Sprint(c.Books) != "[XMR/USD XBT/CHF]" || fmt.Sprintf("%s", c.Subscribe) !=
		`[{"event":"subscribe","pair":["XMR/USD","XBT/CHF"],"subscription":{"name":"book","depth":100}} {"event":"subscribe","pair":["XMR/USD","XBT/CHF"],"subscription":{"name":"trade"}}]` {
		t.Errorf("connection %+v subscribes %s", c, c.Subscribe)
	}
	if r := v.Resync("XMR/USD"); r.Get != "" || fmt.Sprintf("%s", r.Send) !=
		`[{"event":"unsubscribe","pair":["XMR/USD"],"subscription":{"name":"book","depth":100}} {"event":"subscribe","pair":["XMR/USD"],"subscription":{"name":"book","depth":100}}]` {
		t.Errorf("resync %s", r.Send)
	}
}

func TestPlanWithoutAList(t *testing.T) {
	v := newLive(t, ws.Options{Symbols: []string{"btc_usd", "XBTUSD", "doge/eur", "ETHUSDT"}, Channels: []string{"quotes"}})
	conns, err := v.Connections()
	if err != nil || len(conns) != 1 || len(conns[0].Books) != 0 || string(conns[0].Subscribe[0]) !=
		`{"event":"subscribe","pair":["XBT/USD","XDG/EUR","ETH/USDT"],"subscription":{"name":"ticker"}}` {
		t.Errorf("%s, %v", conns[0].Subscribe, err)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    ws.Options
		want string
	}{
		{ws.Options{}, "symbols is empty"},
		{ws.Options{Symbols: []string{"x"}, Depth: 7}, "depth 7: one of [10 25 100 500 1000]"},
		{ws.Options{Symbols: []string{"x"}, Channels: []string{"candles"}}, `channel "candles": there are book, trades, quotes`},
		{ws.Options{Symbols: []string{"x"}, URL: "https://x"}, `url "https://x": write wss://host`},
		{ws.Options{Symbols: []string{"x"}, RESTURL: "x"}, `rest_url "x": write https://host`},
	} {
		if _, err := Live(nil, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.o, err, c.want)
		}
	}
}

// A frame that cannot be read, or a book event that cannot be used, is a gap:
// nothing else would tell that a level is wrong below the best ten.
func TestUnusableFramesAreGaps(t *testing.T) {
	s, q, _ := newSession()
	receive(t, s, q, snapshot, `[992,{"b":`, strings.Replace(update, "354.15000000", "x", 1), `{"event":"surprise"}`)
	gaps, err := emittest.JSON[market.Gap](q)
	if err != nil || len(gaps) != 2 || gaps[0].Channel != "ws.50" || gaps[0].Symbol != "" || gaps[1].Symbol != "xmr_usd" || gaps[1].Cause != market.GapSource {
		t.Errorf("gaps %+v", gaps)
	}
}

// Without a book the connection of the other channels is the channel, so that its
// outages are the instrument's.
func TestTradesAlone(t *testing.T) {
	s, q, _ := newSession()
	s.Expect([]byte("ws.50"), []byte(`{"event":"subscribe","pair":["XMR/USD"],"subscription":{"name":"trade"}}`))
	receive(t, s, q, trade)
	defs, err := emittest.JSON[market.Definition](q)
	if err != nil || len(defs) != 1 || defs[0].Channel != "ws.50" {
		t.Errorf("definitions %+v, %v", defs, err)
	}
}
