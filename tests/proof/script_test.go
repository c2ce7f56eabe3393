package proof

import (
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
)

// script writes a raw queue record by record, a second apart.
type script struct {
	t    testing.TB
	site site
	w    *queue.Writer
	now  int64
	seq  map[uint32]uint64 // venue sequence by instrument
}

func newScript(t testing.TB, s site) *script {
	t.Helper()
	w := s.openRaw(t, queue.Options{SegmentBytes: 64 << 10, NoSync: true})
	t.Cleanup(func() { w.Close() })
	return &script{t: t, site: s, w: w, now: 1_700_000_000 * second, seq: map[uint32]uint64{}}
}

func (s *script) append(kind market.Kind, tag uint32, body []byte) uint64 {
	s.t.Helper()
	s.now += second
	return s.appendAt(s.now, kind, tag, body)
}

func (s *script) appendAt(at int64, kind market.Kind, tag uint32, body []byte) uint64 {
	s.t.Helper()
	seq, err := s.w.Append(queue.Record{Time: at, EventTime: at - 1000, Kind: uint16(kind), Tag: tag, Body: body})
	must(s.t, err)
	return seq
}

func (s *script) session(event market.SessionEvent, channel string) {
	s.t.Helper()
	s.append(market.KindSession, 0, market.EncodeJSON(&market.Session{Event: event, Venue: "sim", Channel: channel}))
}

func (s *script) define(id uint32, d market.Definition) {
	s.t.Helper()
	d.ID, d.Venue, d.Native, d.PriceExponent = id, "sim", d.Symbol, -2
	s.append(market.KindDefinition, id, market.EncodeJSON(&d))
}

func (s *script) gap(g market.Gap) {
	s.t.Helper()
	g.Venue, g.Start, g.End = "sim", s.now, s.now+second
	s.append(market.KindGap, 0, market.EncodeJSON(&g))
}

func encoded(kind market.Kind, ev *market.BookEvent) []byte {
	b := make([]byte, ev.Size(kind))
	ev.Put(b, kind)
	return b
}

func (s *script) event(kind market.Kind, id uint32, ev market.BookEvent) {
	s.t.Helper()
	ev.Flags |= market.FlagLast
	if kind == market.KindSnapshot {
		ev.Flags |= market.FlagSnapshot
	}
	s.append(kind, id, encoded(kind, &ev))
}

func level(side market.Side, price, size int64) market.Entry {
	return market.Entry{Side: side, Price: price, Size: size, Action: market.Modify}
}

func add(id uint64, side market.Side, price, size int64) market.Entry {
	return market.Entry{OrderID: id, Side: side, Price: price, Size: size, Action: market.Add}
}

func cancel(id uint64) market.Entry {
	return market.Entry{OrderID: id, Side: market.NoSide, Price: market.UndefPrice, Size: market.UndefSize, Action: market.Cancel}
}

// fill is an execution as a feed writes it: the order's side and price are for the
// book to say.
func fill(id uint64, size int64, match uint64) []market.Entry {
	return []market.Entry{
		{OrderID: id, Size: size, Side: market.NoSide, Price: market.UndefPrice, Action: market.Fill},
		{OrderID: match, Size: size, Side: market.NoSide, Price: market.UndefPrice, Action: market.Exec},
	}
}

func tradeBody(tr market.Trade) []byte {
	b := make([]byte, market.TradeSize)
	tr.Put(b)
	return b
}
