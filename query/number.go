package query

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/market"
)

// numberColumn holds prices or sizes in the price type that was asked for.
type numberColumn struct {
	kind    PriceType
	exp     int8   // PriceFixed: the exponent of the whole column
	batch   *batch // takes the error when a value does not fit
	floats  *array.Float64Builder
	fixed   *array.Int64Builder
	decimal *array.Decimal128Builder
}

func newNumberColumn(b *batch, mem memory.Allocator, kind PriceType, exp int8) *numberColumn {
	c := &numberColumn{kind: kind, exp: exp, batch: b}
	switch kind {
	case PriceFixed:
		c.fixed = array.NewInt64Builder(mem)
	case PriceDecimal:
		c.decimal = array.NewDecimal128Builder(mem, decimalType)
	default:
		c.floats = array.NewFloat64Builder(mem)
	}
	return c
}

// append appends v, fixed point at exponent exp; a null when it is undefined.
// A value that the column's own exponent cannot hold fails the whole batch.
func (c *numberColumn) append(v int64, exp int8) {
	if v == market.UndefPrice { // UndefSize is the same value
		c.appendNull()
		return
	}
	switch c.kind {
	case PriceFixed:
		w, err := rescale(v, exp, c.exp)
		if err != nil && c.batch.err == nil {
			c.batch.err = err
		}
		c.fixed.UnsafeAppend(w)
	case PriceDecimal:
		c.decimal.UnsafeAppend(toDecimal(v, exp))
	default:
		c.floats.UnsafeAppend(toFloat(v, exp))
	}
}

func (c *numberColumn) appendNull() {
	switch c.kind {
	case PriceFixed:
		c.fixed.UnsafeAppendBoolToBitmap(false)
	case PriceDecimal:
		c.decimal.UnsafeAppendBoolToBitmap(false)
	default:
		c.floats.UnsafeAppendBoolToBitmap(false)
	}
}

func (c *numberColumn) builder() array.Builder {
	switch c.kind {
	case PriceFixed:
		return c.fixed
	case PriceDecimal:
		return c.decimal
	}
	return c.floats
}

func (c *numberColumn) reserve(n int)      { c.builder().Reserve(n) }
func (c *numberColumn) flush() arrow.Array { return c.builder().NewArray() }
func (c *numberColumn) release()           { c.builder().Release() }
