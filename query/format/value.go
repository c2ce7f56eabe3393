package format

import (
	"encoding/base64"
	"math"
	"math/bits"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"chronicle/query"
)

// cell writes the values of one column of one batch.
type cell struct {
	column arrow.Array
	append func(dst []byte, i int) []byte // of a value that is not null
	text   bool                           // it is a string in JSON
	safe   bool                           // and needs no escaping there
}

// cells gives the cells of a batch.
func cells(rec arrow.RecordBatch) []cell {
	all := make([]cell, rec.NumCols())
	for i, c := range rec.Columns() {
		all[i] = newCell(c)
	}
	return all
}

func newCell(column arrow.Array) cell {
	c := cell{column: column}
	switch a := column.(type) {
	case *array.Float64:
		c.append = func(dst []byte, i int) []byte { return appendFloat(dst, a.Value(i)) }
	case *array.Int64:
		c.append = func(dst []byte, i int) []byte { return strconv.AppendInt(dst, a.Value(i), 10) }
	case *array.Int8:
		c.append = func(dst []byte, i int) []byte { return strconv.AppendInt(dst, int64(a.Value(i)), 10) }
	case *array.Uint64:
		c.append = func(dst []byte, i int) []byte { return strconv.AppendUint(dst, a.Value(i), 10) }
	case *array.Uint32:
		c.append = func(dst []byte, i int) []byte { return strconv.AppendUint(dst, uint64(a.Value(i)), 10) }
	case *array.Uint8:
		c.append = func(dst []byte, i int) []byte { return strconv.AppendUint(dst, uint64(a.Value(i)), 10) }
	case *array.Boolean:
		c.append = func(dst []byte, i int) []byte { return strconv.AppendBool(dst, a.Value(i)) }
	default:
		c.text = true
		c.append, c.safe = textValue(column)
	}
	return c
}

// textValue gives the writer of a column whose values are strings in JSON.
func textValue(column arrow.Array) (value func([]byte, int) []byte, safe bool) {
	switch a := column.(type) {
	case *array.Timestamp:
		return timeValue(a), true
	case *array.Decimal128:
		scale := int(a.DataType().(arrow.DecimalType).GetScale())
		return func(dst []byte, i int) []byte { return appendDecimal(dst, a.Value(i), scale) }, true
	case *array.String:
		return func(dst []byte, i int) []byte { return append(dst, a.Value(i)...) }, false
	case *array.Binary:
		return func(dst []byte, i int) []byte { return base64.StdEncoding.AppendEncode(dst, a.Value(i)) }, true
	case *array.Dictionary:
		if words, ok := a.Dictionary().(*array.String); ok {
			return func(dst []byte, i int) []byte { return append(dst, words.Value(a.GetValueIndex(i))...) }, false
		}
	}
	return func(dst []byte, i int) []byte { return append(dst, column.ValueStr(i)...) }, false
}

// timeValue writes a timestamp of any unit as RFC 3339 with nine decimals.
func timeValue(a *array.Timestamp) func([]byte, int) []byte {
	unit := int64(a.DataType().(*arrow.TimestampType).Unit.Multiplier())
	return func(dst []byte, i int) []byte { return query.AppendTime(dst, int64(a.Value(i))*unit) }
}

// appendFloat appends the shortest decimal that reads back as v.
func appendFloat(dst []byte, v float64) []byte {
	if abs := math.Abs(v); abs != 0 && (abs < 1e-9 || abs >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// appendDecimal appends a decimal without trailing zeros.
func appendDecimal(dst []byte, n decimal128.Num, scale int) []byte {
	const half = 1e19 // digits are written in two halves
	if n.Sign() < 0 {
		dst, n = append(dst, '-'), n.Negate()
	}
	var buf [48]byte
	high, low := bits.Div64(uint64(n.HighBits()), n.LowBits(), half)
	digits := strconv.AppendUint(buf[:0], high, 10)
	digits = appendPadded(digits, low, 19)
	for len(digits) > scale+1 && digits[0] == '0' {
		digits = digits[1:]
	}
	point := len(digits) - scale
	end := len(digits)
	for end > point && digits[end-1] == '0' {
		end--
	}
	dst = append(dst, digits[:point]...)
	if end > point {
		dst = append(append(dst, '.'), digits[point:end]...)
	}
	return dst
}

// appendPadded appends v with leading zeros up to width digits.
func appendPadded(dst []byte, v uint64, width int) []byte {
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], v, 10)
	for range width - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}
