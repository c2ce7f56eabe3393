package kraken

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
	return New(emit.New(q, c, emit.Options{Venue: "kraken"})), q, c
}

// receive hands frames over at 1, 2, 3... on connection "ws.50".
func receive(t *testing.T, s *Session, q *emittest.Queue, frames ...string) {
	t.Helper()
	for i, f := range frames {
		s.Receive(int64(i+1), []byte("ws.50"), []byte(f))
	}
	if err := q.Check(); err != nil {
		t.Fatal(err)
	}
}

const (
	assetPairs = `{"error":[],"result":{"XXMRZUSD":{"altname":"XMRUSD","wsname":"XMR\/USD","pair_decimals":2,"lot_decimals":8},"XBTCHF":{"wsname":"XBT\/CHF","pair_decimals":1,"lot_decimals":8},"DARK":{"altname":"DARK.d"}}}`
	subscribe  = `{"event":"subscribe","pair":["XMR/USD","XBT\/CHF"],"subscription":{"name":"book","depth":1000}}`
	snapshot   = `[992,{"as":[["354.20000000","1.00000000","1618678123.481570"],["354.30000000","2.50000000","1618678133.000001"]],"bs":[["354.10000000","3.00000000","1618678100.000000"]]},"book-1000","XMR/USD"]`
	update     = `[992,{"b":[["354.15000000","5.00000000","1618678133.365913"]],"c":"2583817756"},"book-1000","XMR/USD"]`
	bothSides  = `[1920,{"a":[["354.20000000","0.00000000","1618678145.920470"]]},{"b":[["354.20000000","4.00000000","1618678145.920708","r"]],"c":"4105471083"},"book-1000","XMR/USD"]`
	trade      = `[993,[["354.11000000","0.89594024","1618678142.557535","s","l",""],["354.12000000","0.10000000","1618678142.557536","b","m",""]],"trade","XMR/USD"]`
	ticker     = `[996,{"a":["355.24000000",27,"27.19106411"],"b":["354.32000000",6,"6.87748868"],"c":["355.23000000","1.20454360"]},"ticker","XMR/USD"]`
)

func TestBookFrames(t *testing.T) {
	s, q, c := newSession()
	s.Response(1, nil, nil, []byte(assetPairs))
	s.Request(1, []byte("ws.50"), []byte(subscribe))
	receive(t, s, q, snapshot, update, bothSides)
	defs, err := emittest.JSON[market.Definition](q)
	want := market.Definition{ID: 1, Venue: "kraken", Symbol: "xmr_usd", Native: "XMR/USD", BookType: market.L2, PriceExponent: -8, SizeExponent: -8,
		Channel: "ws.50", Depth: 1000, Checksum: "kraken", TickSize: "0.01", LotSize: "0.00000001", Currency: "USD"}
	if err != nil || len(defs) != 1 || defs[0] != want {
		t.Fatalf("definitions are %+v, %v, want %+v", defs, err, want)
	}
	books, err := q.Books()
	if err != nil || len(books) != 3 || c.Stats().Messages != 4 {
		t.Fatalf("%d events, %v, counts %+v", len(books), err, c.Stats())
	}
	if b := books[0]; b.Attr != 0 || b.AsOfEvent != 1618678133000001000 || b.AsOfRecv != 1 || b.Flags&market.FlagSnapshot == 0 || !slices.Equal(b.Entries, []market.Entry{
		{Price: 354_10000000, Size: 3_00000000, Side: market.Bid, Action: market.Add},
		{Price: 354_20000000, Size: 1_00000000, Side: market.Ask, Action: market.Add},
		{Price: 354_30000000, Size: 2_50000000, Side: market.Ask, Action: market.Add},
	}) {
		t.Errorf("snapshot is %+v", b)
	}
	if b := books[2]; b.Attr != market.AttrChecksum || b.Checksum != 4105471083 || !slices.Equal(b.Entries, []market.Entry{
		{Price: 354_20000000, Side: market.Ask, Action: market.Cancel},
		{Price: 354_20000000, Size: 4_00000000, Side: market.Bid, Action: market.Modify},
	}) {
		t.Errorf("event of two payloads is %+v", b)
	}
	if at := q.Of(market.KindBook)[1].EventTime; at != 1618678145920708000 {
		t.Errorf("event time %d, want the latest of its levels", at)
	}
}

func TestTradesAndTicker(t *testing.T) {
	s, q, _ := newSession()
	s.Expect([]byte("ws.50"), []byte(subscribe))
	s.Expect([]byte("ws.99"), []byte(subscribe))
	receive(t, s, q, trade, ticker, snapshot)
	trades, err := q.Trades()
	want := []market.Trade{
		{Price: 354_11000000, Size: 89594024, Side: market.Ask, Cond: 'l', Flags: market.FlagLast},
		{Price: 354_12000000, Size: 10000000, Side: market.Bid, Cond: 'm', Flags: market.FlagLast},
	}
	if err != nil || !slices.Equal(trades, want) {
		t.Errorf("trades are %+v, %v", trades, err)
	}
	if at := q.Of(market.KindTrade)[1].EventTime; at != 1618678142557536000 {
		t.Errorf("event time %d", at)
	}
	var quote market.Quote
	if err := quote.Decode(q.Of(market.KindQuote)[0].Body); err != nil || quote != (market.Quote{BidPrice: 354_32000000, BidSize: 6_87748868, AskPrice: 355_24000000, AskSize: 27_19106411, Flags: market.FlagLast}) {
		t.Errorf("quote is %+v, %v", quote, err)
	}
	if defs, _ := emittest.JSON[market.Definition](q); len(defs) != 1 || defs[0].Channel != "ws.50" || defs[0].Depth != 1000 {
		t.Errorf("definitions are %+v, want one that names the first connection expected for the book", defs)
	}
}

func TestExponentsFollowTheDigitsOfASnapshot(t *testing.T) {
	s, q, c := newSession()
	short := strings.NewReplacer("354.20000000", "354.20000", "354.30000000", "354.30000", "354.10000000", "354.10000").Replace(snapshot)
	finer := strings.Replace(update, "354.15000000", "354.15000001", 1)
	receive(t, s, q, trade, short, strings.Replace(update, "354.15000000", "354.15000", 1), finer)
	defs, _ := emittest.JSON[market.Definition](q)
	if len(defs) != 2 || defs[0].PriceExponent != -8 || defs[1].PriceExponent != -5 || defs[1].ID != defs[0].ID || defs[1].Channel != "ws.50" {
		t.Fatalf("definitions are %+v, want the same instrument anew at -5", defs)
	}
	books, err := q.Books()
	if err != nil || len(books) != 2 || books[1].Entries[0].Price != 354_15000 {
		t.Errorf("events are %+v, %v", books, err)
	}
	if n := c.Stats().SkippedBy["too_many_decimals"]; n != 1 {
		t.Errorf("%d updates with digits that do not fit, want 1", n)
	}
}

func TestFramesOfTheConnection(t *testing.T) {
	s, q, c := newSession()
	s.Connect(1, []byte("ws.50"), []byte("wss://ws.kraken.com"))
	receive(t, s, q, `{"event":"heartbeat"}`, `{"connectionID":1,"event":"systemStatus","status":"online"}`,
		`{"channelID":1,"event":"subscriptionStatus","pair":"XMR/USD","status":"subscribed","subscription":{"name":"trade"}}`)
	s.Connect(9, []byte("ws.50"), []byte("wss://ws.kraken.com"))
	if st := c.Stats(); st.Messages != 3 || st.Records != 4 || st.Gaps != 1 {
		t.Errorf("counts are %+v, want no record but the connections and the gap between them", st)
	}
	gaps, _ := emittest.JSON[market.Gap](q)
	if len(gaps) != 1 || gaps[0].Cause != market.GapDisconnect || gaps[0].Channel != "ws.50" {
		t.Errorf("gaps are %+v", gaps)
	}
}

func TestUnusableFrames(t *testing.T) {
	s, q, c := newSession()
	receive(t, s, q, `{"event":"heartbeat"`, `{"event":"surprise"}`, `[1,2]`, `[1,{},"book-10","XMR/USD"]`, `[1,{},"newchannel","XMR/USD"]`,
		`[1,{"a":[["1.0","x","1.0"]]},"book-10","XMR/USD"]`, `[1,{"a":[["1.0"]]},"book-10","XMR/USD"]`, `[1,{"a":[["1.0","-1","1.0"]]},"book-10","XMR/USD"]`,
		strings.Replace(trade, `"s"`, `"?"`, 1), strings.Replace(update, "2583817756", "4294967296", 1), `[1,{"a":["1"],"b":["1","1","1"]},"ticker","XMR/USD"]`,
		strings.Replace(update, "XMR/USD", " ", 1))
	st := c.Stats()
	want := map[string]uint64{"bad_json": 1, "unknown_type": 3, "missing_field": 3, "bad_number": 2, "number_out_of_range": 1, "bad_field": 1, "no_symbol": 1}
	for reason, n := range want {
		if st.SkippedBy[reason] != n {
			t.Errorf("skipped by %s: %d, want %d", reason, st.SkippedBy[reason], n)
		}
	}
	if st.Skipped != 12 || st.Messages != 0 || len(q.Of(market.KindTrade)) != 0 {
		t.Errorf("counts are %+v", st)
	}
}

func FuzzReceive(f *testing.F) {
	for _, frame := range []string{snapshot, update, bothSides, trade, ticker, assetPairs, subscribe} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		s, q, c := newSession()
		s.Expect([]byte("a"), frame)
		s.Request(1, []byte("b"), frame)
		s.Response(1, nil, nil, frame)
		s.Receive(1, []byte("ws"), frame)
		s.Receive(2, []byte("ws"), []byte(update))
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st.Messages+st.Skipped < 3 {
			t.Fatalf("counts are %+v: a frame was lost", st)
		}
	})
}
