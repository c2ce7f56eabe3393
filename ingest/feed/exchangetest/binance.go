package exchangetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"chronicle/market"
)

// binance is Binance's spot and futures streams. The channel is the stream's name
// without symbol and speed: "depth", "bookTicker", "kline_1m".
type binance struct {
	common
	starts  map[string]*change // the recorded depth snapshots, by symbol
	pending []*change          // those that name no symbol
	listed  bool               // the recording has the list of instruments
}

func newBinance() *binance {
	return &binance{starts: make(map[string]*change)}
}

type binanceDepth struct {
	LastUpdateID uint64            `json:"lastUpdateId"`
	E            json.RawMessage   `json:"E,omitempty"`
	T            json.RawMessage   `json:"T,omitempty"`
	Bids         []json.RawMessage `json:"bids"`
	Asks         []json.RawMessage `json:"asks"`
}

func (v *binance) read(_ string, data []byte) (frame, bool, error) {
	// Cut rather than decoded: a recording has a hundred thousand of them.
	after, combined := bytes.CutPrefix(data, []byte(`{"stream":"`))
	if !combined {
		return frame{}, false, v.start("", data)
	}
	stream, event, ok := bytes.Cut(after, []byte(`","data":`))
	if !ok {
		return frame{}, false, fmt.Errorf("frame without data: %.80s", data)
	}
	out := frame{key: streamKey(string(stream)), data: bytes.TrimSuffix(event, []byte("}"))}
	v.seen(out.key.symbol)
	if out.key.channel != "depth" {
		return out, true, nil
	}
	var err error
	out.change, err = v.change(out.data)
	return out, true, err
}

// streamKey gives depth and BTCUSDT for btcusdt@depth@100ms.
func streamKey(stream string) key {
	parts := strings.Split(stream, "@")
	return key{strings.Join(parts[1:min(2, len(parts))], ""), strings.ToUpper(parts[0])}
}

func (v *binance) change(data json.RawMessage) (*change, error) {
	var e map[string]json.RawMessage // names differ by case alone
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	ch := &change{meta: marshal(binanceDepth{E: e["E"], T: e["T"]})}
	var err error
	if ch.seq, err = strconv.ParseUint(string(e["u"]), 10, 64); err != nil {
		return nil, err
	}
	if ch.bids, err = binanceSide(e["b"]); err == nil {
		ch.asks, err = binanceSide(e["a"])
	}
	return ch, err
}

func binanceSide(v json.RawMessage) ([]level, error) {
	var rows []json.RawMessage
	if err := json.Unmarshal(v, &rows); err != nil {
		return nil, err
	}
	return pairLevels(rows)
}

// start keeps the recorded depth snapshot of a symbol.
func (v *binance) start(symbol string, data []byte) error {
	var d binanceDepth
	var err error
	if err = json.Unmarshal(data, &d); err != nil || d.LastUpdateID == 0 {
		return err
	}
	ch := &change{snapshot: true, seq: d.LastUpdateID, meta: marshal(binanceDepth{E: d.E, T: d.T})}
	if ch.bids, err = pairLevels(d.Bids); err != nil {
		return err
	}
	if ch.asks, err = pairLevels(d.Asks); err != nil {
		return err
	}
	if symbol == "" {
		v.pending = append(v.pending, ch)
		return nil
	}
	v.starts[symbol] = ch
	return nil
}

func (v *binance) response(u *url.URL, body []byte) error {
	v.listed = v.listed || strings.HasSuffix(u.Path, "/exchangeInfo")
	if !strings.HasSuffix(u.Path, "/depth") {
		return nil
	}
	return v.start(u.Query().Get("symbol"), body)
}

// prepare gives the book the snapshot that it begins with.
func (v *binance) prepare(b *book) {
	b.start = v.starts[b.key.symbol]
	if b.start == nil && len(v.pending) > 0 {
		b.start = v.pending[0]
	}
}

// greet subscribes the streams that the address names.
func (v *binance) greet(c *conn) (r reply) {
	u, err := url.Parse(c.path)
	if err != nil {
		return r
	}
	streams := u.Query().Get("streams")
	if after, ok := strings.CutPrefix(u.Path, "/ws/"); ok {
		streams = after
	}
	for _, name := range strings.FieldsFunc(streams, func(r rune) bool { return r == '/' }) {
		r.subscribe = append(r.subscribe, subscription{streamKey(name), name})
	}
	return r
}

func (v *binance) request(c *conn, data []byte) (r reply) {
	var q struct {
		Method string
		Params []string
		ID     json.RawMessage
	}
	err := json.Unmarshal(data, &q)
	if q.ID == nil {
		q.ID = json.RawMessage("null")
	}
	if err == nil && q.Method == "LIST_SUBSCRIPTIONS" {
		return reply{frames: [][]byte{marshal(map[string]any{"result": slices.Sorted(maps.Values(c.subs)), "id": q.ID})}}
	}
	if err != nil || q.Method != "SUBSCRIBE" && q.Method != "UNSUBSCRIBE" {
		return reply{frames: [][]byte{[]byte(`{"error":{"code":2,"msg":"Invalid request"}}`)}}
	}
	for _, name := range q.Params {
		if q.Method == "SUBSCRIBE" {
			r.subscribe = append(r.subscribe, subscription{streamKey(name), name})
		} else {
			r.unsubscribe = append(r.unsubscribe, streamKey(name))
		}
	}
	r.frames = [][]byte{marshal(map[string]any{"result": nil, "id": q.ID})}
	return r
}

func (v *binance) render(c *conn, f *frame) []byte {
	if strings.HasPrefix(c.path, "/ws") {
		return f.data
	}
	return fmt.Appendf(nil, `{"stream":%q,"data":%s}`, c.subs[f.key], f.data)
}

// snapshot: there is none in the stream; it is asked for by REST.
func (*binance) snapshot(*conn, *book) []byte { return nil }

// answer serves .../depth?symbol=S&limit=N, and .../exchangeInfo where the
// recording has none.
func (v *binance) answer(u *url.URL, books map[key]*book) ([]byte, bool) {
	if strings.HasSuffix(u.Path, "/exchangeInfo") && !v.listed {
		return v.exchangeInfo(), true
	}
	if !strings.HasSuffix(u.Path, "/depth") {
		return nil, false
	}
	b := books[key{"depth", strings.ToUpper(u.Query().Get("symbol"))}]
	if b == nil {
		return nil, false
	}
	if !b.known {
		first := &book{key: b.key, bids: make(map[string]level), asks: make(map[string]level)}
		if b.start == nil {
			return nil, false
		}
		first.set(b.start)
		b = first
	}
	limit, err := strconv.Atoi(u.Query().Get("limit"))
	if err != nil || limit <= 0 {
		limit = 500
	}
	var d binanceDepth
	if err := json.Unmarshal(b.meta, &d); err != nil {
		panic(err)
	}
	d.LastUpdateID, d.Bids, d.Asks = b.seq, raws(b.top(true, limit)), raws(b.top(false, limit))
	return marshal(d), true
}

// exchangeInfo lists the symbols of the timeline, where the recording has no list.
func (v *binance) exchangeInfo() []byte {
	var symbols []map[string]any
	for s := range v.symbols {
		base, quote, _ := strings.Cut(market.SplitPair(s), "_")
		symbols = append(symbols, map[string]any{
			"symbol": s, "pair": s, "status": "TRADING", "contractType": "PERPETUAL",
			"baseAsset": strings.ToUpper(base), "quoteAsset": strings.ToUpper(quote),
		})
	}
	return marshal(map[string]any{"timezone": "UTC", "symbols": symbols})
}
