package iex

import "chronicle/market"

// trade writes a trade.
func (d *Decoder) trade(m *message) error {
	at, err := price(m.b[22:])
	if err != nil {
		return err
	}
	in, err := d.instrument(m)
	if err != nil {
		return err
	}
	t := market.Trade{
		Seq: m.seq, TradeID: le.Uint64(m.b[30:]), Price: at, Size: shares(m.b[18:]),
		Side: market.NoSide, Flags: market.FlagLast, Cond: m.b[1],
	}
	d.e.Trade(in.id, m.recv, m.event, &t)
	return nil
}

// quote writes the best bid and offer. Its flags (bit 7: the symbol is not
// available, bit 6: before or after the regular session) have no place in a quote
// record, so the message is kept as a status too when they change.
func (d *Decoder) quote(m *message) error {
	bid, err := price(m.b[22:])
	if err != nil {
		return err
	}
	ask, err := price(m.b[30:])
	if err != nil {
		return err
	}
	in, err := d.instrument(m)
	if err != nil {
		return err
	}
	if flags := int16(m.b[1]); flags != in.flags {
		in.flags = flags
		d.keep(in.id, m)
	}
	q := market.Quote{Seq: m.seq, Flags: market.FlagLast}
	q.BidPrice, q.BidSize = quoted(bid, shares(m.b[18:]))
	q.AskPrice, q.AskSize = quoted(ask, shares(m.b[38:]))
	d.e.Quote(in.id, m.recv, m.event, &q)
	return nil
}

// quoted gives one side of a quote: not known when it is empty.
func quoted(price, size int64) (int64, int64) {
	if price == 0 && size == 0 {
		return market.UndefPrice, market.UndefSize
	}
	return price, size
}

// status keeps any other message verbatim. A directory message (D) defines
// its instrument first.
func (d *Decoder) status(m *message) error {
	if m.b[0] == 'S' {
		id, err := d.venueWide(m)
		if err == nil {
			d.keep(id, m)
		}
		return err
	}
	in, err := d.instrument(m)
	if err != nil {
		return err
	}
	if m.b[0] == 'D' {
		d.directory(in, m)
	}
	d.keep(in.id, m)
	return nil
}

func (d *Decoder) keep(id uint32, m *message) {
	s := market.Status{Seq: m.seq, Code: uint16(m.b[0]), Flags: market.FlagLast, Payload: m.b}
	d.e.Status(id, m.recv, m.event, &s)
}
