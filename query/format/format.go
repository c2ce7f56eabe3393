// Package format writes answers of package query for people and programs: as a
// table, JSON, NDJSON, CSV, an Arrow IPC stream or Parquet.
//
// Invariants:
//   - Nothing is rounded: times have all nine decimals, decimals are exact, floats
//     are the shortest text that reads back as the same float.
//   - An answer that ends in an error does not look whole: a JSON array is not
//     closed, an Arrow stream has no end mark, a Parquet file no footer. Of NDJSON,
//     CSV and tables only the returned error tells.
//   - Memory is bounded by one batch; for Parquet, by one row group.
//
// In JSON rows, times are RFC 3339 in UTC, decimals are strings, bytes are
// base64, all other numbers are numbers, and a null is null. In CSV a null is empty.
//
// The package holds no state; its functions are safe for concurrent use.
package format

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"chronicle/query"
)

// The formats.
const (
	Table   = "table"
	JSON    = "json"
	NDJSON  = "ndjson"
	CSV     = "csv"
	Arrow   = "arrow"
	Parquet = "parquet"
)

// Formats lists the formats.
var Formats = []string{Table, JSON, NDJSON, CSV, Arrow, Parquet}

// Check refuses a format that is not one of Formats with a *query.Error.
func Check(format string) error {
	if slices.Contains(Formats, format) {
		return nil
	}
	return &query.Error{
		Code: query.InvalidArgument, Field: "format", Given: format, Allowed: strings.Join(Formats, ", "), Detail: "not a known format",
	}
}

// sink takes the batches of one answer.
type sink interface {
	write(rec arrow.RecordBatch) error
	finish() error // only after the last batch, and not after an error
}

// Write writes everything that r gives. When r ends with an error, that error is
// returned, and what was written is not whole. w is flushed but not closed.
func Write(w io.Writer, r array.RecordReader, format string) error {
	if err := Check(format); err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	s, err := newSink(b, r.Schema(), format)
	if err != nil {
		return err
	}
	for r.Next() {
		if err := s.write(r.RecordBatch()); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	return b.Flush()
}

func newSink(w *bufio.Writer, schema *arrow.Schema, format string) (sink, error) {
	switch format {
	case JSON:
		return newJSONSink(w, schema, true), nil
	case NDJSON:
		return newJSONSink(w, schema, false), nil
	case CSV:
		return newCSVSink(w, schema), nil
	case Arrow:
		return newArrowSink(w, schema), nil
	case Parquet:
		return newParquetSink(w, schema)
	}
	return &tableSink{w: w, schema: schema}, nil
}
