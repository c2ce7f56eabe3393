package flight

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// output writes batches to one stream. It is owned by one call.
type output struct {
	w       *ipc.Writer
	maximum int64 // bytes of a batch
	rows    int64 // written so far
}

func (s *service) open(stream flight.FlightService_DoGetServer, schema *arrow.Schema) *output {
	return &output{
		w:       ipc.NewWriterWithPayloadWriter(framer{stream}, ipc.WithSchema(schema), ipc.WithAllocator(memory.DefaultAllocator)),
		maximum: s.MaxBatchBytes,
	}
}

// write sends a batch, in slices where it is too large. It blocks while the
// client does not keep up.
func (o *output) write(b arrow.RecordBatch) error {
	return split(b, o.maximum, func(piece arrow.RecordBatch) error {
		if err := o.w.Write(piece); err != nil {
			return fmt.Errorf("sending rows after the first %d: %w", o.rows, err)
		}
		o.rows += piece.NumRows()
		return nil
	})
}

// close ends the stream. A stream without a batch still tells its schema.
func (o *output) close() error {
	if err := o.w.Close(); err != nil {
		return fmt.Errorf("ending the stream: %w", err)
	}
	return nil
}

// split gives b to emit in slices of at most maximum bytes, or of one row where
// that alone is larger. Nothing is copied.
func split(b arrow.RecordBatch, maximum int64, emit func(arrow.RecordBatch) error) error {
	size, rows := batchBytes(b), b.NumRows()
	if size <= maximum || rows <= 1 {
		return emit(b)
	}
	step := max(1, rows/((size+maximum-1)/maximum))
	for at := int64(0); at < rows; at += step {
		piece := b.NewSlice(at, min(at+step, rows))
		err := split(piece, maximum, emit) // rows need not be of one size
		piece.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// batchBytes gives the size of a batch's columns as they are sent. Dictionaries
// do not count: they are sent once.
func batchBytes(b arrow.RecordBatch) int64 {
	var n int64
	for _, c := range b.Columns() {
		n += columnBytes(c)
	}
	return n
}

func columnBytes(a arrow.Array) int64 {
	rows := int64(a.Len())
	n := (rows + 7) / 8 // validity
	switch a := a.(type) {
	case *array.String:
		return n + 4*(rows+1) + int64(len(a.ValueBytes()))
	case *array.Binary:
		return n + 4*(rows+1) + int64(len(a.ValueBytes()))
	case *array.Dictionary:
		return n + rows*int64(a.Indices().DataType().(arrow.FixedWidthDataType).Bytes())
	}
	if t, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return n + (rows*int64(t.BitWidth())+7)/8
	}
	for _, child := range a.Data().Children() {
		n += int64(child.SizeInBytes())
	}
	return n
}
