package exchangetest

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
)

// kraken is WebSocket version 1.
type kraken struct {
	common
	hello    []byte                  // systemStatus, as recorded
	statuses map[key]json.RawMessage // subscriptionStatus, as recorded, by name and pair
	names    map[key]string          // channel names with their depth: book-1000
	ids      map[key]json.RawMessage // channel numbers
	depths   int
}

func newKraken() *kraken {
	return &kraken{statuses: make(map[key]json.RawMessage), names: make(map[key]string), ids: make(map[key]json.RawMessage)}
}

// krakenEvent is a frame of the connection, in either direction.
type krakenEvent struct {
	Event        string          `json:"event"`
	ReqID        json.RawMessage `json:"reqid"`
	Pairs        []string        `json:"pair"`
	Subscription struct {
		Name string `json:"name"`
	} `json:"subscription"`
}

func (v *kraken) read(_ string, data []byte) (frame, bool, error) {
	if data[0] == '{' {
		return frame{}, false, v.event(data)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return frame{}, false, err
	}
	if len(parts) < 4 {
		return frame{}, false, fmt.Errorf("frame of %d parts", len(parts))
	}
	var channel, pair string
	if err := json.Unmarshal(parts[len(parts)-2], &channel); err != nil {
		return frame{}, false, err
	}
	if err := json.Unmarshal(parts[len(parts)-1], &pair); err != nil {
		return frame{}, false, err
	}
	name, depth, _ := strings.Cut(channel, "-")
	f := frame{key: key{name, pair}, data: data}
	v.seen(pair)
	v.names[f.key], v.ids[f.key] = channel, parts[0]
	if name != "book" {
		return f, true, nil
	}
	if _, err := fmt.Sscan(depth, &v.depths); err != nil {
		return frame{}, false, err
	}
	var err error
	f.change, err = krakenChange(parts[1 : len(parts)-2])
	return f, true, err
}

// event keeps what the venue said on its own behalf.
func (v *kraken) event(data []byte) error {
	var e struct {
		Event, Pair  string
		Subscription struct{ Name string }
	}
	err := json.Unmarshal(data, &e)
	switch e.Event {
	case "systemStatus":
		v.hello = data
	case "subscriptionStatus":
		v.statuses[key{e.Subscription.Name, e.Pair}] = data
	}
	return err
}

func krakenChange(payloads []json.RawMessage) (*change, error) {
	ch := &change{}
	for _, p := range payloads {
		var sides map[string]json.RawMessage
		if err := json.Unmarshal(p, &sides); err != nil {
			return nil, err
		}
		for name, v := range sides {
			if name == "c" {
				ch.meta = v
				continue
			}
			levels, err := krakenLevels(v)
			if err != nil {
				return nil, err
			}
			ch.snapshot = ch.snapshot || name == "as" || name == "bs"
			if name[0] == 'a' {
				ch.asks = append(ch.asks, levels...)
			} else {
				ch.bids = append(ch.bids, levels...)
			}
		}
	}
	return ch, nil
}

// krakenLevels reads levels [price, volume, time(, "r")]. They are kept without
// the mark of a repeated level.
func krakenLevels(v json.RawMessage) ([]level, error) {
	var rows [][]string
	if err := json.Unmarshal(v, &rows); err != nil {
		return nil, err
	}
	out := make([]level, 0, len(rows))
	for _, r := range rows {
		if len(r) < 3 {
			return nil, fmt.Errorf("level of %d parts", len(r))
		}
		l, err := newLevel(r[0], r[1], marshal(r[:3]))
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (v *kraken) prepare(b *book) { b.depth = v.depths }

func (v *kraken) greet(*conn) reply {
	if v.hello == nil {
		return reply{}
	}
	return reply{frames: [][]byte{v.hello}}
}

func (*kraken) heartbeat() []byte { return []byte(`{"event":"heartbeat"}`) }

func (v *kraken) request(_ *conn, data []byte) (r reply) {
	var e krakenEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return reply{frames: [][]byte{[]byte(`{"errorMessage":"Malformed request","event":"error"}`)}}
	}
	switch e.Event {
	case "ping":
		pong := map[string]any{"event": "pong"}
		if e.ReqID != nil {
			pong["reqid"] = e.ReqID
		}
		return reply{frames: [][]byte{marshal(pong)}}
	case "subscribe", "unsubscribe":
		for _, pair := range e.Pairs {
			v.status(&r, &e, pair)
		}
		return r
	}
	return reply{frames: [][]byte{[]byte(`{"errorMessage":"Unsupported event","event":"error"}`)}}
}

// status answers for one pair of a subscription.
func (v *kraken) status(r *reply, e *krakenEvent, pair string) {
	k := key{e.Subscription.Name, pair}
	status := map[string]any{}
	if recorded := v.statuses[k]; recorded != nil {
		_ = json.Unmarshal(recorded, &status)
	} else {
		status = map[string]any{"event": "subscriptionStatus", "pair": pair, "channelName": e.Subscription.Name, "subscription": e.Subscription}
	}
	switch {
	case !v.symbols[pair]:
		status["status"], status["errorMessage"] = "error", "Currency pair not supported "+pair
	case e.Event == "subscribe":
		status["status"] = "subscribed"
		r.subscribe = append(r.subscribe, subscription{k, e.Subscription.Name})
	default:
		status["status"] = "unsubscribed"
		r.unsubscribe = append(r.unsubscribe, k)
	}
	if e.ReqID != nil {
		status["reqid"] = e.ReqID
	}
	r.frames = append(r.frames, marshal(status))
}

func (v *kraken) snapshot(_ *conn, b *book) []byte {
	return marshal([]any{v.ids[b.key], map[string]any{"as": raws(b.top(false, 0)), "bs": raws(b.top(true, 0))}, v.names[b.key], b.key.symbol})
}

// krakenChecksum is the venue's checksum of a book: the digits of the ten best
// asks, then of the ten best bids.
func krakenChecksum(b *book) uint32 {
	var text strings.Builder
	for _, bid := range []bool{false, true} {
		for _, l := range b.top(bid, 10) {
			for _, number := range []string{l.price, l.size} {
				text.WriteString(strings.TrimLeft(strings.Replace(number, ".", "", 1), "0"))
			}
		}
	}
	return crc32.ChecksumIEEE([]byte(text.String()))
}

// raws gives levels as the venue wrote them.
func raws(levels []level) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(levels))
	for _, l := range levels {
		out = append(out, l.raw)
	}
	return out
}

// marshal encodes what can always be encoded.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
