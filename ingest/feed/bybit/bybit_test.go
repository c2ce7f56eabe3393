package bybit

import (
	"slices"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

const (
	linearAddr = "wss://stream.bybit.com/v5/public/linear"
	spotAddr   = "wss://stream.bybit.com/v5/public/spot"
)

// newSession makes a session with connections "ws.1" (linear) and "ws.2" (spot).
func newSession() (*Session, *emittest.Queue, *emit.Counters) {
	q, c := &emittest.Queue{}, &emit.Counters{}
	s := New(emit.New(q, c, emit.Options{Venue: "bybit"}))
	s.Response(1, nil, []byte("https://x/v5/market/instruments-info?category=linear"), []byte(linearList))
	s.Response(1, nil, []byte("https://x/v5/market/instruments-info?category=spot"), []byte(spotList))
	s.Connect(1, []byte("ws.1"), []byte(linearAddr))
	s.Connect(1, []byte("ws.2"), []byte(spotAddr))
	return s, q, c
}

// receive hands frames over at 1, 2, 3... on a connection.
func receive(t *testing.T, s *Session, q *emittest.Queue, conn string, frames ...string) {
	t.Helper()
	for i, f := range frames {
		s.Receive(int64(i+1), []byte(conn), []byte(f))
	}
	if err := q.Check(); err != nil {
		t.Fatal(err)
	}
}

// Frames as the venue sent them, of a snapshot the best levels.
const (
	linearList = `{"retCode":0,"result":{"category":"linear","list":[{"symbol":"BTCUSDT","contractType":"LinearPerpetual","baseCoin":"BTC","quoteCoin":"USDT","settleCoin":"USDT","priceFilter":{"minPrice":"0.10","tickSize":"0.10"},"lotSizeFilter":{"maxOrderQty":"1500.000","qtyStep":"0.001"}},{"symbol":"BTCUSDT-14AUG26","contractType":"LinearFutures","baseCoin":"BTC","quoteCoin":"USDT","settleCoin":"USDT"},{"symbol":"ETHPERP","contractType":"LinearPerpetual","baseCoin":"ETH","quoteCoin":"USDC","settleCoin":"USDC"}]}}`
	spotList   = `{"retCode":0,"result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","lotSizeFilter":{"basePrecision":"0.000001","quotePrecision":"0.0000001"},"priceFilter":{"tickSize":"0.1"}}]}}`
	subscribe  = `{"op":"subscribe","args":["tickers.BTCUSDT","orderbook.200.BTCUSDT"]}`
	snapshot   = `{"topic":"orderbook.200.BTCUSDT","type":"snapshot","ts":1786310818129,"data":{"s":"BTCUSDT","b":[["65114.20","6.054"],["65114.10","0.002"]],"a":[["65114.30","10.470"]],"u":15076993,"seq":753843911359},"cts":1786310818027}`
	delta      = `{"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1786310822228,"data":{"s":"BTCUSDT","b":[["65114.20","7.803"],["65105.50","0.041"]],"a":[["65129.80","0.288"],["65129.90","0"]],"u":15076994,"seq":753844019890},"cts":1786310822226}`
	spotDelta  = `{"topic":"orderbook.200.BTCUSDT","ts":1786310816916,"type":"delta","data":{"s":"BTCUSDT","b":[["65123.5","0.013064"]],"a":[],"u":62505427,"seq":112488545890},"cts":1786310816894}`
	trade      = `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"BTCUSDT","S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,"RPI":false,"seq":753843954913},{"T":1786310819681,"s":"BTCUSDT","S":"Buy","v":"0.010","p":"65114.30","L":"PlusTick","i":"031145f9-efdc-5dc3-a03d-5f01f40c6222","BT":true,"RPI":false,"seq":753843954914}]}`
	spotTrade  = `{"topic":"publicTrade.ETHUSDT","ts":1786310821917,"type":"snapshot","data":[{"i":"2280000001739247417","T":1786310821917,"p":"1923.28","v":"0.04537","S":"Sell","seq":178477362706,"s":"ETHUSDT","BT":false,"RPI":true}]}`
	ticker     = `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","bid1Price":"65114.20","bid1Size":"6.054","ask1Price":"65114.30","ask1Size":"10.486"},"cs":753843907770,"ts":1786310817883}`
	partTicker = `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"65117.43","openInterestValue":"3899995666.09","ask1Price":"65114.30","ask1Size":"10.488"},"cs":753843915209,"ts":1786310818183}`
	fullTicker = `{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","fundingRate":"0.0001","bid1Price":"","bid1Size":"","ask1Price":"65114.30","ask1Size":"10.470"},"cs":753843900397,"ts":1786310817583}`
	kline      = `{"topic":"kline.1.BTCUSDT","data":[{"start":1786310760000,"end":1786310819999,"interval":"1","open":"65119.9","close":"65114.3","high":"65119.9","low":"65114.2","volume":"1.576","turnover":"102627.995","confirm":false,"timestamp":1786310818440}],"ts":1786310818440,"type":"snapshot"}`
	answer     = `{"success":true,"ret_msg":"","conn_id":"d8bu1olkndm7crnfs1e0-j6akw","req_id":"","op":"subscribe"}`
)

func TestBookFrames(t *testing.T) {
	s, q, c := newSession()
	s.Expect([]byte("ws.1"), []byte(subscribe))
	receive(t, s, q, "ws.1", snapshot, delta)
	defs, err := emittest.JSON[market.Definition](q)
	want := market.Definition{ID: 1, Venue: "bybit", Symbol: "btc_usdt_perp", Native: "linear/BTCUSDT", BookType: market.L2, Chained: true, PriceExponent: -1, SizeExponent: -3,
		Channel: "ws.1", Depth: 200, TickSize: "0.10", LotSize: "0.001", Currency: "USDT"}
	if err != nil || !slices.Equal(defs, []market.Definition{want}) {
		t.Fatalf("definitions are %+v, %v, want %+v", defs, err, want)
	}
	books, err := q.Books()
	if err != nil || len(books) != 2 || c.Stats().Messages != 4 || c.Stats().Gaps != 0 {
		t.Fatalf("%d events, %v, counts %+v", len(books), err, c.Stats())
	}
	if b := books[0]; b.Seq != 15076993 || b.Flags != market.FlagSnapshot|market.FlagMBP|market.FlagLast || b.AsOfEvent != 1786310818027_000000 || b.AsOfRecv != 1 || !slices.Equal(b.Entries, []market.Entry{
		{Price: 651142, Size: 6054, Side: market.Bid, Action: market.Add},
		{Price: 651141, Size: 2, Side: market.Bid, Action: market.Add},
		{Price: 651143, Size: 10470, Side: market.Ask, Action: market.Add},
	}) {
		t.Errorf("snapshot is %+v", b)
	}
	if b := books[1]; b.Seq != 15076994 || b.PrevSeq != 15076993 || !slices.Equal(b.Entries, []market.Entry{
		{Price: 651142, Size: 7803, Side: market.Bid, Action: market.Modify},
		{Price: 651055, Size: 41, Side: market.Bid, Action: market.Modify},
		{Price: 651298, Size: 288, Side: market.Ask, Action: market.Modify},
		{Price: 651299, Side: market.Ask, Action: market.Cancel},
	}) {
		t.Errorf("event is %+v", b)
	}
	if at := q.Of(market.KindBook)[0].EventTime; at != 1786310822226_000000 {
		t.Errorf("event time %d, want cts", at)
	}
}

func TestTheAddressTellsTheCategory(t *testing.T) {
	s, q, _ := newSession()
	receive(t, s, q, "ws.1", delta)
	receive(t, s, q, "ws.2", spotDelta)
	tags := q.Of(market.KindBook)
	defs, _ := emittest.JSON[market.Definition](q)
	if len(tags) != 2 || tags[0].Tag == tags[1].Tag {
		t.Fatal("BTCUSDT of two categories is one instrument")
	}
	if d := defs[len(defs)-1]; d.Symbol != "btc_usdt" || d.Native != "BTCUSDT" || d.Channel != "ws.2" || d.PriceExponent != -1 || d.SizeExponent != -6 || d.LotSize != "0.000001" {
		t.Errorf("the spot instrument is %+v", d)
	}
	s.Receive(9, []byte("ws.3"), []byte(delta))
	if len(q.Of(market.KindBook)) != 2 {
		t.Error("a connection whose category is not known cannot be used")
	}
}

func TestTrades(t *testing.T) {
	s, q, _ := newSession()
	receive(t, s, q, "ws.1", trade)
	receive(t, s, q, "ws.2", spotTrade)
	got, err := q.Trades()
	want := []market.Trade{
		{Seq: 753843954913, TradeID: 0xa9188a0a82bc50de, Price: 651142, Size: 4, Side: market.Ask, Flags: market.FlagLast},
		{Seq: 753843954914, TradeID: 0x031145f9efdc5dc3, Price: 651143, Size: 10, Side: market.Bid, Cond: 'B', Flags: market.FlagLast},
		{Seq: 178477362706, TradeID: 2280000001739247417, Price: 1923_280000000, Size: 45370000, Side: market.Ask, Cond: 'R', Flags: market.FlagLast},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("trades are %+v, %v", got, err)
	}
	if at := q.Of(market.KindTrade)[1].EventTime; at != 1786310819681_000000 {
		t.Errorf("event time %d", at)
	}
	if tradeID([]byte("nothing")) != 0 || tradeID([]byte("g9188a0a-82bc-50de-be60-03eedbe3cdd7")) != 0 {
		t.Error("an id that is neither a number nor a UUID has no number")
	}
}

func TestTickers(t *testing.T) {
	s, q, c := newSession()
	receive(t, s, q, "ws.1", ticker, partTicker, fullTicker)
	var quotes []market.Quote
	for _, rec := range q.Of(market.KindQuote) {
		var quote market.Quote
		if err := quote.Decode(rec.Body); err != nil {
			t.Fatal(err)
		}
		quotes = append(quotes, quote)
	}
	want := []market.Quote{
		{Seq: 753843907770, BidPrice: 651142, BidSize: 6054, AskPrice: 651143, AskSize: 10486, Flags: market.FlagLast},
		{Seq: 753843900397, BidPrice: market.UndefPrice, BidSize: market.UndefSize, AskPrice: 651143, AskSize: 10470, Flags: market.FlagLast},
	}
	if !slices.Equal(quotes, want) {
		t.Errorf("quotes are %+v", quotes)
	}
	var payloads []string
	for _, rec := range q.Of(market.KindStatus) {
		var st market.Status
		if err := st.Decode(rec.Body); err != nil || st.Code != codeTicker {
			t.Fatalf("status %+v, %v", st, err)
		}
		payloads = append(payloads, string(st.Payload))
	}
	if !slices.Equal(payloads, []string{partTicker, fullTicker}) || c.Stats().Skipped != 0 {
		t.Errorf("status records are %q, want what names more than the best prices", payloads)
	}
}

// numbered gives a book frame another u.
func numbered(frame, u string) string {
	return strings.NewReplacer(`"u":15076993`, `"u":`+u, `"u":15076994`, `"u":`+u).Replace(frame)
}

func TestABookThatBeginsAnewIsNotTakenForAnOldOne(t *testing.T) {
	s, q, _ := newSession()
	causes := func() (out []market.GapCause) {
		gaps, err := emittest.JSON[market.Gap](q)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range gaps {
			if g.Channel != "ws.1" || g.Cause == market.GapChain && g.Symbol != "btc_usdt_perp" {
				t.Errorf("gap is %+v", g)
			}
			out = append(out, g.Cause)
		}
		return out
	}
	receive(t, s, q, "ws.1", snapshot, delta, delta, numbered(delta, "15076996"), snapshot[:len(snapshot)-1]+" }")
	if got := causes(); len(got) != 1 {
		t.Fatalf("gaps are %v, want one where u falls: repetitions and holes are for who follows the chain", got)
	}
	receive(t, s, q, "ws.1", numbered(snapshot, "1"), numbered(delta, "2"))
	if got := causes(); len(got) != 2 {
		t.Fatalf("gaps are %v, want one more at the restart", got)
	}
	kinds := q.Kinds()
	if last := kinds[len(kinds)-3:]; !slices.Equal(last, []market.Kind{market.KindGap, market.KindSnapshot, market.KindBook}) {
		t.Errorf("the last records are %v, want the gap before the snapshot", last)
	}
	s.Connect(9, []byte("ws.1"), []byte(linearAddr))
	receive(t, s, q, "ws.1", numbered(snapshot, "1"))
	if got := causes(); !slices.Equal(got, []market.GapCause{market.GapChain, market.GapChain, market.GapDisconnect}) {
		t.Errorf("gaps are %v, want none for a book that begins with its connection", got)
	}
}

func TestOneBookOfSeveralDepths(t *testing.T) {
	s, q, c := newSession()
	shallow := strings.Replace(numbered(snapshot, "77"), "orderbook.200", "orderbook.50", 1)
	receive(t, s, q, "ws.1", shallow, snapshot, numbered(shallow, "78"), delta, strings.Replace(snapshot, "orderbook.200", "orderbook.rpi", 1))
	defs, _ := emittest.JSON[market.Definition](q)
	if d := defs[len(defs)-1]; d.Depth != 200 || len(q.Of(market.KindSnapshot)) != 2 || len(q.Of(market.KindBook)) != 1 || len(q.Of(market.KindStatus)) != 2 {
		t.Errorf("definitions are %+v, kinds %v", defs, q.Kinds())
	}
	if n := c.Stats().Gaps; n != 1 {
		t.Errorf("%d gaps, want one where the deeper book takes over", n)
	}
}

func TestABookOnAnotherConnectionIsDefinedAnew(t *testing.T) {
	s, q, _ := newSession()
	s.Connect(2, []byte("ws.3"), []byte(linearAddr))
	s.Expect([]byte("ws.3"), []byte(subscribe))
	receive(t, s, q, "ws.1", ticker, snapshot)
	receive(t, s, q, "ws.3", snapshot)
	defs, _ := emittest.JSON[market.Definition](q)
	var channels []string
	for _, d := range defs {
		channels = append(channels, d.Channel)
	}
	if !slices.Equal(channels, []string{"ws.3", "ws.1", "ws.3"}) {
		t.Errorf("channels are %v", channels)
	}
}

func TestOtherFrames(t *testing.T) {
	s, q, c := newSession()
	receive(t, s, q, "ws.1", kline, answer, `{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}`, `{"success":false,"ret_msg":"error:handler not found","op":"subscribe"}`,
		`{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"BTCUSDT","S":"Sell","v":"20000","p":"0.04499"}]}`)
	if st := c.Stats(); st.Messages != 7 || st.Skipped != 0 || len(q.Of(market.KindStatus)) != 2 {
		t.Errorf("counts are %+v", st)
	}
}

func TestUnusableFrames(t *testing.T) {
	s, q, c := newSession()
	with := func(frame, old, new string) string { return strings.Replace(frame, old, new, 1) }
	receive(t, s, q, "ws.1",
		`{"topic":`, `{}`, with(kline, "kline.1", "rumour"), with(kline, "kline.1.BTCUSDT", "kline"),
		with(delta, `"delta"`, `"other"`), with(delta, `"b":`, `"x":`), with(delta, `"u":15076994`, `"u":0`), with(delta, "65105.50", "65105.55"),
		with(delta, "0.041", "-1"), with(delta, `"65105.50","0.041"`, `"65105.50"`), with(snapshot, "65114.30", "x"),
		with(trade, `"S":"Sell"`, `"S":"?"`), with(trade, `"v":"0.004"`, `"v":{}`), with(ticker, "6.054", "x"),
	)
	st := c.Stats()
	want := map[string]uint64{"bad_json": 1, "unknown_type": 2, "missing_field": 4, "no_symbol": 1, "too_many_decimals": 1, "number_out_of_range": 1, "bad_number": 3, "bad_field": 1}
	for reason, n := range want {
		if st.SkippedBy[reason] != n {
			t.Errorf("skipped by %s: %d, want %d", reason, st.SkippedBy[reason], n)
		}
	}
	if st.Skipped != 14 || len(q.Of(market.KindBook)) != 0 || len(q.Of(market.KindTrade)) != 2 {
		t.Errorf("counts are %+v, want a trade kept beside one that cannot be used", st)
	}
	gaps, _ := emittest.JSON[market.Gap](q)
	if len(gaps) != 8 || gaps[0].Symbol != "" || gaps[1].Symbol != "btc_usdt_perp" || gaps[7].Cause != market.GapSource {
		t.Errorf("gaps are %+v, want one for the frame that is no JSON and one for each event of a book", gaps)
	}
}

func TestSymbols(t *testing.T) {
	s, _, _ := newSession()
	for n, want := range map[name]string{
		{"linear", "BTCUSDT"}: "btc_usdt_perp", {"linear", "BTCUSDT-14AUG26"}: "btc_usdt_14aug26", {"linear", "ETHPERP"}: "eth_usdc_perp", {"spot", "BTCUSDT"}: "btc_usdt",
		// not listed
		{"linear", "SOLUSDT"}: "sol_usdt_perp", {"linear", "SOLPERP"}: "sol_usdc_perp", {"linear", "ETHUSDT-25DEC26"}: "eth_usdt_25dec26", {"spot", "ETHBTC"}: "eth_btc",
		{"inverse", "BTCUSD"}: "btc_usd_perp", {"option", "BTC-26DEC25-100000-C"}: "btc_26dec25_100000_c",
	} {
		if got := s.symbolOf(n); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
	for symbol, want := range map[string]string{"btc_usdt": "BTCUSDT", "BTC-USDT": "BTCUSDT", "btc_usdt_perp": "linear/BTCUSDT", "eth_usdc_perp": "linear/ETHPERP", "btc_usdt_25dec26": "linear/BTCUSDT-25DEC26", "linear/ETHPERP": "linear/ETHPERP"} {
		if got := guess(symbol); got != want {
			t.Errorf("%s is %s, want %s", symbol, got, want)
		}
	}
	for step, want := range map[string]int8{"": -9, "1": 0, "0.10": -1, "0.000001": -6, "x": -9} {
		if got := exponent(step, -9); got != want {
			t.Errorf("exponent of step %q is %d, want %d", step, got, want)
		}
	}
	for addr, want := range map[string]string{linearAddr: "linear", "ws://127.0.0.1:1/v5/public/spot/?x=1": "spot", "wss://x": ""} {
		if got := categoryOf([]byte(addr)); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
}

func FuzzReceive(f *testing.F) {
	for _, frame := range []string{snapshot, delta, trade, spotTrade, ticker, partTicker, fullTicker, kline, answer, linearList, spotList, subscribe} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		s, q, c := newSession()
		s.Expect([]byte("a"), frame)
		s.Request(1, []byte("b"), frame)
		s.Response(1, nil, []byte("/instruments-info"), frame)
		s.Connect(1, []byte("ws.1"), append([]byte("wss://x/public/"), frame...))
		s.Receive(1, []byte("ws.1"), frame)
		s.Receive(2, []byte("ws.2"), frame)
		s.Receive(3, []byte("ws.2"), []byte(delta))
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st.Messages+st.Skipped < 6 {
			t.Fatalf("counts are %+v: a frame was lost", st)
		}
	})
}
