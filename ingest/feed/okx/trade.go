package okx

import (
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

func (s *Session) trade(recv int64, inst []byte, f *fields) error {
	event, err := millis(f.ts)
	if err != nil {
		return err
	}
	in, err := s.instrument(recv, event, inst)
	if err != nil {
		return err
	}
	id, ok := scan.Uint(f.tradeID)
	if !ok {
		return emit.MissingField
	}
	t := market.Trade{TradeID: id, Flags: market.FlagLast}
	if t.Price, err = market.ParseFixed(scan.Text(f.price), in.priceExp); err != nil {
		return err
	}
	if t.Size, err = size(f.size, in.sizeExp); err != nil {
		return err
	}
	switch string(scan.Text(f.side)) {
	case "buy":
		t.Side = market.Bid
	case "sell":
		t.Side = market.Ask
	default:
		return emit.BadField
	}
	s.e.Trade(in.id, recv, event, &t)
	return nil
}

func (s *Session) ticker(recv int64, inst []byte, f *fields) error {
	event, err := millis(f.ts)
	if err != nil {
		return err
	}
	in, err := s.instrument(recv, event, inst)
	if err != nil {
		return err
	}
	q := market.Quote{Flags: market.FlagLast}
	if q.BidPrice, q.BidSize, err = best(f.bidPrice, f.bidSize, in); err != nil {
		return err
	}
	if q.AskPrice, q.AskSize, err = best(f.askPrice, f.askSize, in); err != nil {
		return err
	}
	s.e.Quote(in.id, recv, event, &q)
	return nil
}

// best reads one side of a ticker; an empty side is written as "".
func best(price, qty []byte, in *instrument) (int64, int64, error) {
	if text := scan.Text(price); text != nil && len(text) == 0 {
		return market.UndefPrice, market.UndefSize, nil
	}
	n, err := size(qty, in.sizeExp)
	if err != nil {
		return 0, 0, err
	}
	p, err := market.ParseFixed(scan.Text(price), in.priceExp)
	return p, n, err
}
