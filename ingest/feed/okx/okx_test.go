package okx

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
	return New(emit.New(q, c, emit.Options{Venue: "okx"})), q, c
}

// receive hands frames over at 1, 2, 3... on connection "ws.1".
func receive(t *testing.T, s *Session, q *emittest.Queue, frames ...string) {
	t.Helper()
	for i, f := range frames {
		s.Receive(int64(i+1), []byte("ws.1"), []byte(f))
	}
	if err := q.Check(); err != nil {
		t.Fatal(err)
	}
}

const (
	instruments = `{"code":"0","data":[{"instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT","settleCcy":"","tickSz":"0.1","lotSz":"0.00000001"},{"instId":"UNI-USD-SWAP","quoteCcy":"","settleCcy":"UNI","tickSz":"0.001","lotSz":"1"}],"msg":""}`
	subscribe   = `{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"},{"channel":"books","instId":"BTC-USDT"}]}`
	snapshot    = `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["30243.5","1.2112","0","4"]],"bids":[["30243.4","0.059","0","1"],["30243.3","2","0","2"]],"ts":"1652459225464","checksum":-914047754}]}`
	update      = `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["30243.5","0","0","0"],["30249.3","0.06523858","0","1"]],"bids":[],"ts":"1652459225564","checksum":914047754,"seqId":12,"prevSeqId":10}]}`
	trades      = `{"arg":{"channel":"trades","instId":"UNI-USD-SWAP"},"data":[{"instId":"UNI-USD-SWAP","tradeId":"12883020","px":"5.123","sz":"100","side":"sell","ts":"1652459215150"},{"instId":"UNI-USD-SWAP","tradeId":"12883021","px":"5.124","sz":"1","side":"buy","ts":"1652459215151"}]}`
	tickers     = `{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","last":"30218.8","askPx":"30220.1","askSz":"3","bidPx":"","bidSz":"","ts":"1652459223003"}]}`
)

func TestBookFrames(t *testing.T) {
	s, q, c := newSession()
	s.Response(1, nil, []byte("https://x/public/instruments?instType=SPOT"), []byte(instruments))
	s.Expect([]byte("ws.1"), []byte(subscribe))
	receive(t, s, q, tickers, snapshot, update)
	defs, err := emittest.JSON[market.Definition](q)
	want := market.Definition{ID: 1, Venue: "okx", Symbol: "btc_usdt", Native: "BTC-USDT", BookType: market.L2, PriceExponent: -1, SizeExponent: -8,
		Channel: "ws.1", Checksum: "okx", TickSize: "0.1", LotSize: "0.00000001", Currency: "USDT"}
	if err != nil || len(defs) != 1 || defs[0] != want {
		t.Fatalf("definitions are %+v, %v, want %+v", defs, err, want)
	}
	books, err := q.Books()
	if err != nil || len(books) != 2 || c.Stats().Messages != 4 {
		t.Fatalf("%d events, %v, counts %+v", len(books), err, c.Stats())
	}
	if b := books[0]; b.Checksum != 1<<32-914047754 || b.Attr != market.AttrChecksum || b.AsOfEvent != 1652459225464_000000 || b.AsOfRecv != 2 || !slices.Equal(b.Entries, []market.Entry{
		{Price: 302434, Size: 5900000, Count: 1, Side: market.Bid, Action: market.Add},
		{Price: 302433, Size: 2_00000000, Count: 2, Side: market.Bid, Action: market.Add},
		{Price: 302435, Size: 1_21120000, Count: 4, Side: market.Ask, Action: market.Add},
	}) {
		t.Errorf("snapshot is %+v", b)
	}
	if b := books[1]; b.Seq != 12 || b.PrevSeq != 10 || !slices.Equal(b.Entries, []market.Entry{
		{Price: 302435, Side: market.Ask, Action: market.Cancel},
		{Price: 302493, Size: 6523858, Count: 1, Side: market.Ask, Action: market.Modify},
	}) {
		t.Errorf("event is %+v", b)
	}
	var quote market.Quote
	if err := quote.Decode(q.Of(market.KindQuote)[0].Body); err != nil || quote != (market.Quote{
		BidPrice: market.UndefPrice, BidSize: market.UndefSize, AskPrice: 302201, AskSize: 3_00000000, Flags: market.FlagLast}) {
		t.Errorf("quote is %+v, %v", quote, err)
	}
}

func TestTrades(t *testing.T) {
	s, q, _ := newSession()
	s.Response(1, nil, []byte("/instruments"), []byte(instruments))
	receive(t, s, q, trades)
	got, err := q.Trades()
	want := []market.Trade{
		{TradeID: 12883020, Price: 5123, Size: 100, Side: market.Ask, Flags: market.FlagLast},
		{TradeID: 12883021, Price: 5124, Size: 1, Side: market.Bid, Flags: market.FlagLast},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("trades are %+v, %v", got, err)
	}
	if defs, _ := emittest.JSON[market.Definition](q); defs[0].Symbol != "uni_usd_swap" || defs[0].Currency != "UNI" {
		t.Errorf("definitions are %+v", defs)
	}
}

func TestSymbols(t *testing.T) {
	for native, want := range map[string]string{"BTC-USDT": "btc_usdt", "BTC-USD-220527": "btc_usd_220527", "UNI-USD-SWAP": "uni_usd_swap"} {
		if got := symbolOf(native); got != want {
			t.Errorf("%s is %s, want %s", native, got, want)
		}
	}
	for step, want := range map[string]int8{"": -9, "1": 0, "10": 0, "0.1": -1, "0.0005": -4, "0.00000001": -8, "x": -9} {
		if got := exponent(step, -9); got != want {
			t.Errorf("exponent of step %q is %d, want %d", step, got, want)
		}
	}
}

func TestABookOnAnotherConnectionIsDefinedAnew(t *testing.T) {
	s, q, _ := newSession()
	s.Receive(1, []byte("ws.1"), []byte(snapshot))
	s.Receive(2, []byte("ws.2"), []byte(snapshot))
	defs, _ := emittest.JSON[market.Definition](q)
	if len(defs) != 3 || defs[2].Channel != "ws.2" || defs[2].ID != 1 {
		t.Errorf("definitions are %+v", defs)
	}
}

func TestFramesOfTheConnectionAndOthers(t *testing.T) {
	s, q, c := newSession()
	receive(t, s, q, "pong", `{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}`, `{"event":"error","code":"60012","msg":"no"}`,
		`{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1","2"]]}`)
	if st := c.Stats(); st.Messages != 4 || len(q.Of(market.KindStatus)) != 1 {
		t.Errorf("counts are %+v", st)
	}
}

func TestUnusableFrames(t *testing.T) {
	s, q, c := newSession()
	receive(t, s, q, `{"event":`, `{"event":"surprise"}`, `{"arg":{"channel":"books","instId":"X"}}`, `{"arg":{"channel":"new","instId":"X"},"data":[]}`,
		strings.Replace(snapshot, "snapshot", "other", 1), strings.Replace(update, `"bids":[],`, "", 1), strings.Replace(update, "914047754", "9140477549", 1),
		strings.Replace(update, "30249.3", "30249.3333333333", 1), strings.Replace(update, "0.06523858", "-1", 1),
		strings.Replace(trades, "sell", "?", 1), strings.Replace(trades, "1652459215150", "99999999999999999", 1), strings.Replace(update, "BTC-USDT", "", 1))
	st := c.Stats()
	want := map[string]uint64{"bad_json": 1, "unknown_type": 3, "missing_field": 2, "bad_number": 1, "too_many_decimals": 1, "number_out_of_range": 2, "bad_field": 1, "no_symbol": 1}
	for reason, n := range want {
		if st.SkippedBy[reason] != n {
			t.Errorf("skipped by %s: %d, want %d", reason, st.SkippedBy[reason], n)
		}
	}
	if st.Skipped != 12 || len(q.Of(market.KindBook)) != 0 {
		t.Errorf("counts are %+v", st)
	}
}

func FuzzReceive(f *testing.F) {
	for _, frame := range []string{snapshot, update, trades, tickers, instruments, subscribe} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		s, q, c := newSession()
		s.Expect([]byte("a"), frame)
		s.Request(1, []byte("b"), frame)
		s.Response(1, nil, []byte("/instruments"), frame)
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
