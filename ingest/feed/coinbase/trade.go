package coinbase

import (
	"bytes"
	"slices"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// tradeFields are the raw values of one trade; nil where absent.
type tradeFields struct{ productID, id, price, size, time, side []byte }

func parseTrade(v []byte) (f tradeFields) {
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "product_id":
			f.productID = scan.Text(o.Value)
		case "trade_id":
			f.id = o.Value
		case "price":
			f.price = scan.Text(o.Value)
		case "size":
			f.size = scan.Text(o.Value)
		case "time":
			f.time = o.Value
		case "side":
			f.side = scan.Text(o.Value)
		}
	}
	return f
}

// tradeFrame writes the trades of a frame. The venue sends the latest first. One
// that cannot be used is counted; the others are kept.
func (s *Session) tradeFrame(m *message, events []byte) error {
	if !scan.IsArray(events) {
		return emit.MissingField
	}
	for a := scan.Elements(events); a.Next(); {
		trades := member(a.Value, "trades")
		if !scan.IsArray(trades) {
			return emit.MissingField
		}
		s.values = s.values[:0]
		for b := scan.Elements(trades); b.Next(); {
			s.values = append(s.values, b.Value)
		}
		if descending(s.values) {
			slices.Reverse(s.values)
		}
		snapshot := bytes.Equal(scan.Text(member(a.Value, "type")), []byte("snapshot"))
		for _, v := range s.values {
			s.skip(s.trade(m, v, snapshot), v)
		}
	}
	return nil
}

// descending tells whether the ids of trades fall.
func descending(trades [][]byte) bool {
	if len(trades) < 2 {
		return false
	}
	first, _ := scan.Uint(member(trades[0], "trade_id"))
	last, _ := scan.Uint(member(trades[len(trades)-1], "trade_id"))
	return first > last
}

// trade writes one trade. Those of a snapshot are the latest before the
// subscription.
func (s *Session) trade(m *message, v []byte, snapshot bool) error {
	f := parseTrade(v)
	event, err := nanos(f.time)
	if err != nil {
		return err
	}
	id, ok := scan.Uint(f.id)
	if !ok {
		return emit.MissingField
	}
	in, err := s.instrument(m, event, f.productID)
	if err != nil {
		return err
	}
	t := market.Trade{Seq: m.seq, TradeID: id, Flags: market.FlagLast}
	if t.Price, err = market.ParseFixed(f.price, in.priceExp); err != nil {
		return err
	}
	if t.Size, err = size(f.size, in.sizeExp); err != nil {
		return err
	}
	switch string(f.side) {
	case "BUY": // the resting order's side: the aggressor sold
		t.Side = market.Ask
	case "SELL":
		t.Side = market.Bid
	default:
		return emit.BadField
	}
	switch {
	case snapshot && in.trade == 0:
		s.e.Status(in.id, m.recv, event, &market.Status{Seq: m.seq, Code: codeTrade, Flags: market.FlagLast, Payload: v})
		return nil
	case snapshot && id <= in.trade, id <= in.recovered:
		s.e.Skip(emit.Duplicate)
		return nil
	case snapshot:
		in.recovered = id
	}
	in.trade = max(in.trade, id)
	s.e.Trade(in.id, m.recv, event, &t)
	return nil
}

// ticker writes the best prices of a ticker. One without both is kept verbatim.
func (s *Session) ticker(m message, v []byte) error {
	var productID, bid, bidSize, ask, askSize []byte
	for o := scan.Members(v); o.Next(); {
		switch string(o.Key) {
		case "product_id":
			productID = scan.Text(o.Value)
		case "best_bid":
			bid = scan.Text(o.Value)
		case "best_bid_quantity":
			bidSize = scan.Text(o.Value)
		case "best_ask":
			ask = scan.Text(o.Value)
		case "best_ask_quantity":
			askSize = scan.Text(o.Value)
		}
	}
	if len(bid) == 0 || len(bidSize) == 0 || len(ask) == 0 || len(askSize) == 0 {
		return s.status(&m, productID, codeTicker, v)
	}
	in, err := s.instrument(&m, m.at, productID)
	if err != nil {
		return err
	}
	q := market.Quote{Seq: m.seq, Flags: market.FlagLast}
	if q.BidPrice, q.BidSize, err = best(bid, bidSize, in); err != nil {
		return err
	}
	if q.AskPrice, q.AskSize, err = best(ask, askSize, in); err != nil {
		return err
	}
	s.e.Quote(in.id, m.recv, m.at, &q)
	return nil
}

// best reads one side of a ticker; a side without orders has size 0 and is
// undefined.
func best(price, quantity []byte, in *instrument) (int64, int64, error) {
	n, err := size(quantity, in.sizeExp)
	if err != nil {
		return 0, 0, err
	}
	p, err := market.ParseFixed(price, in.priceExp)
	if err == nil && n == 0 {
		return market.UndefPrice, market.UndefSize, nil
	}
	return p, n, err
}
