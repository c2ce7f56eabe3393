package bybit

import (
	"bytes"
	"log/slog"
	"math"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// statusCodes are the topics that are kept verbatim. The values are part of what
// is stored.
var statusCodes = map[string]uint16{
	"tickers": codeTicker, "orderbook": codeBook, "kline": 3, "liquidation": 4, "allLiquidation": 5,
	"kline_lt": 6, "tickers_lt": 7, "lt": 8, "adlAlert": 9, "priceLimit": 10, "insurance": 11,
}

const (
	codeTicker = 1
	codeBook   = 2 // a book of another depth than the instrument's
)

// topic is kind[.detail].symbol.
type topic struct{ kind, detail, symbol []byte }

func parseTopic(v []byte) (t topic) {
	first, last := bytes.IndexByte(v, '.'), bytes.LastIndexByte(v, '.')
	if first < 0 {
		return topic{kind: v}
	}
	t.kind, t.symbol = v[:first], v[last+1:]
	if first < last {
		t.detail = v[first+1 : last]
	}
	return t
}

// maxDepth bounds the depth of a topic.
const maxDepth = 1 << 20

// depth gives N of orderbook.N, or 0.
func (t *topic) depth() int {
	n, ok := scan.Uint(t.detail)
	if string(t.kind) != "orderbook" || !ok || n > maxDepth {
		return 0
	}
	return int(n)
}

// message is what is around the data of a frame.
type message struct {
	recv, at int64 // at is the venue's time, cts or else ts
	conn     []byte
	topic    topic
	kind     []byte // type
	data     []byte
	cross    []byte // cs
	frame    []byte
}

// Receive reads one frame. One that cannot be read may have been of any topic of
// the connection: it is a gap, since trades have no chain.
func (s *Session) Receive(recv int64, conn, frame []byte) {
	frame = bytes.TrimSpace(frame)
	if !scan.Valid(frame) {
		s.e.Skip(emit.BadJSON)
		s.e.Gap(recv, market.Gap{Channel: string(conn), Cause: market.GapSource, Detail: "a frame that cannot be read"})
		return
	}
	if err := s.frame(recv, conn, frame); err != nil {
		s.e.Skip(emit.ReasonOf(err), slog.String("frame", string(frame[:min(len(frame), 200)])))
		return
	}
	s.e.Message()
}

func (s *Session) frame(recv int64, conn, frame []byte) error {
	m := message{recv: recv, conn: conn, frame: frame}
	var op, topic, success, ts, cts []byte
	for o := scan.Members(frame); o.Next(); {
		switch string(o.Key) {
		case "op":
			op = scan.Text(o.Value)
		case "topic":
			topic = scan.Text(o.Value)
		case "success":
			success = o.Value
		case "type":
			m.kind = scan.Text(o.Value)
		case "data":
			m.data = o.Value
		case "cs":
			m.cross = o.Value
		case "ts":
			ts = o.Value
		case "cts":
			cts = o.Value
		}
	}
	if topic == nil && (op != nil || success != nil) {
		if string(success) == "false" {
			s.e.Log().Warn("bybit refused a request", "frame", string(frame))
		}
		return nil
	}
	m.topic = parseTopic(topic)
	if cts == nil {
		cts = ts
	}
	var err error
	if m.at, err = millis(cts); err != nil {
		m.at = market.UndefTimestamp
	}
	return s.dispatch(&m)
}

func (s *Session) dispatch(m *message) error {
	switch string(m.topic.kind) {
	case "orderbook":
		return s.bookFrame(m)
	case "publicTrade":
		return s.trades(m)
	case "tickers":
		return s.ticker(m)
	}
	code, ok := statusCodes[string(m.topic.kind)]
	if !ok {
		return emit.UnknownType
	}
	return s.status(m, code)
}

// status keeps a frame verbatim.
func (s *Session) status(m *message, code uint16) error {
	in, err := s.instrument(m.recv, m.at, m.conn, m.topic.symbol)
	if err == nil {
		s.e.Status(in.id, m.recv, m.at, &market.Status{Code: code, Flags: market.FlagLast, Payload: m.frame})
	}
	return err
}

// millis reads a time in ms as ns; an absent one is undefined.
func millis(v []byte) (int64, error) {
	if v == nil {
		return market.UndefTimestamp, nil
	}
	n, ok := scan.Uint(v)
	switch {
	case !ok:
		return 0, emit.BadNumber
	case n > math.MaxInt64/1_000_000:
		return 0, emit.OutOfRange
	}
	return int64(n) * 1_000_000, nil
}
