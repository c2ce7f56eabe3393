package format

import (
	"bufio"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// arrowSink writes an Arrow IPC stream, not compressed.
type arrowSink struct{ w *ipc.Writer }

func newArrowSink(w *bufio.Writer, schema *arrow.Schema) *arrowSink {
	return &arrowSink{ipc.NewWriter(w, ipc.WithSchema(schema))}
}

func (s *arrowSink) write(rec arrow.RecordBatch) error { return s.w.Write(rec) }
func (s *arrowSink) finish() error                     { return s.w.Close() }

// Limits of a Parquet row group.
const (
	maxGroupRows  = 1 << 20
	maxGroupBytes = 128 << 20 // before encoding; wide rows make smaller groups
)

// parquetSink writes a Parquet file: version 2.6 for nanoseconds, times as
// deltas, all else as dictionaries, zstd at its fastest.
type parquetSink struct{ w *pqarrow.FileWriter }

func newParquetSink(w *bufio.Writer, schema *arrow.Schema) (*parquetSink, error) {
	options := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_6), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithMaxRowGroupLength(groupRows(schema)),
	}
	for _, f := range schema.Fields() {
		if f.Type.ID() == arrow.TIMESTAMP {
			options = append(options, parquet.WithDictionaryFor(f.Name, false), parquet.WithEncodingFor(f.Name, parquet.Encodings.DeltaBinaryPacked))
		}
	}
	// The writer closes what it writes to if it can; the caller's w is not ours to close.
	fw, err := pqarrow.NewFileWriter(schema, struct{ io.Writer }{w}, parquet.NewWriterProperties(options...),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, err
	}
	return &parquetSink{fw}, nil
}

// groupRows gives the rows of one row group.
func groupRows(schema *arrow.Schema) int64 {
	bytes := 0
	for _, f := range schema.Fields() {
		bytes += 8
		if t, ok := f.Type.(arrow.FixedWidthDataType); ok {
			bytes += t.Bytes() - 8
		}
	}
	return int64(min(maxGroupRows, max(1024, maxGroupBytes/max(bytes, 1))))
}

func (s *parquetSink) write(rec arrow.RecordBatch) error { return s.w.WriteBuffered(rec) }
func (s *parquetSink) finish() error                     { return s.w.Close() }
