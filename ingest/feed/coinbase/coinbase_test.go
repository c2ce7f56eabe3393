package coinbase

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
	return New(emit.New(q, c, emit.Options{Venue: "coinbase"})), q, c
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

// Frames as the venue sent them, of a snapshot the best levels, numbered from 0.
const (
	products  = `{"products":[{"product_id":"BTC-USD","price":"65086.18","base_increment":"0.00000001","quote_increment":"0.01","quote_currency_id":"USD","base_currency_id":"BTC","alias":"","alias_to":["BTC-USDC"],"price_increment":"0.01"},{"product_id":"BTC-USDC","base_increment":"0.00000001","quote_currency_id":"USDC","alias":"BTC-USD","price_increment":"0.01"}],"num_products":2}`
	subscribe = `{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}`
	snapshot  = `{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.483587501Z","sequence_num":0,"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.170326Z","price_level":"65083.66","new_quantity":"0.20371215"},{"side":"bid","event_time":"2026-08-09T21:05:48.170326Z","price_level":"65083.27","new_quantity":"0.02244516"},{"side":"offer","event_time":"2026-08-09T21:05:48.170326Z","price_level":"65083.67","new_quantity":"0.24290402"}]}]}`
	update    = `{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.507547362Z","sequence_num":1,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.407682Z","price_level":"56948.21","new_quantity":"0.01321935"},{"side":"offer","event_time":"2026-08-09T21:05:48.407682Z","price_level":"65106.54","new_quantity":"0"}]}]}`
	trades    = `{"channel":"market_trades","timestamp":"2026-08-09T21:05:51.452192913Z","sequence_num":2,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1068572096","price":"65083.66","size":"0.00100346","time":"2026-08-09T21:05:51.426861Z","side":"BUY"},{"product_id":"BTC-USD","trade_id":"1068572095","price":"65083.67","size":"0.00322434","time":"2026-08-09T21:05:51.376358Z","side":"SELL"}]}]}`
	ticker    = `{"channel":"ticker","timestamp":"2026-08-09T21:05:48.298032046Z","sequence_num":3,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"ETH-USD","price":"1919.41","volume_24_h":"19975.95927439","best_bid":"1919.44","best_ask":"1919.49","best_bid_quantity":"0.02858092","best_ask_quantity":"0.07814824"}]}]}`
	candles   = `{"channel":"candles","timestamp":"2026-08-09T21:05:51.491081826Z","sequence_num":4,"events":[{"type":"update","candles":[{"start":"1786309500","high":"1919.6","low":"1919.27","open":"1919.58","close":"1919.41","volume":"36.36630914","product_id":"ETH-USD"}]}]}`
	heartbeat = `{"channel":"heartbeats","timestamp":"2026-08-09T21:05:48.856364007Z","sequence_num":5,"events":[{"current_time":"2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.260485341","heartbeat_counter":41691}]}`
	answer    = `{"channel":"subscriptions","timestamp":"2026-08-09T21:05:48.228846629Z","sequence_num":6,"events":[{"subscriptions":{"market_trades":["BTC-USD","ETH-USD"]}}]}`
)

// numbered gives a frame another number.
func numbered(frame string, n string) string {
	before, after, _ := strings.Cut(frame, `"sequence_num":`)
	return before + `"sequence_num":` + n + after[1:]
}

func TestBookFrames(t *testing.T) {
	s, q, c := newSession()
	s.Response(1, nil, []byte("https://x/api/v3/brokerage/market/products"), []byte(products))
	s.Expect([]byte("ws.1"), []byte(subscribe))
	receive(t, s, q, snapshot, update)
	defs, err := emittest.JSON[market.Definition](q)
	want := market.Definition{ID: 1, Venue: "coinbase", Symbol: "btc_usd", Native: "BTC-USD", BookType: market.L2, PriceExponent: -2, SizeExponent: -8,
		Channel: "ws.1", TickSize: "0.01", LotSize: "0.00000001", Currency: "USD"}
	if err != nil || len(defs) != 1 || defs[0] != want {
		t.Fatalf("definitions are %+v, %v, want %+v", defs, err, want)
	}
	books, err := q.Books()
	if err != nil || len(books) != 2 || c.Stats().Messages != 3 {
		t.Fatalf("%d events, %v, counts %+v", len(books), err, c.Stats())
	}
	if b := books[0]; b.Flags != market.FlagSnapshot|market.FlagMBP|market.FlagLast || b.AsOfEvent != 1786309548_170326000 || b.AsOfRecv != 1 || !slices.Equal(b.Entries, []market.Entry{
		{Price: 6508366, Size: 20371215, Side: market.Bid, Action: market.Add},
		{Price: 6508327, Size: 2244516, Side: market.Bid, Action: market.Add},
		{Price: 6508367, Size: 24290402, Side: market.Ask, Action: market.Add},
	}) {
		t.Errorf("snapshot is %+v", b)
	}
	if b := books[1]; b.Seq != 1 || b.PrevSeq != 0 || b.Flags != market.FlagMBP|market.FlagLast || !slices.Equal(b.Entries, []market.Entry{
		{Price: 5694821, Size: 1321935, Side: market.Bid, Action: market.Modify},
		{Price: 6510654, Side: market.Ask, Action: market.Cancel},
	}) {
		t.Errorf("event is %+v", b)
	}
	if at := q.Of(market.KindBook)[0].EventTime; at != 1786309548_407682000 {
		t.Errorf("event time %d", at)
	}
}

func TestOneRecordForEachProductOfAFrame(t *testing.T) {
	s, q, _ := newSession()
	_, event, _ := strings.Cut(strings.TrimSuffix(update, "]}"), `"events":[`)
	eth := strings.ReplaceAll(event, "BTC-USD", "ETH-USD")
	receive(t, s, q, strings.Replace(update, event, event+","+event+","+eth+","+event, 1))
	books, err := q.Books()
	if err != nil || len(books) != 3 || len(books[0].Entries) != 4 || len(books[1].Entries) != 2 || len(books[2].Entries) != 2 {
		t.Fatalf("events are %+v, %v, want two updates of a product in a row as one", books, err)
	}
	if tags := q.Of(market.KindBook); tags[0].Tag == tags[1].Tag || tags[0].Tag != tags[2].Tag {
		t.Error("events are of the wrong instruments")
	}
}

func TestAnUnusableEventIsAGapOfItsProductAlone(t *testing.T) {
	s, q, c := newSession()
	_, event, _ := strings.Cut(strings.TrimSuffix(update, "]}"), `"events":[`)
	bad := strings.Replace(event, "0.01321935", "x", 1)
	eth := strings.ReplaceAll(event, "BTC-USD", "ETH-USD")
	receive(t, s, q, strings.Replace(update, event, event+","+bad+","+eth, 1))
	gaps, _ := emittest.JSON[market.Gap](q)
	books, err := q.Books()
	if err != nil || len(books) != 1 || len(books[0].Entries) != 2 || len(gaps) != 1 || gaps[0].Symbol != "btc_usd" || c.Stats().Skipped != 1 {
		t.Errorf("events are %+v, %v, gaps %+v", books, err, gaps)
	}
	if defs, _ := emittest.JSON[market.Definition](q); q.Of(market.KindBook)[0].Tag != 2 || defs[1].Symbol != "eth_usd" {
		t.Errorf("definitions are %+v", defs)
	}
}

func TestTradesAndTickers(t *testing.T) {
	s, q, c := newSession()
	s.Response(1, nil, []byte("/products"), []byte(products))
	noAsk := strings.Replace(numbered(ticker, "4"), `"best_ask_quantity":"0.07814824"`, `"best_ask_quantity":"0"`, 1)
	bare := strings.Replace(numbered(ticker, "5"), `"best_ask_quantity":"0.07814824"`, `"best_ask_quantity":""`, 1)
	receive(t, s, q, trades, ticker, noAsk, bare)
	got, err := q.Trades()
	want := []market.Trade{ // oldest first; the venue tells the resting order's side
		{Seq: 2, TradeID: 1068572095, Price: 6508367, Size: 322434, Side: market.Bid, Flags: market.FlagLast},
		{Seq: 2, TradeID: 1068572096, Price: 6508366, Size: 100346, Side: market.Ask, Flags: market.FlagLast},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("trades are %+v, %v", got, err)
	}
	if at := q.Of(market.KindTrade)[0].EventTime; at != 1786309551_376358000 {
		t.Errorf("event time %d", at)
	}
	quotes := q.Of(market.KindQuote)
	if len(quotes) != 2 || quotes[0].EventTime != 1786309548_298032046 || len(q.Of(market.KindStatus)) != 1 || c.Stats().Skipped != 0 {
		t.Fatalf("%d quotes, counts %+v", len(quotes), c.Stats())
	}
	full := market.Quote{Seq: 3, BidPrice: 1919_440000000, BidSize: 28580920, AskPrice: 1919_490000000, AskSize: 78148240, Flags: market.FlagLast}
	half := full
	half.Seq, half.AskPrice, half.AskSize = 4, market.UndefPrice, market.UndefSize
	for i, want := range []market.Quote{full, half} {
		var quote market.Quote
		if err := quote.Decode(quotes[i].Body); err != nil || quote != want {
			t.Errorf("quote is %+v, %v, want %+v", quote, err, want)
		}
	}
}

// A subscription to market_trades begins with the latest trades.
func TestTradesOfASubscription(t *testing.T) {
	s, q, c := newSession()
	s.Connect(1, []byte("ws.1"), nil)
	before := strings.Replace(numbered(trades, "0"), `"update"`, `"snapshot"`, 1)
	later := strings.NewReplacer("1068572096", "1068572098", "1068572095", "1068572097").Replace
	receive(t, s, q, before, numbered(later(trades), "1"))
	s.Connect(2, []byte("ws.1"), nil)
	// The venue sends 8572097 and 8572098 again, and the missed 8572099; then an update that overlaps.
	missed := strings.NewReplacer("1068572096", "1068572099", "1068572095", "1068572098").Replace
	receive(t, s, q, missed(before), numbered(missed(trades), "1"), numbered(strings.ReplaceAll(missed(trades), "106857209", "106857210"), "2"))
	got, err := q.Trades()
	var ids []uint64
	for _, trade := range got {
		ids = append(ids, trade.TradeID)
	}
	if err != nil || !slices.Equal(ids, []uint64{1068572097, 1068572098, 1068572099, 1068572108, 1068572109}) {
		t.Errorf("trades are %v, %v", ids, err)
	}
	if st := c.Stats(); len(q.Of(market.KindStatus)) != 2 || st.SkippedBy["duplicate"] != 3 {
		t.Errorf("counts are %+v, want the two trades before the capture as status", st)
	}
}

func TestHolesInTheNumbers(t *testing.T) {
	s, q, c := newSession()
	s.Connect(1, []byte("ws.1"), []byte("wss://x"))
	receive(t, s, q, snapshot, numbered(heartbeat, "1"), numbered(heartbeat, "4"), numbered(update, "4"), numbered(update, "3"), numbered(update, "5"))
	gaps, err := emittest.JSON[market.Gap](q)
	if err != nil || len(gaps) != 1 || gaps[0].Channel != "ws.1" || gaps[0].Symbol != "" || gaps[0].FirstSeq != 2 || gaps[0].LastSeq != 3 || gaps[0].Cause != market.GapSequence {
		t.Fatalf("gaps are %+v, %v, want one of 2 and 3 for the whole connection", gaps, err)
	}
	if st := c.Stats(); st.SkippedBy["duplicate"] != 2 || len(q.Of(market.KindBook)) != 1 {
		t.Errorf("counts are %+v, want numbers that were passed left out", st)
	}
	receive(t, s, q, numbered(heartbeat, "0"), numbered(update, "1"))
	if gaps, _ = emittest.JSON[market.Gap](q); len(gaps) != 2 || len(q.Of(market.KindBook)) != 2 {
		t.Errorf("gaps are %+v, want one more where the venue counts anew", gaps)
	}
	s.Connect(9, []byte("ws.1"), []byte("wss://x"))
	receive(t, s, q, numbered(update, "2"))
	if gaps, _ = emittest.JSON[market.Gap](q); len(gaps) != 4 || gaps[2].Cause != market.GapDisconnect || gaps[3].LastSeq != 1 {
		t.Errorf("gaps are %+v, want the outage and the frames that a new connection begins with", gaps)
	}
	s.Receive(10, []byte("ws.2"), []byte(numbered(update, "7")))
	if n := c.Stats().Gaps; n != 4 {
		t.Errorf("%d gaps: where the connection was not seen to begin, its first number is no hole", n)
	}
}

func TestOtherFrames(t *testing.T) {
	s, q, c := newSession()
	status := `{"channel":"status","timestamp":"2026-08-09T21:05:51Z","sequence_num":7,"events":[{"type":"snapshot","products":[{"id":"BTC-USD","status":"online"},{"id":"ETH-USD","status":"online"}]}]}`
	receive(t, s, q, candles, heartbeat, answer, status, `{"type":"error","message":"no such product"}`)
	if st := c.Stats(); st.Messages != 5 || st.Skipped != 0 || st.Gaps != 0 {
		t.Errorf("counts are %+v", st)
	}
	var payloads []string
	for _, rec := range q.Of(market.KindStatus) {
		var st market.Status
		if err := st.Decode(rec.Body); err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, string(rune('0'+st.Code))+string(st.Payload))
	}
	if !slices.Equal(payloads, []string{`1{"start":"1786309500","high":"1919.6","low":"1919.27","open":"1919.58","close":"1919.41","volume":"36.36630914","product_id":"ETH-USD"}`,
		`2{"id":"BTC-USD","status":"online"}`, `2{"id":"ETH-USD","status":"online"}`}) {
		t.Errorf("status records are %q", payloads)
	}
}

func TestABookOnAnotherConnectionIsDefinedAnew(t *testing.T) {
	s, q, _ := newSession()
	s.Receive(1, []byte("ws.1"), []byte(snapshot))
	s.Receive(2, []byte("ws.2"), []byte(snapshot))
	defs, _ := emittest.JSON[market.Definition](q)
	if len(defs) != 2 || defs[0].Channel != "ws.1" || defs[1].Channel != "ws.2" || defs[1].ID != 1 {
		t.Errorf("definitions are %+v", defs)
	}
}

func TestUnusableFrames(t *testing.T) {
	s, q, c := newSession()
	s.Response(1, nil, []byte("/products"), []byte(products))
	at := func(n, old, new, frame string) string { return strings.Replace(numbered(frame, n), old, new, 1) }
	receive(t, s, q,
		`{"channel":`, `[]`, `{"channel":"l2_data","events":[]}`, at("0", "heartbeats", "rumours", heartbeat),
		at("1", "56948.21", "x", update), at("2", "56948.21", "56948.215", update), at("3", "0.01321935", "-1", update), at("4", `"bid"`, `"middle"`, update),
		at("5", `"update"`, `"other"`, update), at("6", "2026-08-09T21:05:48.407682Z", "yesterday", update), at("7", "BTC-USD", "", update),
		at("8", `"SELL"`, `"?"`, trades), at("9", `"1068572095"`, `"x"`, trades),
	)
	st := c.Stats()
	want := map[string]uint64{"bad_json": 1, "unknown_type": 2, "missing_field": 3, "bad_number": 1, "too_many_decimals": 1, "number_out_of_range": 1, "bad_field": 3, "no_symbol": 1}
	for reason, n := range want {
		if st.SkippedBy[reason] != n {
			t.Errorf("skipped by %s: %d, want %d", reason, st.SkippedBy[reason], n)
		}
	}
	gaps, _ := emittest.JSON[market.Gap](q)
	if st.Skipped != 13 || len(q.Of(market.KindTrade)) != 2 || len(q.Of(market.KindBook)) != 0 || len(gaps) != 7 {
		t.Fatalf("counts are %+v, %d gaps, want one for each event of a book", st, len(gaps))
	}
	for i, g := range gaps {
		if symbol := []string{"btc_usd", ""}[i/6]; g.Symbol != symbol || g.FirstSeq != uint64(i+1) || g.Cause != market.GapSource {
			t.Errorf("gap is %+v", g)
		}
	}
}

func TestSymbols(t *testing.T) {
	for step, want := range map[string]int8{"": -9, "1": 0, "0.01": -2, "0.00000001": -8, "x": -9} {
		if got := exponent(step, -9); got != want {
			t.Errorf("exponent of step %q is %d, want %d", step, got, want)
		}
	}
	for symbol, want := range map[string]string{"btc_usd": "BTC-USD", "BTC/USDC": "BTC-USDC", "ethbtc": "ETH-BTC"} {
		if got := guess(symbol); got != want {
			t.Errorf("%s is %s, want %s", symbol, got, want)
		}
	}
}

func FuzzReceive(f *testing.F) {
	for _, frame := range []string{snapshot, update, trades, ticker, candles, heartbeat, answer, products, subscribe} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		s, q, c := newSession()
		s.Expect([]byte("a"), frame)
		s.Request(1, []byte("b"), frame)
		s.Response(1, nil, []byte("/products"), frame)
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
