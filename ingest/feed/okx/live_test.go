package okx

import (
	"fmt"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/ws"
	"chronicle/market"
)

func TestPlan(t *testing.T) {
	e := emit.New(&emittest.Queue{}, &emit.Counters{}, emit.Options{Venue: "okx"})
	v, err := Live(e, ws.Options{Symbols: []string{"btc_usdt", "UNI-USD-SWAP", "okx:no_such"}, Channels: []string{"book", "quotes"}})
	if err != nil {
		t.Fatal(err)
	}
	if lists := v.Lists(); len(lists) != 3 || lists[1] != "https://www.okx.com/api/v5/public/instruments?instType=SWAP" {
		t.Errorf("lists %s", lists)
	}
	v.Response(1, []byte(ws.HTTP), []byte(v.Lists()[0]), []byte(instruments))
	conns, err := v.Connections()
	if err != nil || len(conns) != 1 {
		t.Fatalf("%d connections, %v", len(conns), err)
	}
	c := conns[0]
	if c.Name != "ws.1" || c.URL != liveURL || string(c.Ping) != "ping" || fmt.Sprint(c.Books) != "[BTC-USDT UNI-USD-SWAP]" || fmt.Sprintf("%s", c.Subscribe) !=
		`[{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"},{"channel":"books","instId":"UNI-USD-SWAP"}]} {"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"},{"channel":"tickers","instId":"UNI-USD-SWAP"}]}]` {
		t.Errorf("connection %+v subscribes %s", c, c.Subscribe)
	}
	if r := v.Resync("BTC-USDT"); fmt.Sprintf("%s", r.Send) !=
		`[{"op":"unsubscribe","args":[{"channel":"books","instId":"BTC-USDT"}]} {"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}]` {
		t.Errorf("resync %s", r.Send)
	}
	for symbol, want := range map[string]string{"btc_usdt": "BTC-USDT", "BTCUSDT": "BTC-USDT", "uni_usd_swap": "UNI-USD-SWAP", "BTC/USD": "BTC-USD"} {
		if got := guess(symbol); got != want {
			t.Errorf("%s is guessed to be %s, want %s", symbol, got, want)
		}
	}
}

// numbered gives a book update of a sequence.
func numbered(seq, prev int64) string {
	return fmt.Sprintf(`{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[["1","1","0","1"]],"ts":"1652459225564","checksum":0,"seqId":%d,"prevSeqId":%d}]}`, seq, prev)
}

// Events name the one they follow. A hole is one gap, before the event that shows
// it, until the next snapshot; numbers that begin anew are none.
func TestChain(t *testing.T) {
	s, q, _ := newSession()
	whole := strings.Replace(snapshot, `"checksum":-914047754`, `"checksum":0,"seqId":10,"prevSeqId":-1`, 1)
	receive(t, s, q, whole, numbered(15, 10), numbered(15, 10), numbered(15, 15), numbered(3, 15), numbered(8, 3), // all follow
		numbered(20, 12), numbered(21, 20), numbered(30, 25), // a hole
		strings.Replace(whole, `"seqId":10`, `"seqId":40`, 1), numbered(41, 40), numbered(44, 43)) // good again, and a hole
	var kinds strings.Builder
	for _, k := range q.Kinds() {
		if k != market.KindSession && k != market.KindDefinition {
			kinds.WriteString(k.String()[:1])
		}
	}
	if got := kinds.String(); got != "sbbbbbgbbbsbgb" {
		t.Errorf("records are %s, want the gaps before the events that show them", got)
	}
	gaps, err := emittest.JSON[market.Gap](q)
	if err != nil || len(gaps) != 2 || gaps[0].Cause != market.GapChain || gaps[0].Symbol != "btc_usdt" || gaps[0].Channel != "ws.1" || gaps[0].FirstSeq != 9 || gaps[0].LastSeq != 12 {
		t.Errorf("gaps %+v, %v", gaps, err)
	}
	for _, b := range must(q.Books()) {
		if b.Attr&market.AttrChecksum != 0 {
			t.Errorf("a checksum of 0 is none: %+v", b)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A frame that cannot be read, or a book event that cannot be used, is a gap.
func TestUnusableFramesAreGaps(t *testing.T) {
	s, q, _ := newSession()
	receive(t, s, q, snapshot, `{"arg":`, strings.Replace(update, "30243.5", "x", 1), `{"event":"surprise"}`)
	gaps := must(emittest.JSON[market.Gap](q))
	if len(gaps) != 2 || gaps[0].Channel != "ws.1" || gaps[0].Symbol != "" || gaps[1].Symbol != "btc_usdt" || gaps[1].Cause != market.GapSource {
		t.Errorf("gaps %+v", gaps)
	}
}

// Without a book the connection of the other channels is the channel, so that its
// outages are the instrument's.
func TestTradesAlone(t *testing.T) {
	s, q, _ := newSession()
	s.Expect([]byte("ws.1"), []byte(`{"op":"subscribe","args":[{"channel":"trades","instId":"UNI-USD-SWAP"}]}`))
	receive(t, s, q, trades)
	defs, err := emittest.JSON[market.Definition](q)
	if err != nil || len(defs) != 1 || defs[0].Channel != "ws.1" {
		t.Errorf("definitions %+v, %v", defs, err)
	}
}
