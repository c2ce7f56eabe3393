package query

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/market"
)

// column is one column of a batch in the making. Columns are appended to
// directly, after batch.room has made room: no call allocates.
type column interface {
	reserve(n int)
	flush() arrow.Array // what was appended; the column is empty afterwards
	release()
}

// plain is a column that one arrow builder makes.
type plain[B array.Builder] struct{ b B }

func (c plain[B]) reserve(n int)      { c.b.Reserve(n) }
func (c plain[B]) flush() arrow.Array { return c.b.NewArray() }
func (c plain[B]) release()           { c.b.Release() }

// timeColumn holds nanoseconds since the epoch.
type timeColumn struct {
	plain[*array.TimestampBuilder]
}

func newTimeColumn(mem memory.Allocator) *timeColumn {
	return &timeColumn{plain[*array.TimestampBuilder]{array.NewTimestampBuilder(mem, timestampType)}}
}

func (c *timeColumn) append(ns int64) {
	if ns == market.UndefTimestamp {
		c.b.UnsafeAppendBoolToBitmap(false)
		return
	}
	c.b.UnsafeAppend(arrow.Timestamp(ns))
}

// uint64Column holds sequences and ids; 0 is "none".
type uint64Column struct {
	plain[*array.Uint64Builder]
}

func newUint64Column(mem memory.Allocator) *uint64Column {
	return &uint64Column{plain[*array.Uint64Builder]{array.NewUint64Builder(mem)}}
}

func (c *uint64Column) append(v uint64) { c.b.UnsafeAppend(v) }

// uint32Column holds counts.
type uint32Column struct {
	plain[*array.Uint32Builder]
}

func newUint32Column(mem memory.Allocator) *uint32Column {
	return &uint32Column{plain[*array.Uint32Builder]{array.NewUint32Builder(mem)}}
}

func (c *uint32Column) append(v uint32) { c.b.UnsafeAppend(v) }
func (c *uint32Column) appendNull()     { c.b.UnsafeAppendBoolToBitmap(false) }

// uint8Column holds flags.
type uint8Column struct {
	plain[*array.Uint8Builder]
}

func newUint8Column(mem memory.Allocator) *uint8Column {
	return &uint8Column{plain[*array.Uint8Builder]{array.NewUint8Builder(mem)}}
}

func (c *uint8Column) append(v uint8) { c.b.UnsafeAppend(v) }

// textColumn holds text of any length, in memory that grows by itself.
type textColumn struct {
	plain[*array.StringBuilder]
}

func newTextColumn(mem memory.Allocator) *textColumn {
	return &textColumn{plain[*array.StringBuilder]{array.NewStringBuilder(mem)}}
}

func (c *textColumn) append(s string) { c.b.Append(s) }

// appendOrNull appends s; a null for empty text.
func (c *textColumn) appendOrNull(s string) {
	if s == "" {
		c.b.AppendNull()
		return
	}
	c.b.Append(s)
}

// bytesColumn holds bytes of any length, in memory that grows by itself.
type bytesColumn struct {
	plain[*array.BinaryBuilder]
}

func newBytesColumn(mem memory.Allocator) *bytesColumn {
	return &bytesColumn{plain[*array.BinaryBuilder]{array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)}}
}

func (c *bytesColumn) append(b []byte) { c.b.Append(b) }

// boolColumn holds truth values.
type boolColumn struct {
	plain[*array.BooleanBuilder]
}

func newBoolColumn(mem memory.Allocator) *boolColumn {
	return &boolColumn{plain[*array.BooleanBuilder]{array.NewBooleanBuilder(mem)}}
}

func (c *boolColumn) append(v bool) { c.b.UnsafeAppend(v) }

// int8Column holds exponents.
type int8Column struct {
	plain[*array.Int8Builder]
}

func newInt8Column(mem memory.Allocator) *int8Column {
	return &int8Column{plain[*array.Int8Builder]{array.NewInt8Builder(mem)}}
}

func (c *int8Column) append(v int8) { c.b.UnsafeAppend(v) }

// wordColumn holds words of a fixed vocabulary. All batches share the one
// dictionary, so that it travels once.
type wordColumn struct {
	plain[*array.Int32Builder]
	words arrow.Array
}

func newWordColumn(mem memory.Allocator, words []string) *wordColumn {
	b := array.NewStringBuilder(mem)
	defer b.Release()
	b.AppendValues(words, nil)
	return &wordColumn{plain: plain[*array.Int32Builder]{array.NewInt32Builder(mem)}, words: b.NewArray()}
}

func (c *wordColumn) append(word int) { c.b.UnsafeAppend(int32(word)) }

func (c *wordColumn) flush() arrow.Array {
	indices := c.b.NewArray()
	defer indices.Release()
	return array.NewDictionaryArray(wordType, indices, c.words)
}

func (c *wordColumn) release() {
	c.b.Release()
	c.words.Release()
}

// The vocabularies of sides and actions, with each word's place.
var (
	sideWords   = []string{string(market.Bid), string(market.Ask), string(market.NoSide)}
	actionWords = []string{string(market.Add), string(market.Cancel), string(market.Modify), string(market.Clear), string(market.Exec), string(market.Fill)}
	sideWord    = places(sideWords)
	actionWord  = places(actionWords)
)

// places maps the one byte of each word to its place.
func places(words []string) (at [256]int) {
	for i, w := range words {
		at[w[0]] = i
	}
	return at
}
