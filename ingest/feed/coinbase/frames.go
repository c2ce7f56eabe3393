package coinbase

import (
	"bytes"
	"log/slog"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// The codes of KindStatus. The values are part of what is stored.
const (
	codeCandle  = 1
	codeProduct = 2 // an element of the status channel
	codeTicker  = 3 // a ticker without both best prices
	codeTrade   = 4 // a trade from before the capture
)

// message is what all elements of a frame have in common.
type message struct {
	recv, at int64 // at is the frame's timestamp
	conn     []byte
	seq      uint64
}

// Receive reads one frame.
func (s *Session) Receive(recv int64, conn, frame []byte) {
	frame = bytes.TrimSpace(frame)
	if !scan.Valid(frame) {
		s.e.Skip(emit.BadJSON)
		return
	}
	if err := s.frame(recv, conn, frame); err != nil {
		s.e.Skip(emit.ReasonOf(err), slog.String("frame", string(frame[:min(len(frame), 200)])))
		return
	}
	s.e.Message()
}

func (s *Session) frame(recv int64, conn, frame []byte) error {
	var channel, kind, at, number, events []byte
	for o := scan.Members(frame); o.Next(); {
		switch string(o.Key) {
		case "channel":
			channel = scan.Text(o.Value)
		case "type":
			kind = scan.Text(o.Value)
		case "timestamp":
			at = o.Value
		case "sequence_num":
			number = o.Value
		case "events":
			events = o.Value
		}
	}
	if channel == nil && string(kind) == "error" {
		s.e.Log().Warn("coinbase refused a request", "frame", string(frame))
		return nil
	}
	if channel == nil {
		return emit.UnknownType
	}
	if err := s.follow(recv, conn, number); err != nil {
		return err
	}
	m := message{recv: recv, conn: conn}
	m.seq, _ = scan.Uint(number)
	var err error
	if m.at, err = nanos(at); err != nil {
		m.at = market.UndefTimestamp
	}
	return s.dispatch(&m, channel, events)
}

func (s *Session) dispatch(m *message, channel, events []byte) error {
	switch string(channel) {
	case "heartbeats", "subscriptions":
		return nil
	case "l2_data":
		return s.bookFrame(m, events)
	case "market_trades":
		return s.tradeFrame(m, events)
	case "ticker", "ticker_batch":
		return s.each(m, events, "tickers", s.ticker)
	case "candles":
		return s.each(m, events, "candles", s.candle)
	case "status":
		return s.each(m, events, "products", s.product)
	}
	return emit.UnknownType
}

// each hands every element of the list called name, of every event, to read, and
// the message by value: by pointer it would have to be allocated. An element that
// cannot be used is counted; the others are kept.
func (s *Session) each(m *message, events []byte, name string, read func(message, []byte) error) error {
	if !scan.IsArray(events) {
		return emit.MissingField
	}
	for a := scan.Elements(events); a.Next(); {
		list := member(a.Value, name)
		if !scan.IsArray(list) {
			return emit.MissingField
		}
		for b := scan.Elements(list); b.Next(); {
			s.skip(read(*m, b.Value), b.Value)
		}
	}
	return nil
}

// skip counts an element that cannot be used.
func (s *Session) skip(err error, v []byte) {
	if err != nil {
		s.e.Skip(emit.ReasonOf(err), slog.String("element", string(v[:min(len(v), 200)])))
	}
}

// member gives the raw value of an object's member; nil where it has none.
func member(object []byte, name string) (v []byte) {
	for o := scan.Members(object); o.Next(); {
		if string(o.Key) == name {
			v = o.Value
		}
	}
	return v
}

func (s *Session) candle(m message, v []byte) error {
	return s.status(&m, scan.Text(member(v, "product_id")), codeCandle, v)
}

func (s *Session) product(m message, v []byte) error {
	return s.status(&m, scan.Text(member(v, "id")), codeProduct, v)
}

// status keeps an element verbatim.
func (s *Session) status(m *message, productID []byte, code uint16, v []byte) error {
	in, err := s.instrument(m, m.at, productID)
	if err == nil {
		s.e.Status(in.id, m.recv, m.at, &market.Status{Seq: m.seq, Code: code, Flags: market.FlagLast, Payload: v})
	}
	return err
}
