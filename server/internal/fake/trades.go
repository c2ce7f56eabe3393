package fake

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/query"
)

var (
	stamp = &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}
	word  = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
)

var tradeSchema = arrow.NewSchema([]arrow.Field{
	{Name: "ts_recv", Type: stamp},
	{Name: "ts_event", Type: stamp, Nullable: true},
	{Name: "symbol", Type: word},
	{Name: "sequence", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "trade_id", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "side", Type: word},
	{Name: "price", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "size", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "flags", Type: arrow.PrimitiveTypes.Uint8},
	{Name: "condition", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "raw_sequence", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "printable", Type: arrow.FixedWidthTypes.Boolean},
}, nil)

// reader makes trades as they are read.
type reader struct {
	a              *Archive
	ctx            context.Context
	at, end, batch int64
	done           int64
	refs           int64
	rec            arrow.RecordBatch
	err            error
}

func (r *reader) Schema() *arrow.Schema          { return tradeSchema }
func (r *reader) RecordBatch() arrow.RecordBatch { return r.rec }
func (r *reader) Record() arrow.RecordBatch      { return r.rec }
func (r *reader) Err() error                     { return r.err }
func (r *reader) Retain()                        { r.refs++ }

func (r *reader) Release() {
	if r.refs--; r.refs == 0 {
		r.drop()
		r.a.Open.Add(-1)
		r.a.once.Do(func() {
			if r.a.Released != nil {
				close(r.a.Released)
			}
		})
	}
}

func (r *reader) drop() {
	if r.rec != nil {
		r.rec.Release()
		r.rec = nil
	}
}

func (r *reader) Next() bool {
	r.drop()
	if r.err == nil {
		r.err = r.wait()
	}
	if r.err == nil && r.a.FailAfter > 0 && r.done >= r.a.FailAfter {
		r.err = &query.Error{Code: query.DataLoss, Detail: "segment 7 is damaged"}
	}
	n := min(r.batch, r.end-r.at)
	if r.err != nil || n <= 0 {
		return false
	}
	r.rec = r.a.make(r.at, n)
	r.at += n
	r.done += n
	return true
}

// wait holds a batch back until the test or the context lets it go.
func (r *reader) wait() error {
	if r.a.Stall != nil {
		select {
		case <-r.a.Stall:
		case <-r.ctx.Done():
		}
	}
	if r.ctx.Err() != nil {
		r.a.Canceled.Add(1)
	}
	return r.ctx.Err()
}

func (a *Archive) make(first, n int64) arrow.RecordBatch {
	if !a.Cache {
		return trades(first, n)
	}
	if a.cached == nil {
		a.cached = trades(first, n)
	}
	a.cached.Retain()
	return a.cached
}

// trades makes rows first to first+n. Every third has no venue time, every
// fourth no price, every fifth a condition.
func trades(first, n int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, tradeSchema)
	defer b.Release()
	for i := first; i < first+n; i++ {
		ts := arrow.Timestamp(Base + i*Step)
		b.Field(0).(*array.TimestampBuilder).Append(ts)
		appendIf(i%3 != 2, b.Field(1).(*array.TimestampBuilder), ts-500)
		text(b.Field(2), BTC)
		b.Field(3).(*array.Uint64Builder).Append(uint64(1000 + i))
		b.Field(4).(*array.Uint64Builder).Append(uint64(1<<53 + 1 + i))
		text(b.Field(5), []string{"B", "A", "N"}[i%3])
		appendIf(i%4 != 3, b.Field(6).(*array.Float64Builder), float64(617907+i)/10)
		appendIf(true, b.Field(7).(*array.Float64Builder), float64(1+i%7)/1000)
		b.Field(8).(*array.Uint8Builder).Append(128)
		appendIf(i%5 == 4, b.Field(9).(*array.StringBuilder), "x")
		b.Field(10).(*array.Uint64Builder).Append(uint64(2000 + i))
		b.Field(11).(*array.BooleanBuilder).Append(i%2 == 0)
	}
	return b.NewRecordBatch()
}

type appender[T any] interface {
	Append(T)
	AppendNull()
}

func appendIf[T any](ok bool, b appender[T], v T) {
	if ok {
		b.Append(v)
	} else {
		b.AppendNull()
	}
}

func text(b array.Builder, v string) {
	if err := b.(*array.BinaryDictionaryBuilder).AppendString(v); err != nil {
		panic(err) // only when memory is out
	}
}
