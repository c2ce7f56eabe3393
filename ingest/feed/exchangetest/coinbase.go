package exchangetest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// coinbase is the Advanced Trade feed. Every message of a connection is numbered.
type coinbase struct{ common }

func newCoinbase() *coinbase { return &coinbase{} }

// coinbaseMessage is a message of the venue; SequenceNum is set when it is sent.
type coinbaseMessage struct {
	Channel     string          `json:"channel"`
	ClientID    string          `json:"client_id"`
	Timestamp   string          `json:"timestamp"`
	SequenceNum uint64          `json:"sequence_num"`
	Events      json.RawMessage `json:"events"`
}

// coinbaseEvent is what the events of all channels hold.
type coinbaseEvent struct {
	Type      string            `json:"type"`
	ProductID string            `json:"product_id,omitempty"`
	Updates   []json.RawMessage `json:"updates,omitempty"`
	Trades    []json.RawMessage `json:"trades,omitempty"`
	Tickers   []json.RawMessage `json:"tickers,omitempty"`
	Candles   []json.RawMessage `json:"candles,omitempty"`
}

func (v *coinbase) read(_ string, data []byte) (frame, bool, error) {
	var m coinbaseMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return frame{}, false, err
	}
	out := frame{key: key{channel: m.Channel}, data: data}
	switch m.Channel {
	case "subscriptions":
		return frame{}, false, nil
	case "heartbeats":
		return out, true, nil
	}
	var events []coinbaseEvent
	if err := json.Unmarshal(m.Events, &events); err != nil || len(events) == 0 {
		return frame{}, false, err
	}
	e := events[0]
	out.key.symbol = e.ProductID
	if elements := slices.Concat(e.Trades, e.Tickers, e.Candles); len(elements) > 0 {
		var first struct {
			ProductID string `json:"product_id"`
		}
		if err := json.Unmarshal(elements[0], &first); err != nil {
			return frame{}, false, err
		}
		out.key.symbol = first.ProductID
	}
	v.seen(out.key.symbol)
	if m.Channel != "l2_data" {
		return out, true, nil
	}
	out.change = &change{snapshot: e.Type == "snapshot", meta: marshal(m.Timestamp)}
	return out, true, coinbaseLevels(out.change, e.Updates)
}

func coinbaseLevels(ch *change, updates []json.RawMessage) error {
	for _, raw := range updates {
		var u struct {
			Side     string
			Price    string `json:"price_level"`
			Quantity string `json:"new_quantity"`
		}
		if err := json.Unmarshal(raw, &u); err != nil {
			return err
		}
		l, err := newLevel(u.Price, u.Quantity, raw)
		if err != nil {
			return err
		}
		if u.Side == "bid" {
			ch.bids = append(ch.bids, l)
		} else {
			ch.asks = append(ch.asks, l)
		}
	}
	return nil
}

func (v *coinbase) request(c *conn, data []byte) (r reply) {
	var q struct {
		Type     string
		Channel  string
		Products []string `json:"product_ids"`
	}
	fail := func(why string) reply {
		return reply{frames: [][]byte{marshal(map[string]string{"type": "error", "message": why})}}
	}
	if err := json.Unmarshal(data, &q); err != nil || q.Type != "subscribe" && q.Type != "unsubscribe" {
		return fail("malformed request")
	}
	if q.Channel == "heartbeats" || len(q.Products) == 0 {
		q.Products = []string{""}
	}
	for _, p := range q.Products {
		k := key{coinbaseChannel(q.Channel), p}
		switch {
		case p != "" && !v.symbols[p]:
			return fail("failed to subscribe: " + p + " is not a valid product")
		case q.Type == "subscribe":
			r.subscribe = append(r.subscribe, subscription{k, q.Channel})
		default:
			r.unsubscribe = append(r.unsubscribe, k)
		}
	}
	r.frames = [][]byte{coinbaseSubscriptions(c, &r)}
	return r
}

// coinbaseChannel gives the channel in frames of one that is subscribed.
func coinbaseChannel(name string) string {
	if name == "level2" {
		return "l2_data"
	}
	return name
}

// coinbaseSubscriptions lists what a connection is subscribed to after r.
func coinbaseSubscriptions(c *conn, r *reply) []byte {
	held := make(map[string][]string)
	for k, name := range c.subs {
		if !slices.Contains(r.unsubscribe, k) {
			held[name] = append(held[name], k.symbol)
		}
	}
	for _, s := range r.subscribe {
		if !slices.Contains(held[s.name], s.key.symbol) {
			held[s.name] = append(held[s.name], s.key.symbol)
		}
	}
	for _, symbols := range held {
		slices.Sort(symbols)
	}
	events := marshal([]any{map[string]any{"subscriptions": held}})
	return marshal(coinbaseMessage{Channel: "subscriptions", Timestamp: "2026-01-01T00:00:00Z", Events: events})
}

// stamp numbers a message.
func (*coinbase) stamp(c *conn, data []byte) []byte {
	before, after, ok := bytes.Cut(data, []byte(`"sequence_num":`))
	if !ok {
		return data
	}
	after = bytes.TrimLeft(after, "0123456789")
	n := strconv.AppendUint([]byte(`"sequence_num":`), c.seq, 10)
	c.seq++
	return slices.Concat(before, n, after)
}

func (v *coinbase) snapshot(_ *conn, b *book) []byte {
	var at string
	if err := json.Unmarshal(b.meta, &at); err != nil {
		panic(err)
	}
	updates := append(raws(b.top(true, 0)), raws(b.top(false, 0))...)
	events := marshal([]coinbaseEvent{{Type: "snapshot", ProductID: b.key.symbol, Updates: updates}})
	return marshal(coinbaseMessage{Channel: "l2_data", Timestamp: at, Events: events})
}

// recap gives the latest trades, the last first.
func (v *coinbase) recap(k key, passed []frame) []byte {
	const most = 100
	if k.channel != "market_trades" {
		return nil
	}
	var m coinbaseMessage
	var trades []json.RawMessage
	for i := len(passed) - 1; i >= 0 && len(trades) < most; i-- {
		if passed[i].key != k {
			continue
		}
		var events []coinbaseEvent
		if err := json.Unmarshal(passed[i].data, &m); err != nil {
			panic(err)
		}
		if err := json.Unmarshal(m.Events, &events); err != nil {
			panic(err)
		}
		for _, e := range events {
			trades = append(trades, e.Trades...)
		}
	}
	if len(trades) == 0 {
		return nil
	}
	m.Events = marshal([]coinbaseEvent{{Type: "snapshot", Trades: trades[:min(most, len(trades))]}})
	return marshal(m)
}
