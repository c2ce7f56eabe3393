package bybit

import (
	"log/slog"
	"strconv"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// tradeFields are the raw values of one trade; nil where absent.
type tradeFields struct{ id, price, size, side, time, seq, block, retail []byte }

func parseTrade(v []byte) (f tradeFields) {
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "i":
			f.id = scan.Text(o.Value)
		case "p":
			f.price = scan.Text(o.Value)
		case "v":
			f.size = o.Value
		case "S":
			f.side = scan.Text(o.Value)
		case "T":
			f.time = o.Value
		case "seq":
			f.seq = o.Value
		case "BT":
			f.block = o.Value
		case "RPI":
			f.retail = o.Value
		}
	}
	return f
}

// trades writes the trades of a frame, in the order of the venue's matching. One
// that cannot be used is counted; the others are kept.
func (s *Session) trades(m *message) error {
	if !scan.IsArray(m.data) {
		return emit.MissingField
	}
	for a := scan.Elements(m.data); a.Next(); {
		if err := s.trade(m, a.Value); err != nil {
			s.e.Skip(emit.ReasonOf(err), slog.String("trade", string(a.Value[:min(len(a.Value), 200)])))
		}
	}
	return nil
}

func (s *Session) trade(m *message, v []byte) error {
	f := parseTrade(v)
	event, err := millis(f.time)
	if err != nil {
		return err
	}
	in, err := s.instrument(m.recv, event, m.conn, m.topic.symbol)
	if err != nil {
		return err
	}
	t := market.Trade{TradeID: tradeID(f.id), Flags: market.FlagLast}
	t.Seq, _ = scan.Uint(f.seq)
	if t.Price, err = market.ParseFixed(f.price, in.priceExp); err != nil {
		return err
	}
	if t.Size, err = size(f.size, in.sizeExp); err != nil {
		return err
	}
	switch string(f.side) {
	case "Buy":
		t.Side = market.Bid
	case "Sell":
		t.Side = market.Ask
	default:
		return emit.BadField
	}
	switch {
	case string(f.block) == "true":
		t.Cond = 'B'
	case string(f.retail) == "true":
		t.Cond = 'R'
	}
	s.e.Trade(in.id, m.recv, event, &t)
	return nil
}

// tradeID reads a number, or the first 64 bits of a UUID; 0 when it is neither.
func tradeID(id []byte) uint64 {
	if n, ok := scan.Uint(id); ok {
		return n
	}
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' {
		return 0
	}
	var hex [16]byte
	copy(hex[:8], id[:8])
	copy(hex[8:12], id[9:13])
	copy(hex[12:], id[14:18])
	n, err := strconv.ParseUint(string(hex[:]), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// ticker writes the best prices of a ticker that has both. What else it has is
// kept verbatim: most tickers are changes and name only what changed.
func (s *Session) ticker(m *message) error {
	var bid, bidSize, ask, askSize []byte
	more := false
	for o := scan.Members(m.data); o.Next(); {
		switch string(o.Key) {
		case "symbol":
		case "bid1Price":
			bid = o.Value
		case "bid1Size":
			bidSize = o.Value
		case "ask1Price":
			ask = o.Value
		case "ask1Size":
			askSize = o.Value
		default:
			more = true
		}
	}
	if bid == nil || bidSize == nil || ask == nil || askSize == nil {
		return s.status(m, codeTicker)
	}
	in, err := s.instrument(m.recv, m.at, m.conn, m.topic.symbol)
	if err != nil {
		return err
	}
	q := market.Quote{Flags: market.FlagLast}
	q.Seq, _ = scan.Uint(m.cross)
	if q.BidPrice, q.BidSize, err = best(bid, bidSize, in); err != nil {
		return err
	}
	if q.AskPrice, q.AskSize, err = best(ask, askSize, in); err != nil {
		return err
	}
	s.e.Quote(in.id, m.recv, m.at, &q)
	if more {
		return s.status(m, codeTicker)
	}
	return nil
}

// best reads one side of a ticker; an empty side is written as "".
func best(price, quantity []byte, in *instrument) (int64, int64, error) {
	if text := scan.Text(price); text != nil && len(text) == 0 {
		return market.UndefPrice, market.UndefSize, nil
	}
	n, err := size(quantity, in.sizeExp)
	if err != nil {
		return 0, 0, err
	}
	p, err := market.ParseFixed(scan.Text(price), in.priceExp)
	return p, n, err
}
