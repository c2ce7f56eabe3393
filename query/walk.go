package query

import (
	"errors"
	"io"

	"chronicle/store/queue"
)

// checkEvery is the number of records between two looks at a context.
const checkEvery = 1024

// walk reads one segment onwards from where its cursor stands, and checks that
// no record is missing. The queue's cursor checks each record's CRC.
type walk struct {
	id     streamID
	seg    *segment
	handle *handle
	cursor *queue.Cursor
	want   uint64 // the next sequence; 0 before the first record
}

// next gives the next record, valid until the next call, or io.EOF after the
// last one that is committed.
func (w *walk) next() (queue.Record, error) {
	rec, err := w.cursor.Next()
	switch {
	case err == nil && (w.want == 0 || rec.Seq == w.want):
		w.want = rec.Seq + 1
		return rec, nil
	case err == nil:
		return rec, damaged(nil, "%s: %v: record %d follows record %d", w.id, w.seg, rec.Seq, w.want-1)
	case !errors.Is(err, io.EOF):
		return rec, readError(w.id, w.seg, w.want, err)
	case w.seg.sealed && w.want != 0 && w.want != w.seg.last+1:
		return rec, damaged(nil, "%s: %v ends after record %d", w.id, w.seg, w.want-1)
	}
	return rec, io.EOF
}
