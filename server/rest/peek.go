package rest

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// peeked is a reader whose first batch has been read already, so that a range
// which fails at once fails before its answer begins. It is owned by one
// goroutine; the reader below is still its owner's to release.
type peeked struct {
	array.RecordReader
	first bool // the first batch is there and has not been given out
}

var _ array.RecordReader = (*peeked)(nil)

// peek reads the first batch of r. An error is r.Err()'s to tell.
func peek(r array.RecordReader) *peeked { return &peeked{RecordReader: r, first: r.Next()} }

// Next goes on to the next batch.
func (p *peeked) Next() bool {
	if p.first {
		p.first = false
		return true
	}
	return p.RecordReader.Next()
}

// RecordBatch gives the batch that Next went to.
func (p *peeked) RecordBatch() arrow.RecordBatch { return p.RecordReader.RecordBatch() }

// Retain and Release do nothing: the handler releases the reader itself.
func (p *peeked) Retain()  {}
func (p *peeked) Release() {}
