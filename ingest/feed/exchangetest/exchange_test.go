package exchangetest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"chronicle/internal/testdata"
)

const (
	krakenFile = "crypto/KRAKEN.jsonl.zst"
	okxFile    = "crypto/OKX.jsonl.zst"
	usdmFile   = "binance/usdm-btcusdt-20240808.gz"
	spotFile   = "binance/spot-btcusdt-20240808.gz"
)

// member gives the raw value of a member of a flat object.
func member(data []byte, name string) string {
	_, after, _ := strings.Cut(string(data), `"`+name+`":`)
	return after[:strings.IndexAny(after, ",}")]
}

// client is a bare WebSocket client that keeps every frame it reads.
type client struct {
	t      *testing.T
	ws     *websocket.Conn
	frames chan string // closed when the connection ends
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	ws, _, err := websocket.Dial(context.Background(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(64 << 20)
	c := &client{t: t, ws: ws, frames: make(chan string, 1<<17)}
	go func() {
		defer close(c.frames)
		for {
			_, data, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			c.frames <- string(data)
		}
	}()
	t.Cleanup(func() { _ = ws.CloseNow() })
	return c
}

func (c *client) send(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.ws.Write(context.Background(), websocket.MessageText, []byte(f)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// until reads frames up to the first that has text in it.
func (c *client) until(text string) (out []string) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case f, ok := <-c.frames:
			if !ok {
				c.t.Fatalf("the connection ended before a frame with %q", text)
			}
			out = append(out, f)
			if strings.Contains(f, text) {
				return out
			}
		case <-deadline:
			c.t.Fatalf("no frame with %q came", text)
		}
	}
}

// rest closes the connection and gives what was read of it.
func (c *client) rest() (out []string) {
	_ = c.ws.CloseNow()
	for f := range c.frames {
		out = append(out, f)
	}
	return out
}

func wait(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the timeline did not come to its end")
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var krakenPairs = []string{"WAVES/EUR", "XMR/USD", "KSM/XBT", "GRT/ETH", "SC/EUR", "ETH/CHF", "OCEAN/XBT", "OMG/USD", "XBT/CHF", "ADA/XBT"}

func krakenSubscribe(name string, pairs ...string) string {
	return string(marshal(map[string]any{"event": "subscribe", "pair": pairs, "subscription": map[string]any{"name": name, "depth": 1000}}))
}

// data gives the frames that are of a channel.
func data(frames []string) (out []string) {
	for _, f := range frames {
		if strings.HasPrefix(f, "[") {
			out = append(out, f)
		}
	}
	return out
}

func TestEverythingIsSentInOrder(t *testing.T) {
	x := New(t, "kraken", testdata.Path(t, krakenFile), Options{Subscriptions: 30})
	books, others := dial(t, x.WebSocketURL()), dial(t, x.WebSocketURL())
	books.send(krakenSubscribe("book", krakenPairs...))
	others.send(krakenSubscribe("trade", krakenPairs...), krakenSubscribe("ticker", krakenPairs...))
	wait(t, x.Done())
	var want [2][]string
	for _, f := range x.frames {
		i := 0
		if f.key.channel != "book" {
			i = 1
		}
		want[i] = append(want[i], string(f.data))
	}
	for i, c := range []*client{books, others} {
		if got := data(c.rest()); !slices.Equal(got, want[i]) {
			t.Errorf("connection %d got %d frames, want the %d recorded ones in their order", i, len(got), len(want[i]))
		}
	}
	if len(want[0]) != 4279 || len(want[1]) != 26 {
		t.Errorf("%d and %d frames, want 4279 and 26", len(want[0]), len(want[1]))
	}
	if c := x.Counts(); c.Sent != 4305 || c.Missed != 0 || c.Connections != 2 || c.Subscriptions != 30 || c.Snapshots != 0 {
		t.Errorf("counts are %+v", c)
	}
}

// follow keeps a book from the frames that a client read, by the exchange's own
// rules, from the last snapshot on.
func follow(t *testing.T, v *kraken, pair string, frames []string) *book {
	t.Helper()
	b := &book{bids: make(map[string]level), asks: make(map[string]level)}
	for _, text := range data(frames) {
		f, ok, err := v.read("", []byte(text))
		if err != nil || !ok {
			t.Fatalf("%v in %s", err, text)
		}
		if f.key == (key{"book", pair}) {
			b.depth = 1000
			b.apply(&f)
		}
	}
	return b
}

func TestAReconnectBringsTheBookOfThatMoment(t *testing.T) {
	x := New(t, "kraken", testdata.Path(t, krakenFile), Options{DisconnectAfter: []int{1500}, Outage: 100, Symbols: []string{"XBT/CHF"}})
	c := dial(t, x.WebSocketURL())
	c.send(krakenSubscribe("book", "XBT/CHF"))
	first := c.until("subscribed")
	for f := range c.frames {
		first = append(first, f)
	}
	c = dial(t, x.WebSocketURL())
	c.send(krakenSubscribe("book", "XBT/CHF"))
	frames := c.until(`"as"`)
	b := follow(t, newKraken(), "XBT/CHF", frames)
	if got, want := b.best(0).String(), x.Truth(1600, 0)["XBT/CHF"].String(); got != want || len(b.bids) < 10 {
		t.Errorf("the snapshot is\n%.300s\nwant\n%.300s", got, want)
	}
	wait(t, x.Done())
	frames = append(frames, c.rest()...)
	b = follow(t, newKraken(), "XBT/CHF", frames)
	states := x.States("XBT/CHF", 0)
	if got, want := b.best(0).String(), states[len(states)-1].Book.String(); got != want {
		t.Errorf("the last book is\n%.300s\nwant\n%.300s", got, want)
	}
	if n := len(data(first)) + len(data(frames)); n >= len(states)+1 {
		t.Errorf("%d frames came in spite of an outage, of %d", n, len(states))
	}
}

func TestWhatGoesWrongIsDecidedByTheSeed(t *testing.T) {
	file := testdata.Path(t, okxFile)
	run := func(seed uint64) ([]string, Counts, *Exchange) {
		x := New(t, "okx", file, Options{Seed: seed, Subscriptions: 3, DropEvery: 20, RepeatEvery: 15, ReorderEvery: 12, GarbageEvery: 30, HugeFrameAt: 7})
		c := dial(t, x.WebSocketURL()+"/ws/v5/public")
		c.send("ping", `{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"},{"channel":"books","instId":"BTC-USD-220527"},{"channel":"books","instId":"UNI-USD-SWAP"},{"channel":"books","instId":"NO-SUCH"}]}`)
		wait(t, x.Done())
		return c.rest(), x.Counts(), x
	}
	one, counts, x := run(1)
	two, _, _ := run(1)
	other, _, _ := run(2)
	if !slices.Equal(one, two) || slices.Equal(one, other) {
		t.Error("the same seed must give the same frames, and another one others")
	}
	if one[0] != "pong" || !strings.Contains(one[4], "60018") {
		t.Errorf("answers are %.400q", one[:5])
	}
	if counts.Dropped == 0 || counts.Repeated == 0 || counts.Reordered == 0 || counts.Garbage == 0 || counts.Huge != 1 {
		t.Errorf("counts are %+v", counts)
	}
	if n := len(one) - 5; n != counts.Sent+counts.Repeated+counts.Garbage+counts.Huge {
		t.Errorf("%d frames came, counts are %+v", n, counts)
	}
	sent := make(map[string]int)
	for _, f := range one {
		sent[f]++
	}
	missing, repeated, invalid := 0, 0, 0
	for _, f := range x.frames {
		switch n := sent[string(f.data)]; {
		case f.change == nil:
		case n == 0:
			missing++
		case n == 2:
			repeated++
		}
	}
	for _, f := range one[1:] {
		if !json.Valid([]byte(f)) {
			invalid++
		}
	}
	if missing != counts.Dropped || repeated != counts.Repeated || invalid != counts.Garbage {
		t.Errorf("%d missing, %d repeated, %d invalid, counts are %+v", missing, repeated, invalid, counts)
	}
}

func TestAStalledConnectionStaysOpenAndSilent(t *testing.T) {
	x := New(t, "okx", testdata.Path(t, okxFile), Options{StallAfter: []int{50}, Symbols: []string{"BTC-USDT"}})
	c := dial(t, x.WebSocketURL())
	c.send(`{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}`)
	deadline := time.Now().Add(20 * time.Second)
	for x.Counts().Stalled == 0 {
		if time.Now().After(deadline) {
			t.Fatal("no connection stalled")
		}
		time.Sleep(time.Millisecond)
	}
	c.send("ping")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := c.ws.Ping(ctx); err == nil {
		t.Error("a stalled connection answered a ping")
	}
	if at, _ := x.Position(); at != 50 {
		t.Errorf("time stands at frame %d, want 50", at)
	}
	x.Resume()
	wait(t, x.Done())
	if slices.Contains(c.rest(), "pong") {
		t.Error("a request to a stalled connection was answered")
	}
}

func TestBinanceByRequestAndByAddress(t *testing.T) {
	x := New(t, "binance-usdm", testdata.Path(t, usdmFile), Options{Frames: 2000, DisconnectAfter: []int{500}, Outage: 50})
	c := dial(t, x.WebSocketURL()+"/stream?streams=btcusdt@depth@100ms/btcusdt@trade")
	first := struct{ LastUpdateID uint64 }{}
	if err := json.Unmarshal([]byte(get(t, x.RESTURL()+"/fapi/v1/depth?symbol=BTCUSDT&limit=1000")), &first); err != nil || first.LastUpdateID < 5123107852948 {
		t.Errorf("the first snapshot is %+v, %v, want the recorded one or later", first, err)
	}
	for f := range c.frames {
		if !strings.HasPrefix(f, `{"stream":"btcusdt@depth@100ms","data":{`) && !strings.HasPrefix(f, `{"stream":"btcusdt@trade","data":{`) {
			t.Fatalf("frame %s", f)
		}
	}
	c = dial(t, x.WebSocketURL()+"/ws")
	c.send(`{"method":"SUBSCRIBE","params":["btcusdt@depth@0ms","btcusdt@trade"],"id":7}`)
	if got := c.until("result"); got[0] != `{"id":7,"result":null}` {
		t.Errorf("the answer is %s", got)
	}
	wait(t, x.Done())
	for _, f := range c.rest() {
		if !strings.HasPrefix(f, `{"e":`) {
			t.Fatalf("frame %s", f)
		}
	}
	var last binanceDepth
	if err := json.Unmarshal([]byte(get(t, x.RESTURL()+"/fapi/v1/depth?symbol=BTCUSDT&limit=5")), &last); err != nil {
		t.Fatal(err)
	}
	states := x.States("BTCUSDT", 5)
	if s := states[len(states)-1]; last.LastUpdateID != s.Seq || len(last.Bids) != 5 || !strings.Contains(string(last.Bids[0]), s.Book.Bids[0].Price) {
		t.Errorf("the last snapshot is %+v, want %+v", last, s)
	}
	if !strings.Contains(get(t, x.RESTURL()+"/fapi/v1/exchangeInfo"), `"baseAsset":"BTC"`) {
		t.Error("exchangeInfo does not list the symbol")
	}
}

func TestRecordedListsAreServed(t *testing.T) {
	x := New(t, "okx", testdata.Path(t, okxFile), Options{})
	for query, want := range map[string]string{"SPOT": `"BTC-USDT"`, "SWAP": `"UNI-USD-SWAP"`, "FUTURES": `"BTC-USD-220527"`} {
		if body := get(t, x.RESTURL()+"/api/v5/public/instruments?instType="+query); !strings.Contains(body, want) {
			t.Errorf("the list of %s does not hold %s: %.200s", query, want, body)
		}
	}
	if body := get(t, x.RESTURL()+"/api/v5/public/nothing"); !strings.Contains(body, "not recorded") {
		t.Errorf("an unknown path gives %.200s", body)
	}
	x.Disconnect()
}

func TestCoinbaseNumbersEveryConnection(t *testing.T) {
	x := New(t, "coinbase", testdata.Path(t, "crypto/COINBASE.jsonl.zst"), Options{DropEvery: 50, DisconnectAfter: []int{400}, Seed: 3})
	subscribe := []string{
		`{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}`, `{"type":"subscribe","channel":"heartbeats"}`,
		`{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"market_trades"}`,
	}
	holes := 0
	for i := range 2 {
		c := dial(t, x.WebSocketURL())
		c.send(subscribe...)
		var frames []string
		if i == 0 {
			for f := range c.frames {
				frames = append(frames, f)
			}
		} else {
			wait(t, x.Done())
			frames = c.rest()
		}
		next, snapshots := uint64(0), 0
		for _, f := range frames {
			n, err := strconv.ParseUint(member([]byte(f), "sequence_num"), 10, 64)
			if err != nil || n < next {
				t.Fatalf("number %d after %d, %v", n, next, err)
			}
			holes += int(n - next)
			next = n + 1
			if strings.Contains(f[:min(300, len(f))], `"events":[{"type":"snapshot"`) {
				snapshots++
			}
		}
		if snapshots != 4 {
			t.Errorf("connection %d: %d snapshots, want one of each book and of each product's trades", i, snapshots)
		}
	}
	if n := x.Counts().Dropped; holes != n || n == 0 {
		t.Errorf("%d numbers are missing, %d frames were dropped", holes, n)
	}
}

func TestBybitTellsTheCategoriesApart(t *testing.T) {
	const file, symbol, path = "crypto/BYBIT.jsonl.zst", "linear/BTCUSDT", "/v5/public/linear"
	_, recorded := timeline(t, "bybit", file)
	cut := 1000
	for recorded[cut-1].key != (key{"orderbook.200", symbol}) {
		cut++
	}
	x := New(t, "bybit", testdata.Path(t, file), Options{Symbols: []string{"BTCUSDT", symbol}, DisconnectAfter: []int{cut}})
	spot, linear := dial(t, x.WebSocketURL()+"/v5/public/spot"), dial(t, x.WebSocketURL()+path)
	for _, c := range []*client{spot, linear} {
		c.send(`{"op":"ping"}`, `{"op":"subscribe","args":["orderbook.200.NOPE"]}`, `{"op":"subscribe","args":["orderbook.200.BTCUSDT"],"req_id":"7"}`)
		if got := c.until("req_id"); len(got) != 3 || !strings.Contains(got[0], `"pong"`) || !strings.Contains(got[1], "false") {
			t.Errorf("answers are %q", got)
		}
	}
	for range linear.frames {
	}
	linear = dial(t, x.WebSocketURL()+path)
	linear.send(`{"op":"subscribe","args":["orderbook.200.BTCUSDT"]}`)
	wait(t, x.Done())
	for name, c := range map[string]*client{symbol: linear, "BTCUSDT": spot} {
		v, b := newBybit(), &book{bids: make(map[string]level), asks: make(map[string]level)}
		for _, text := range c.rest() {
			f, ok, err := v.read("", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if ok && b.known && f.change.seq != b.seq+1 {
				t.Fatalf("%s: update %d after %d", name, f.change.seq, b.seq)
			}
			b.apply(&f)
		}
		states := x.States(name, 0)
		if got, want := b.best(0).String(), states[len(states)-1].Book.String(); got != want {
			t.Errorf("%s: the last book is\n%.300s\nwant\n%.300s", name, got, want)
		}
	}
}

func TestUnsubscribing(t *testing.T) {
	x := New(t, "okx", testdata.Path(t, okxFile), Options{Symbols: []string{"BTC-USDT"}, Frames: 200})
	c := dial(t, x.WebSocketURL())
	const books, tickers = `"args":[{"channel":"books","instId":"BTC-USDT"}]}`, `"args":[{"channel":"tickers","instId":"BTC-USDT"}]}`
	c.send(`{"op":"subscribe",`+tickers, `{"op":"unsubscribe",`+tickers, `{"op":"subscribe",`+books)
	wait(t, x.Done()) // time does not wait for what was given up
	c.send(`{"op":"unsubscribe",`+books, `{"op":"subscribe",`+books)
	c.until(`"channel":"books","instId":"BTC-USDT"},"event":"unsubscribe"`)
	got := c.until(`"action":"snapshot"`)
	states := x.States("BTC-USDT", 1)
	if last := got[len(got)-1]; !strings.Contains(last, `[["`+states[len(states)-1].Book.Asks[0].Price+`","`) {
		t.Errorf("the snapshot is %.200s, want the last book", last)
	}
	if slices.ContainsFunc(c.rest(), func(f string) bool { return strings.Contains(f, `"tickers"`) }) {
		t.Error("tickers came after they were given up")
	}
}
