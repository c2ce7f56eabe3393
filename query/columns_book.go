package query

import (
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/queue"
)

// mboColumns are the columns of mbo after the header.
type mboColumns struct {
	batch        *batch
	action, side *wordColumn
	price, size  *numberColumn
	order        *uint64Column
	count        *uint32Column
	flags        *uint8Column
	seq, raw     *uint64Column
}

func newMBOColumns(b *batch, mem memory.Allocator, kind PriceType, exp exponents) *mboColumns {
	return &mboColumns{
		batch: b, action: add(b, newWordColumn(mem, actionWords)), side: add(b, newWordColumn(mem, sideWords)),
		price: add(b, newNumberColumn(b, mem, kind, exp.price)), size: add(b, newNumberColumn(b, mem, kind, exp.size)),
		order: add(b, newUint64Column(mem)), count: add(b, newUint32Column(mem)), flags: add(b, newUint8Column(mem)),
		seq: add(b, newUint64Column(mem)), raw: add(b, newUint64Column(mem)),
	}
}

// mboMaker makes one row per entry of each event. A venue's own snapshot begins
// with a Clear row, because it replaces what was there.
type mboMaker struct {
	own
	columns *mboColumns
	event   market.BookEvent
	next    int // the entry to write next; -1 is the Clear row
	doubts  doubts
}

func (m *mboMaker) doubt(d doubts) { m.doubts = d }

var clearEntry = market.Entry{Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Clear}

func (m *mboMaker) take(rec *queue.Record, _ *segment) (rows, degraded bool, err error) {
	kind, ev := market.Kind(rec.Kind), &m.event
	if err := ev.Decode(rec.Body, kind); err != nil {
		return false, false, err
	}
	if m.doubts.cover(rec.Seq) {
		ev.Flags |= market.FlagMaybeBadBook
	}
	m.next = 0
	if kind == market.KindSnapshot {
		if ev.Attr&market.AttrSynthetic != 0 {
			return false, false, nil
		}
		m.next = -1
		ev.Flags |= market.FlagSnapshot
	}
	return m.next < len(ev.Entries), ev.Flags&market.FlagMaybeBadBook != 0, nil
}

func (m *mboMaker) write(h *header, recv, event int64, symbol int) bool {
	ev := &m.event
	for ; m.next < len(ev.Entries); m.next++ {
		if m.columns.batch.room() == 0 {
			return false
		}
		entry, flags := &clearEntry, ev.Flags&^market.FlagLast
		if m.next >= 0 {
			entry = &ev.Entries[m.next]
		}
		if m.next == len(ev.Entries)-1 {
			flags |= market.FlagLast
		}
		h.append(recv, event, symbol)
		m.columns.append(ev, entry, flags, m.exp)
	}
	return true
}

func (c *mboColumns) append(ev *market.BookEvent, e *market.Entry, flags market.Flags, exp exponents) {
	c.action.append(actionWord[e.Action])
	c.side.append(sideWord[e.Side])
	c.price.append(e.Price, exp.price)
	c.size.append(e.Size, exp.size)
	c.order.append(e.OrderID)
	c.count.append(e.Count)
	c.flags.append(uint8(flags))
	c.seq.append(ev.Seq)
	c.raw.append(ev.RawSeq)
	c.batch.rows++
}

// mbpColumns are the columns of mbp-N after the header.
type mbpColumns struct {
	batch        *batch
	action, side *wordColumn
	price, size  *numberColumn
	flags        *uint8Column
	seq, raw     *uint64Column
	ladder       ladderColumns
}

func newMBPColumns(b *batch, mem memory.Allocator, kind PriceType, exp exponents, depth int) *mbpColumns {
	return &mbpColumns{
		batch: b, action: add(b, newWordColumn(mem, actionWords)), side: add(b, newWordColumn(mem, sideWords)),
		price: add(b, newNumberColumn(b, mem, kind, exp.price)), size: add(b, newNumberColumn(b, mem, kind, exp.size)),
		flags: add(b, newUint8Column(mem)), seq: add(b, newUint64Column(mem)), raw: add(b, newUint64Column(mem)),
		ladder: addLadder(b, mem, kind, exp, depth),
	}
}

// mbpMaker makes one row per event that changed the book, with the book after it.
type mbpMaker struct {
	own
	columns    *mbpColumns
	depth      int
	null       bool // no book where it may be wrong
	replay     replayer
	bids, asks []book.Level
}

func (m *mbpMaker) doubt(d doubts) { m.replay.doubts = d }

func (m *mbpMaker) begin(id streamID, def *market.Definition, fresh bool) {
	m.own.begin(id, def, fresh)
	if fresh {
		m.replay.begin(id, def)
	} else {
		m.replay.define(def)
	}
}

func (m *mbpMaker) take(rec *queue.Record, s *segment) (rows, degraded bool, err error) {
	changed, err := m.replay.apply(rec, s)
	if err != nil || !changed {
		return false, false, err
	}
	m.bids, m.asks = m.bids[:0], m.asks[:0]
	return true, m.replay.degraded, nil
}

// write appends the row of the event that the replayer holds. The book is read
// here and not in take, because most records before the range make no row.
func (m *mbpMaker) write(h *header, recv, event int64, symbol int) bool {
	c, ev := m.columns, &m.replay.event
	if c.batch.room() == 0 {
		return false
	}
	h.append(recv, event, symbol)
	e := m.trigger()
	c.action.append(actionWord[e.Action])
	c.side.append(sideWord[e.Side])
	c.price.append(e.Price, m.exp.price)
	c.size.append(e.Size, m.exp.size)
	c.flags.append(uint8(ev.Flags | market.FlagLast))
	c.seq.append(ev.Seq)
	c.raw.append(ev.RawSeq)
	if !m.null || !m.replay.degraded {
		m.bids = m.replay.book.Levels(market.Bid, m.depth, m.bids)
		m.asks = m.replay.book.Levels(market.Ask, m.depth, m.asks)
	}
	c.ladder.append(m.bids, m.asks, m.exp)
	c.batch.rows++
	return true
}

// trigger gives the entry that the row names: the last one of the event that
// changes the book; for a venue's snapshot a Clear.
func (m *mbpMaker) trigger() *market.Entry {
	if m.replay.snapshot.Sequence == m.replay.last {
		return &clearEntry
	}
	entries := m.replay.event.Entries
	for i := len(entries) - 1; i >= 0; i-- {
		if a := entries[i].Action; a != market.Exec && a != market.Fill {
			return &entries[i]
		}
	}
	return &clearEntry
}
