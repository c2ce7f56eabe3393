package query

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Limits of one batch of a range. A single status message or event row may be
// larger by itself than maxBatchBytes; then it is alone in its batch.
const (
	maxBatchRows  = 64 << 10
	maxBatchBytes = 2 << 20
	firstReserve  = 256 // rows that the first memory of a batch holds
)

// batch is a record batch in the making: columns in the order of the schema.
type batch struct {
	schema   *arrow.Schema
	columns  []column
	rows     int
	capacity int   // rows that fit the limits
	reserved int   // rows that there is memory for
	extra    int   // bytes of variable length so far
	err      error // of the first value that did not fit its column
}

func newBatch(schema *arrow.Schema) *batch {
	return &batch{schema: schema, capacity: min(maxBatchRows, max(1, maxBatchBytes/rowBytes(schema)))}
}

// rowBytes estimates the bytes of one row without its texts.
func rowBytes(schema *arrow.Schema) int {
	n := 0
	for _, f := range schema.Fields() {
		if t, ok := f.Type.(arrow.FixedWidthDataType); ok {
			n += (t.BitWidth() + 7) / 8
		} else {
			n += 4 // an offset or index
		}
		if f.Nullable {
			n++ // at most; mostly one bit
		}
	}
	return n
}

// add puts the next column into the batch and gives it back.
func add[C column](b *batch, c C) C {
	b.columns = append(b.columns, c)
	return c
}

// full tells whether the batch has reached a limit.
func (b *batch) full() bool { return b.rows == b.capacity || b.extra >= maxBatchBytes }

// limit bounds the rows of the batch further.
func (b *batch) limit(rows int64) { b.capacity = int(min(int64(b.capacity), rows)) }

// room tells how many rows may still be appended, and makes memory for at least
// one of them. 0: the batch is full.
func (b *batch) room() int {
	if b.full() {
		return 0
	}
	if b.rows == b.reserved {
		n := min(b.capacity, max(firstReserve, 2*b.reserved))
		for _, c := range b.columns {
			c.reserve(n - b.reserved)
		}
		b.reserved = n
	}
	return b.reserved - b.rows
}

// flush makes the record batch, or says which value did not fit. The caller
// releases the batch.
func (b *batch) flush() (arrow.RecordBatch, error) {
	if b.err != nil {
		return nil, b.err
	}
	arrays := make([]arrow.Array, len(b.columns))
	for i, c := range b.columns {
		arrays[i] = c.flush()
	}
	rec := array.NewRecordBatch(b.schema, arrays, int64(b.rows))
	for _, a := range arrays {
		a.Release()
	}
	b.rows, b.reserved, b.extra = 0, 0, 0
	return rec, nil
}

func (b *batch) release() {
	for _, c := range b.columns {
		c.release()
	}
	b.columns = nil
}

// header is the columns that every range begins with.
type header struct {
	recv, event *timeColumn
	symbol      *wordColumn
}

func addHeader(b *batch, mem memory.Allocator, symbols []string) header {
	return header{
		recv:   add(b, newTimeColumn(mem)),
		event:  add(b, newTimeColumn(mem)),
		symbol: add(b, newWordColumn(mem, symbols)),
	}
}

func (h *header) append(recv, event int64, symbol int) {
	h.recv.append(recv)
	h.event.append(event)
	h.symbol.append(symbol)
}
