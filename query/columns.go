package query

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/market"
	"chronicle/store/queue"
)

// own is what every maker keeps of its symbol.
type own struct {
	exp exponents // of the current segment
}

func (o *own) begin(_ streamID, def *market.Definition, _ bool) {
	o.exp = exponentsOf(def)
}

// makers makes the columns of a range in the batch and gives the function that
// makes one maker per symbol.
func makers(b *batch, mem memory.Allocator, spec *rangeSpec, exp exponents) func() maker {
	switch spec.schema.name {
	case SchemaTrades:
		c := newTradeColumns(b, mem, spec.PriceType, exp)
		return func() maker { return &tradeMaker{columns: c} }
	case SchemaMBO:
		c := newMBOColumns(b, mem, spec.PriceType, exp)
		return func() maker { return &mboMaker{columns: c} }
	case SchemaMBP:
		c := newMBPColumns(b, mem, spec.PriceType, exp, spec.schema.depth)
		return func() maker { return &mbpMaker{columns: c, depth: spec.schema.depth, null: spec.OnGap == GapNull} }
	case SchemaQuotes:
		c := newQuoteColumns(b, mem, spec.PriceType, exp)
		return func() maker { return &quoteMaker{columns: c} }
	case SchemaStatus:
		c := newStatusColumns(b, mem)
		return func() maker { return &statusMaker{columns: c} }
	case SchemaGap:
		c := newGapColumns(b, mem)
		return func() maker { return &gapMaker{columns: c, start: spec.Start, end: spec.end} }
	}
	c := newDefinitionColumns(b, mem)
	return func() maker { return &definitionMaker{columns: c} }
}

// tradeColumns are the columns of trades after the header.
type tradeColumns struct {
	batch       *batch
	seq, id     *uint64Column
	side        *wordColumn
	price, size *numberColumn
	flags       *uint8Column
	condition   *textColumn
	raw         *uint64Column
	printable   *boolColumn
}

func newTradeColumns(b *batch, mem memory.Allocator, kind PriceType, exp exponents) *tradeColumns {
	return &tradeColumns{
		batch: b, seq: add(b, newUint64Column(mem)), id: add(b, newUint64Column(mem)), side: add(b, newWordColumn(mem, sideWords)),
		price: add(b, newNumberColumn(b, mem, kind, exp.price)), size: add(b, newNumberColumn(b, mem, kind, exp.size)),
		flags: add(b, newUint8Column(mem)), condition: add(b, newTextColumn(mem)),
		raw: add(b, newUint64Column(mem)), printable: add(b, newBoolColumn(mem)),
	}
}

// tradeMaker makes the rows of trades.
type tradeMaker struct {
	own
	columns *tradeColumns
	trade   market.Trade
}

func (m *tradeMaker) take(rec *queue.Record, _ *segment) (rows, degraded bool, err error) {
	return true, false, m.trade.Decode(rec.Body)
}

func (m *tradeMaker) write(h *header, recv, event int64, symbol int) bool {
	c, t := m.columns, &m.trade
	if c.batch.room() == 0 {
		return false
	}
	h.append(recv, event, symbol)
	c.seq.append(t.Seq)
	c.id.append(t.TradeID)
	c.side.append(sideWord[t.Side])
	c.price.append(t.Price, m.exp.price)
	c.size.append(t.Size, m.exp.size)
	c.flags.append(uint8(t.Flags))
	c.condition.appendOrNull(conditionText(t.Cond))
	c.raw.append(t.RawSeq)
	c.printable.append(t.Entry&market.EntryNonPrintable == 0)
	c.batch.rows++
	return true
}

// conditionText gives a venue's condition code as text: the character itself,
// or its two hex digits where it is not one that can be printed; empty for none.
func conditionText(c byte) string {
	switch {
	case c == 0:
		return ""
	case c > ' ' && c < 0x7f:
		return conditionTexts[c : c+1]
	}
	return fmt.Sprintf("%02x", c)
}

// conditionTexts holds every ASCII character at its own place, so that taking
// one as text does not allocate.
var conditionTexts = func() string {
	var b [128]byte
	for i := range b {
		b[i] = byte(i)
	}
	return string(b[:])
}()

// quoteColumns are the columns of quotes after the header.
type quoteColumns struct {
	batch            *batch
	seq              *uint64Column
	bidPrice, bidSiz *numberColumn
	askPrice, askSiz *numberColumn
	flags            *uint8Column
	raw              *uint64Column
}

func newQuoteColumns(b *batch, mem memory.Allocator, kind PriceType, exp exponents) *quoteColumns {
	return &quoteColumns{
		batch: b, seq: add(b, newUint64Column(mem)),
		bidPrice: add(b, newNumberColumn(b, mem, kind, exp.price)), bidSiz: add(b, newNumberColumn(b, mem, kind, exp.size)),
		askPrice: add(b, newNumberColumn(b, mem, kind, exp.price)), askSiz: add(b, newNumberColumn(b, mem, kind, exp.size)),
		flags: add(b, newUint8Column(mem)), raw: add(b, newUint64Column(mem)),
	}
}

// quoteMaker makes the rows of quotes.
type quoteMaker struct {
	own
	columns *quoteColumns
	quote   market.Quote
}

func (m *quoteMaker) take(rec *queue.Record, _ *segment) (rows, degraded bool, err error) {
	return true, false, m.quote.Decode(rec.Body)
}

func (m *quoteMaker) write(h *header, recv, event int64, symbol int) bool {
	c, q := m.columns, &m.quote
	if c.batch.room() == 0 {
		return false
	}
	h.append(recv, event, symbol)
	c.seq.append(q.Seq)
	c.bidPrice.append(q.BidPrice, m.exp.price)
	c.bidSiz.append(q.BidSize, m.exp.size)
	c.askPrice.append(q.AskPrice, m.exp.price)
	c.askSiz.append(q.AskSize, m.exp.size)
	c.flags.append(uint8(q.Flags))
	c.raw.append(q.RawSeq)
	c.batch.rows++
	return true
}
