package query

import (
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/market"
	"chronicle/store/queue"
)

// statusColumns are the columns of status after the header.
type statusColumns struct {
	batch   *batch
	kind    *textColumn
	code    *uint32Column
	flags   *uint8Column
	seq     *uint64Column
	payload *bytesColumn
	raw     *uint64Column
}

func newStatusColumns(b *batch, mem memory.Allocator) *statusColumns {
	return &statusColumns{
		batch: b, kind: add(b, newTextColumn(mem)), code: add(b, newUint32Column(mem)), flags: add(b, newUint8Column(mem)),
		seq: add(b, newUint64Column(mem)), payload: add(b, newBytesColumn(mem)), raw: add(b, newUint64Column(mem)),
	}
}

// statusMaker makes the rows of status: venue messages with the venue's own
// bytes, and sessions as JSON.
type statusMaker struct {
	own
	columns *statusColumns
	kind    market.Kind
	status  market.Status
}

func (m *statusMaker) take(rec *queue.Record, _ *segment) (rows, degraded bool, err error) {
	if m.kind = market.Kind(rec.Kind); m.kind == market.KindSession {
		m.status = market.Status{Payload: rec.Body}
		return true, false, nil
	}
	return true, false, m.status.Decode(rec.Body)
}

func (m *statusMaker) write(h *header, recv, event int64, symbol int) bool {
	c, s := m.columns, &m.status
	if c.batch.room() == 0 {
		return false
	}
	h.append(recv, event, symbol)
	c.kind.append(m.kind.String())
	c.code.append(uint32(s.Code))
	c.flags.append(uint8(s.Flags))
	c.seq.append(s.Seq)
	c.payload.append(s.Payload)
	c.raw.append(s.RawSeq)
	c.batch.rows++
	c.batch.extra += len(s.Payload)
	return true
}

// gapColumns are the columns of gap after the header.
type gapColumns struct {
	batch       *batch
	channel     *textColumn
	start, end  *timeColumn
	first, last *uint64Column
	cause       *textColumn
	recovered   *boolColumn
	detail      *textColumn
	raw         *uint64Column
}

func newGapColumns(b *batch, mem memory.Allocator) *gapColumns {
	return &gapColumns{
		batch: b, channel: add(b, newTextColumn(mem)), start: add(b, newTimeColumn(mem)), end: add(b, newTimeColumn(mem)),
		first: add(b, newUint64Column(mem)), last: add(b, newUint64Column(mem)), cause: add(b, newTextColumn(mem)),
		recovered: add(b, newBoolColumn(mem)), detail: add(b, newTextColumn(mem)), raw: add(b, newUint64Column(mem)),
	}
}

// gapMaker makes the rows of gap: the markers whose interval touches the range.
type gapMaker struct {
	own
	columns    *gapColumns
	start, end int64
	gap        *market.Gap
}

func (m *gapMaker) take(rec *queue.Record, _ *segment) (rows, degraded bool, err error) {
	if m.gap, err = market.DecodeJSON[market.Gap](rec.Body); err != nil {
		return false, false, err
	}
	return overlaps(m.gap, m.start, m.end), false, nil
}

func (m *gapMaker) write(h *header, recv, event int64, symbol int) bool {
	c, g := m.columns, m.gap
	if c.batch.room() == 0 {
		return false
	}
	h.append(recv, event, symbol)
	c.channel.append(g.Channel)
	c.start.append(g.Start)
	c.end.append(g.End)
	c.first.append(g.FirstSeq)
	c.last.append(g.LastSeq)
	c.cause.append(string(g.Cause))
	c.recovered.append(g.Recovered)
	c.detail.appendOrNull(g.Detail)
	c.raw.append(g.RawSeq)
	c.batch.rows++
	c.batch.extra += len(g.Channel) + len(g.Detail)
	return true
}

// definitionColumns are the columns of definition after the header.
type definitionColumns struct {
	batch             *batch
	native, bookType  *textColumn
	price, size       *int8Column
	tick, lot         *textColumn
	currency, channel *textColumn
	whole             *textColumn
}

func newDefinitionColumns(b *batch, mem memory.Allocator) *definitionColumns {
	return &definitionColumns{
		batch: b, native: add(b, newTextColumn(mem)), bookType: add(b, newTextColumn(mem)),
		price: add(b, newInt8Column(mem)), size: add(b, newInt8Column(mem)),
		tick: add(b, newTextColumn(mem)), lot: add(b, newTextColumn(mem)), currency: add(b, newTextColumn(mem)),
		channel: add(b, newTextColumn(mem)), whole: add(b, newTextColumn(mem)),
	}
}

// definitionMaker makes the rows of definition; the last column is the whole of
// it as JSON.
type definitionMaker struct {
	own
	columns *definitionColumns
	def     *market.Definition
	whole   string
}

func (m *definitionMaker) take(rec *queue.Record, _ *segment) (rows, degraded bool, err error) {
	if m.def, err = market.DecodeJSON[market.Definition](rec.Body); err != nil {
		return false, false, err
	}
	whole, err := json.Marshal(m.def)
	m.whole = string(whole)
	return true, false, err
}

func (m *definitionMaker) write(h *header, recv, event int64, symbol int) bool {
	c, d := m.columns, m.def
	if c.batch.room() == 0 {
		return false
	}
	h.append(recv, event, symbol)
	c.native.append(d.Native)
	c.bookType.append(string(d.BookType))
	c.price.append(d.PriceExponent)
	c.size.append(d.SizeExponent)
	c.tick.appendOrNull(d.TickSize)
	c.lot.appendOrNull(d.LotSize)
	c.currency.appendOrNull(d.Currency)
	c.channel.append(d.Channel)
	c.whole.append(m.whole)
	c.batch.rows++
	c.batch.extra += len(m.whole)
	return true
}
