package kraken

import (
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// trades reads [[price, volume, time, side, orderType, misc], ...]. All of them
// are read before the first is written.
func (s *Session) trades(recv int64, wsname, payload []byte) error {
	if !scan.IsArray(payload) {
		return emit.MissingField
	}
	for write := range 2 {
		for a := scan.Elements(payload); a.Next(); {
			if err := s.trade(recv, wsname, a.Value, write == 1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Session) trade(recv int64, wsname, v []byte, write bool) error {
	var parts [5][]byte
	if scan.Tuple(v, parts[:]) != 5 {
		return emit.MissingField
	}
	event, err := seconds(parts[2])
	if err != nil {
		return err
	}
	price, volume := scan.Text(parts[0]), scan.Text(parts[1])
	priceExp, sizeExp := s.exponents(wsname, price, volume)
	t := market.Trade{Flags: market.FlagLast}
	if t.Price, err = market.ParseFixed(price, priceExp); err != nil {
		return err
	}
	if t.Size, err = market.ParseFixed(volume, sizeExp); err != nil {
		return err
	}
	switch string(scan.Text(parts[3])) {
	case "b":
		t.Side = market.Bid
	case "s":
		t.Side = market.Ask
	default:
		return emit.BadField
	}
	if kind := scan.Text(parts[4]); len(kind) > 0 {
		t.Cond = kind[0]
	}
	if !write {
		return nil
	}
	in, err := s.instrument(recv, event, wsname, priceExp, sizeExp)
	if err == nil {
		s.e.Trade(in.id, recv, event, &t)
	}
	return err
}

// exponents gives the exponents of a known instrument, or those of the digits.
func (s *Session) exponents(wsname, price, volume []byte) (priceExp, sizeExp int8) {
	if in, ok := s.symbols[string(wsname)]; ok {
		return in.priceExp, in.sizeExp
	}
	return exponent(price), exponent(volume)
}

// ticker reads {"a":[price, wholeLots, lots], "b":[...], ...}.
func (s *Session) ticker(recv int64, wsname, payload []byte) error {
	var bid, ask [3][]byte
	var bids, asks int
	for o := scan.Members(payload); o.Next(); {
		switch string(o.Key) {
		case "a":
			asks = scan.Tuple(o.Value, ask[:])
		case "b":
			bids = scan.Tuple(o.Value, bid[:])
		}
	}
	if bids != 3 || asks != 3 {
		return emit.MissingField
	}
	priceExp, sizeExp := s.exponents(wsname, scan.Text(bid[0]), scan.Text(bid[2]))
	q := market.Quote{Flags: market.FlagLast}
	for _, field := range []struct {
		to  *int64
		v   []byte
		exp int8
	}{{&q.BidPrice, bid[0], priceExp}, {&q.BidSize, bid[2], sizeExp}, {&q.AskPrice, ask[0], priceExp}, {&q.AskSize, ask[2], sizeExp}} {
		n, err := market.ParseFixed(scan.Text(field.v), field.exp)
		if err != nil {
			return err
		}
		*field.to = n
	}
	in, err := s.instrument(recv, market.UndefTimestamp, wsname, priceExp, sizeExp)
	if err == nil {
		s.e.Quote(in.id, recv, market.UndefTimestamp, &q)
	}
	return err
}
