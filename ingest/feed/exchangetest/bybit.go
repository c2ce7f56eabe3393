package exchangetest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// bybit is version 5, public. A symbol is named as the venue does, with the
// category and a slash before it where it is not spot: linear/BTCUSDT.
type bybit struct {
	common
	topics map[key]bool
}

func newBybit() *bybit { return &bybit{topics: make(map[key]bool)} }

// bybitMeta is what a book frame tells besides the levels.
type bybitMeta struct {
	Seq uint64          `json:"seq"`
	TS  json.RawMessage `json:"ts"`
	CTS json.RawMessage `json:"cts"`
}

func bybitKey(address, topic string) key {
	last := strings.LastIndexByte(topic, '.')
	k := key{topic[:max(last, 0)], topic[last+1:]}
	if !strings.Contains(address, "spot") {
		k.symbol = "linear/" + k.symbol
	}
	return k
}

func (v *bybit) read(addr string, data []byte) (frame, bool, error) {
	var f struct {
		Topic, Type string
		Data        json.RawMessage
		TS, CTS     json.RawMessage
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return frame{}, false, err
	}
	if f.Topic == "" {
		return frame{}, false, nil
	}
	out := frame{key: bybitKey(addr, f.Topic), data: data}
	v.seen(out.key.symbol)
	v.topics[out.key] = true
	if !strings.HasPrefix(out.key.channel, "orderbook.") {
		return out, true, nil
	}
	var b struct {
		B, A   []json.RawMessage
		U, Seq uint64
	}
	if err := json.Unmarshal(f.Data, &b); err != nil {
		return frame{}, false, err
	}
	out.change = &change{snapshot: f.Type == "snapshot", seq: b.U, meta: marshal(bybitMeta{b.Seq, f.TS, f.CTS})}
	var err error
	if out.change.bids, err = pairLevels(b.B); err == nil {
		out.change.asks, err = pairLevels(b.A)
	}
	return out, true, err
}

func (v *bybit) request(c *conn, data []byte) (r reply) {
	var q struct {
		Op    string
		Args  []string
		ReqID string `json:"req_id"`
	}
	answer := map[string]any{"success": true, "ret_msg": "", "conn_id": "exchangetest"}
	if err := json.Unmarshal(data, &q); err != nil {
		answer["success"], answer["ret_msg"] = false, "Request is not a valid JSON"
	}
	answer["op"] = q.Op
	if q.ReqID != "" {
		answer["req_id"] = q.ReqID
	}
	switch q.Op {
	case "ping":
		answer["ret_msg"] = "pong"
	case "subscribe", "unsubscribe":
		for _, topic := range q.Args {
			k := bybitKey(c.path, topic)
			if !v.symbols[k.symbol] || strings.HasPrefix(k.channel, "orderbook") && !v.topics[k] {
				answer["success"], answer["ret_msg"] = false, "error:handler not found,topic:"+topic
				r.subscribe, r.unsubscribe = nil, nil
				break
			}
			if q.Op == "subscribe" {
				r.subscribe = append(r.subscribe, subscription{k, topic})
			} else {
				r.unsubscribe = append(r.unsubscribe, k)
			}
		}
	default:
		answer["success"] = false
	}
	r.frames = [][]byte{marshal(answer)}
	return r
}

func (v *bybit) snapshot(c *conn, b *book) []byte {
	var m bybitMeta
	if err := json.Unmarshal(b.meta, &m); err != nil {
		panic(err)
	}
	symbol := strings.TrimPrefix(b.key.symbol, "linear/")
	return fmt.Appendf(nil, `{"topic":%q,"type":"snapshot","ts":%s,"data":{"s":%q,"b":%s,"a":%s,"u":%d,"seq":%d},"cts":%s}`,
		c.subs[b.key], m.TS, symbol, marshal(raws(b.top(true, 0))), marshal(raws(b.top(false, 0))), b.seq, m.Seq, m.CTS)
}
