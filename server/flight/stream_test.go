package flight

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// batchOf makes a batch of one column of every kind that results have; texts are
// the values of the text and binary columns.
func batchOf(mem memory.Allocator, texts []string) arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "text", Type: arrow.BinaryTypes.String},
		{Name: "bytes", Type: arrow.BinaryTypes.Binary},
		{Name: "word", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}},
		{Name: "flag", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "exact", Type: &arrow.Decimal128Type{Precision: 38, Scale: 18}},
	}, nil)
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	for i, text := range texts {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(text)
		b.Field(2).(*array.BinaryBuilder).Append([]byte(text))
		if err := b.Field(3).(*array.BinaryDictionaryBuilder).AppendString("same"); err != nil {
			panic(err)
		}
		b.Field(4).(*array.BooleanBuilder).Append(i%2 == 0)
		b.Field(5).AppendNull()
	}
	return b.NewRecordBatch()
}

func TestSplit(t *testing.T) {
	long := strings.Repeat("x", 1000)
	uneven := make([]string, 300)
	for i := 200; i < 210; i++ {
		uneven[i] = long
	}
	for name, texts := range map[string][]string{
		"none": {}, "one": {"a"}, "one that is too large": {long}, "even": make([]string, 1000), "uneven": uneven,
	} {
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		b := batchOf(mem, texts)
		next := int64(0)
		err := split(b, 1500, func(piece arrow.RecordBatch) error {
			if n := piece.NumRows(); n > 0 && piece.Column(0).(*array.Int64).Value(0) != next {
				t.Errorf("%s: a piece begins with row %d, want %d", name, piece.Column(0).(*array.Int64).Value(0), next)
			}
			next += piece.NumRows()
			if size := batchBytes(piece); size > 1500 && piece.NumRows() > 1 {
				t.Errorf("%s: %d rows of %d bytes", name, piece.NumRows(), size)
			}
			return nil
		})
		if err != nil || next != int64(len(texts)) {
			t.Errorf("%s: %d rows of %d, %v", name, next, len(texts), err)
		}
		b.Release()
		mem.AssertSize(t, 0)
	}
}

func TestSplitStopsAtAnError(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	b := batchOf(mem, make([]string, 1000))
	calls, broken := 0, errors.New("broken")
	err := split(b, 1500, func(arrow.RecordBatch) error {
		calls++
		return broken
	})
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	b.Release()
	mem.AssertSize(t, 0)
}

func TestBatchBytes(t *testing.T) {
	b := batchOf(memory.DefaultAllocator, []string{"abc", "", "de"})
	defer b.Release()
	// Per column: 1 byte of validity, then 3*8, 4*4+5, 4*4+5, 3*4, 1 and 3*16.
	if n := batchBytes(b); n != 6+24+21+21+12+1+48 {
		t.Errorf("%d bytes", n)
	}
	tail := b.NewSlice(2, 3)
	defer tail.Release()
	if n := batchBytes(tail); n != 6+8+10+10+4+1+16 {
		t.Errorf("%d bytes in the last row", n)
	}
}
