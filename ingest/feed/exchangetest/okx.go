package exchangetest

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
)

// okx is WebSocket version 5.
type okx struct{ common }

func newOKX() *okx { return &okx{} }

type okxArg struct {
	Channel string `json:"channel"`
	InstID  string `json:"instId"`
}

// okxBook is the data element of a book frame.
type okxBook struct {
	Asks     []json.RawMessage `json:"asks"`
	Bids     []json.RawMessage `json:"bids"`
	TS       string            `json:"ts"`
	Checksum int32             `json:"checksum"`
}

func (v *okx) read(_ string, data []byte) (frame, bool, error) {
	var f struct {
		Event, Action string
		Arg           okxArg
		Data          json.RawMessage
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return frame{}, false, err
	}
	if f.Event != "" {
		return frame{}, false, nil
	}
	v.seen(f.Arg.InstID)
	out := frame{key: key{f.Arg.Channel, f.Arg.InstID}, data: data}
	if f.Arg.Channel != "books" {
		return out, true, nil
	}
	var books []okxBook
	if err := json.Unmarshal(f.Data, &books); err != nil {
		return frame{}, false, err
	}
	if len(books) != 1 {
		return frame{}, false, fmt.Errorf("book frame with %d books", len(books))
	}
	out.change = &change{snapshot: f.Action == "snapshot", meta: marshal(books[0])}
	var err error
	if out.change.asks, err = pairLevels(books[0].Asks); err == nil {
		out.change.bids, err = pairLevels(books[0].Bids)
	}
	return out, true, err
}

// pairLevels reads levels that begin with a price and a size, both in quotes. They
// are cut out rather than decoded: some recordings have a million.
func pairLevels(rows []json.RawMessage) ([]level, error) {
	out := make([]level, 0, len(rows))
	for _, raw := range rows {
		parts := strings.SplitN(string(raw), `"`, 5)
		if len(parts) < 5 {
			return nil, fmt.Errorf("level %s", raw)
		}
		l, err := newLevel(parts[1], parts[3], raw)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (v *okx) request(_ *conn, data []byte) (r reply) {
	if string(data) == "ping" {
		return reply{frames: [][]byte{[]byte("pong")}}
	}
	var q struct {
		Op   string
		Args []okxArg
	}
	if err := json.Unmarshal(data, &q); err != nil || q.Op != "subscribe" && q.Op != "unsubscribe" {
		return reply{frames: [][]byte{[]byte(`{"event":"error","code":"60012","msg":"Invalid request"}`)}}
	}
	for _, a := range q.Args {
		k := key{a.Channel, a.InstID}
		switch {
		case !v.symbols[a.InstID]:
			r.frames = append(r.frames, marshal(map[string]any{"event": "error", "code": "60018", "msg": "Wrong URL or channel:" + a.Channel + ",instId:" + a.InstID + " doesn't exist"}))
			continue
		case q.Op == "subscribe":
			r.subscribe = append(r.subscribe, subscription{k, a.Channel})
		default:
			r.unsubscribe = append(r.unsubscribe, k)
		}
		r.frames = append(r.frames, marshal(map[string]any{"event": q.Op, "arg": a}))
	}
	return r
}

func (v *okx) snapshot(_ *conn, b *book) []byte {
	var last okxBook
	if err := json.Unmarshal(b.meta, &last); err != nil {
		panic(err)
	}
	last.Asks, last.Bids, last.Checksum = raws(b.top(false, 0)), raws(b.top(true, 0)), int32(okxChecksum(b))
	return marshal(struct {
		Arg    okxArg    `json:"arg"`
		Action string    `json:"action"`
		Data   []okxBook `json:"data"`
	}{okxArg{b.key.channel, b.key.symbol}, "snapshot", []okxBook{last}})
}

// okxChecksum is the venue's checksum of a book: "price:size" of the 25 best
// levels, bid and ask in turn, joined by colons.
func okxChecksum(b *book) uint32 {
	bids, asks := b.top(true, 25), b.top(false, 25)
	var parts []string
	for i := range max(len(bids), len(asks)) {
		if i < len(bids) {
			parts = append(parts, bids[i].price, bids[i].size)
		}
		if i < len(asks) {
			parts = append(parts, asks[i].price, asks[i].size)
		}
	}
	return crc32.ChecksumIEEE([]byte(strings.Join(parts, ":")))
}
