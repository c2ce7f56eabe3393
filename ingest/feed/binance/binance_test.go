package binance

import (
	"slices"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

func newSession() (*Session, *emittest.Queue, *emit.Counters) {
	q, c := &emittest.Queue{}, &emit.Counters{}
	return New(emit.New(q, c, emit.Options{Venue: "binance-spot"})), q, c
}

// receive hands frames over at 1, 2, 3...
func receive(t *testing.T, frames ...string) (*emittest.Queue, emit.Stats) {
	t.Helper()
	s, q, c := newSession()
	for i, f := range frames {
		s.Receive(int64(i+1), nil, []byte(f))
	}
	s.Finish()
	if err := q.Check(); err != nil {
		t.Fatal(err)
	}
	return q, c.Stats()
}

const (
	spotDepth  = `{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}}`
	spotTicker = `{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}`
	spotTrade  = `{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}`
	spotRest   = `{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","0"],["61838.00000000","1"]]}`
	aggTrade   = `{"stream":"ctkusdt@aggTrade","data":{"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT","p":"1.01100","q":"10","f":1,"l":1,"T":1626992741421,"m":false}}`
)

func TestSpotFrames(t *testing.T) {
	q, stats := receive(t, spotDepth, spotTicker, spotTrade, spotRest)
	if stats.Messages != 4 || stats.Skipped != 0 || stats.Instruments != 1 {
		t.Errorf("counts are %+v", stats)
	}
	books, err := q.Books()
	if err != nil || len(books) != 2 {
		t.Fatalf("%d book records, %v", len(books), err)
	}
	if b := books[0]; b.Seq != 50093239202 || b.PrevSeq != 50093239188 || b.Flags != market.FlagLast|market.FlagMBP ||
		b.Entries[0].Action != market.Cancel || b.Entries[1] != (market.Entry{Price: 61837_640000000, Size: 1_546980000, Side: market.Ask, Action: market.Modify}) {
		t.Errorf("event is %+v", b)
	}
	if at := q.Of(market.KindBook)[0].EventTime; at != 1723161255208_000000 {
		t.Errorf("event time %d, want E", at)
	}
	b := books[1]
	if b.Seq != 50093239218 || b.Flags != market.FlagSnapshot|market.FlagLast|market.FlagMBP || b.AsOfEvent != market.UndefTimestamp || b.AsOfRecv != 4 || len(b.Entries) != 2 || b.Entries[1].Action != market.Add {
		t.Errorf("snapshot is %+v", b)
	}
	trades, err := q.Trades()
	if err != nil || len(trades) != 1 || trades[0] != (market.Trade{TradeID: 3735683259, Price: 61837_630000000, Size: 20000000, Side: market.Ask, Flags: market.FlagLast}) {
		t.Errorf("trades are %+v, %v", trades, err)
	}
	quotes := q.Of(market.KindQuote)
	var quote market.Quote
	if err := quote.Decode(quotes[0].Body); err != nil || quotes[0].EventTime != market.UndefTimestamp ||
		quote != (market.Quote{Seq: 50093239212, BidPrice: 61837_630000000, BidSize: 3_788260000, AskPrice: 61837_640000000, AskSize: 1_546980000, Flags: market.FlagLast}) {
		t.Errorf("quote is %+v at %d, %v", quote, quotes[0].EventTime, err)
	}
}

func TestFramesWithoutAStream(t *testing.T) {
	_, inner, _ := strings.Cut(spotTrade, `"data":`)
	q, stats := receive(t, strings.TrimSuffix(inner, "}"), `{"result":null,"id":1}`)
	if stats.Messages != 2 || len(q.Of(market.KindTrade)) != 1 {
		t.Errorf("counts are %+v", stats)
	}
}

func TestOtherEventsAreKeptVerbatim(t *testing.T) {
	partialFrame := `{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}`
	q, stats := receive(t, aggTrade, partialFrame, strings.Replace(spotDepth, "@depth@100ms", "@depth5@100ms", 1))
	if stats.Messages != 3 || stats.Skipped != 0 || stats.Instruments != 2 {
		t.Errorf("counts are %+v", stats)
	}
	var codes []uint16
	for _, rec := range q.Of(market.KindStatus) {
		var s market.Status
		if err := s.Decode(rec.Body); err != nil || s.Payload[0] != '{' {
			t.Fatalf("status %+v, %v", s, err)
		}
		codes = append(codes, s.Code)
	}
	if !slices.Equal(codes, []uint16{1, 12, 12}) {
		t.Errorf("codes are %v", codes)
	}
}

func TestCoinMargined(t *testing.T) {
	depth := strings.ReplaceAll(spotDepth, "BTCUSDT", "BTCUSD_PERP")
	rest := strings.Replace(spotRest, `{"lastUpdateId"`, `{"symbol":"BTCUSD_PERP","pair":"BTCUSD","lastUpdateId"`, 1)
	q, _ := receive(t, spotTrade, spotDepth, depth, rest)
	defs, err := emittest.JSON[market.Definition](q)
	if err != nil || len(defs) != 2 || defs[1].Symbol != "btc_usd_perp" {
		t.Fatalf("definitions are %+v, %v", defs, err)
	}
	if tag := q.Of(market.KindSnapshot)[0].Tag; tag != defs[1].ID {
		t.Errorf("the snapshot is of instrument %d, want the one it names, %d", tag, defs[1].ID)
	}
}

func TestResponses(t *testing.T) {
	s, q, c := newSession()
	s.Connect(1, []byte("ws.1"), []byte("wss://x"))
	s.Response(2, nil, []byte("https://x/exchangeInfo"), []byte(`{"timezone":"UTC"}`))
	s.Response(3, nil, []byte("https://x/depth?symbol=btcusdt&limit=1000"), []byte(spotRest))
	s.Response(4, nil, []byte("https://x/depth?symbol=ETHUSDT"), []byte(spotRest))
	s.Response(5, nil, []byte("https://x/depth?symbol=ETHUSDT"), []byte(`{"lastUpdateId":`))
	s.Receive(6, nil, []byte(spotDepth))
	defs, err := emittest.JSON[market.Definition](q)
	if err != nil || len(defs) != 2 || defs[0].Native != "BTCUSDT" || len(q.Of(market.KindSnapshot)) != 2 {
		t.Errorf("definitions are %+v, %v", defs, err)
	}
	if st := c.Stats(); st.Messages != 4 || st.SkippedBy["bad_json"] != 1 {
		t.Errorf("counts are %+v", st)
	}
}

func TestTimesInMicroseconds(t *testing.T) {
	q, _ := receive(t, strings.Replace(spotTrade, `"T":1723161255342`, `"T":1723161255342123`, 1))
	if at := q.Of(market.KindTrade)[0].EventTime; at != 1723161255342123_000 {
		t.Errorf("event time %d", at)
	}
}

func FuzzReceive(f *testing.F) {
	for _, frame := range []string{spotDepth, spotTicker, spotTrade, spotRest, aggTrade} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		s, q, c := newSession()
		s.Receive(1, nil, frame)
		s.Receive(2, nil, []byte(spotTrade))
		s.Response(3, nil, frame, frame)
		s.Finish()
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st.Messages+st.Skipped < 3 {
			t.Fatalf("counts are %+v: a frame was lost", st)
		}
	})
}
