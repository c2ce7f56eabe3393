package binance

import (
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

func (s *Session) trade(recv int64, f *fields) error {
	event, err := millis(f.time, f.eventTime)
	if err != nil {
		return err
	}
	id, ok := scan.Uint(f.id)
	if !ok {
		return emit.MissingField
	}
	t := market.Trade{TradeID: id, Side: market.Bid, Flags: market.FlagLast}
	if t.Price, err = market.ParseFixed(scan.Text(f.price), market.DefaultPriceExponent); err != nil {
		return err
	}
	if t.Size, err = size(f.qty); err != nil {
		return err
	}
	switch string(f.maker) {
	case "true":
		t.Side = market.Ask
	case "false":
	default:
		return emit.MissingField
	}
	if x := scan.Text(f.exec); len(x) > 0 {
		t.Cond = x[0]
	}
	in, err := s.instrument(recv, scan.Text(f.s))
	if err != nil {
		return err
	}
	s.e.Trade(in.id, recv, event, &t)
	return nil
}

func (s *Session) bookTicker(recv int64, f *fields) error {
	event, err := millis(f.time, f.eventTime)
	if err != nil {
		return err
	}
	seq, ok := scan.Uint(f.last)
	if !ok {
		return emit.MissingField
	}
	q := market.Quote{Seq: seq, Flags: market.FlagLast}
	if q.BidPrice, q.BidSize, err = best(f.bid, f.bidSize); err != nil {
		return err
	}
	if q.AskPrice, q.AskSize, err = best(f.ask, f.askSize); err != nil {
		return err
	}
	in, err := s.instrument(recv, scan.Text(f.s))
	if err != nil {
		return err
	}
	s.e.Quote(in.id, recv, event, &q)
	return nil
}

// best reads one side of a bookTicker; a side without orders has size 0 and is
// undefined.
func best(price, qty []byte) (int64, int64, error) {
	n, err := size(qty)
	if err != nil {
		return 0, 0, err
	}
	p, err := market.ParseFixed(scan.Text(price), market.DefaultPriceExponent)
	if err != nil {
		return 0, 0, err
	}
	if n == 0 {
		return market.UndefPrice, market.UndefSize, nil
	}
	return p, n, nil
}
