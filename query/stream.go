package query

import (
	"context"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Stream is the answer to a range: an array.RecordReader that reads when it is
// pulled. After Next has answered false, Err tells whether the answer is whole.
// It is used by one goroutine; Retain and Release may be called from any.
type Stream struct {
	ctx    context.Context
	spec   rangeSpec
	refs   atomic.Int64
	schema *arrow.Schema

	readers []*reader // all of them, to be closed
	all     []*source
	heap    sources // those that have a record
	batch   *batch
	header  header
	current arrow.RecordBatch
	started bool
	ended   bool
	err     error
	rows    int64
}

var _ array.RecordReader = (*Stream)(nil)

// RangeStats counts what a stream has read so far.
type RangeStats struct {
	Rows     int64 // given
	Records  int64 // read
	Segments int   // opened
	Gaps     int64 // gap markers inside the range
	Limited  bool  // the limit was reached: there may be more
}

// Stats tells what was read so far.
func (s *Stream) Stats() RangeStats {
	st := RangeStats{Rows: s.rows, Limited: s.spec.Limit > 0 && s.rows == s.spec.Limit}
	for _, src := range s.all {
		st.Gaps += src.gaps
	}
	for _, r := range s.readers {
		st.Records += r.records
		st.Segments += r.opened
	}
	return st
}

// Schema gives the schema of every batch.
func (s *Stream) Schema() *arrow.Schema { return s.schema }

// Err gives the error that ended the stream; nil at a whole answer's end.
func (s *Stream) Err() error { return s.err }

// RecordBatch gives the current batch, valid until the next call of Next unless
// it is retained.
func (s *Stream) RecordBatch() arrow.RecordBatch { return s.current }

// Record is RecordBatch under its old name.
func (s *Stream) Record() arrow.RecordBatch { return s.current }

// Retain adds an owner.
func (s *Stream) Retain() { s.refs.Add(1) }

// Release gives up one owner's share; the last one closes what is open.
func (s *Stream) Release() {
	if s.refs.Add(-1) != 0 {
		return
	}
	s.drop()
	for _, r := range s.readers {
		r.close()
	}
	s.heap, s.ended = nil, true
	if s.batch != nil {
		s.batch.release()
	}
}

func (s *Stream) drop() {
	if s.current != nil {
		s.current.Release()
		s.current = nil
	}
}

// Next makes the next batch. It answers false at the end, after an error, and
// when the context is done; rows read before an error in the same batch are not
// given.
func (s *Stream) Next() bool {
	s.drop()
	if s.ended {
		return false
	}
	rec, err := s.fill()
	if err != nil || rec == nil {
		s.ended, s.err = true, asError(err)
		return false
	}
	s.current = rec
	s.rows += rec.NumRows()
	return true
}

// fill makes one batch; nil when there are no more rows.
func (s *Stream) fill() (arrow.RecordBatch, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	if !s.started {
		s.started = true
		if err := s.start(); err != nil {
			return nil, err
		}
	}
	if s.spec.Limit > 0 {
		s.batch.limit(s.spec.Limit - s.rows)
	}
	for len(s.heap) > 0 && !s.batch.full() {
		first := s.heap[0]
		if !first.maker.write(&s.header, first.record.Time, first.record.EventTime, first.symbol) {
			break
		}
		if s.batch.full() && s.spec.Limit > 0 && s.rows+int64(s.batch.rows) == s.spec.Limit {
			s.heap = nil // nothing after the limit needs to be read
			break
		}
		if err := s.heap.advance(s.ctx); err != nil {
			return nil, err
		}
	}
	if s.batch.rows == 0 {
		return nil, nil
	}
	return s.batch.flush()
}
