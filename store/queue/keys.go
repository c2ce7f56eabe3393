package queue

import (
	"errors"
	"io"
	"iter"
)

// Keys goes through the segment's records with FlagKey, in order, as far as they
// are committed when it comes there. It follows the index and does not read the
// records between. A record's body is valid until the next one. An error ends it.
func (s *Segment) Keys() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		index, err := s.entries()
		if err != nil {
			yield(Record{}, err)
			return
		}
		c := s.Cursor()
		for i := range index {
			last := i == len(index)-1
			if !index[i].key() && !last {
				continue
			}
			c.moveTo(&index[i])
			if last {
				break // from here on the index says nothing: the walk does
			}
			r, err := c.Next()
			if !yield(r, err) || err != nil {
				return
			}
		}
		s.keysAfter(c, yield)
	}
}

// keysAfter gives the keys from c on, record by record: a live segment's index
// may lag behind its records.
func (s *Segment) keysAfter(c *Cursor, yield func(Record, error) bool) {
	for {
		r, err := c.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if (err != nil || r.Key()) && !yield(r, err) || err != nil {
			return
		}
	}
}

// SegmentSeq gives the sequence of the first record of the segment that the
// latest record went to; 0 while the writer has not appended anything. It changes
// when the writer rolls.
func (w *Writer) SegmentSeq() uint64 {
	if w.active == nil {
		return 0
	}
	return w.active.first
}
