package queue

import (
	"bytes"
	"fmt"
)

// SetMeta changes the metadata of the segments that begin from now on. It fails
// only with ErrTooBig.
func (w *Writer) SetMeta(meta []byte) error {
	if err := checkMeta(meta); err != nil {
		return err
	}
	w.meta = bytes.Clone(meta)
	return nil
}

// Roll ends the current segment and seals it; the next record begins a new one.
// Without a record in the current segment it does nothing. When sealing fails
// ([ErrFull], an I/O error) the segment has ended all the same: it stays readable,
// and every later Roll, Sync and Close tries to seal it again. With
// Options.Precreate the sealing goes on in the background.
func (w *Writer) Roll() error {
	if w.closed {
		return fmt.Errorf("roll queue %s: %w", w.dir, ErrClosed)
	}
	if w.active != nil {
		w.active.reserved = -1
	}
	if w.options.later {
		return w.cutOnly()
	}
	if w.SegmentRecords() > 0 {
		w.retire(w.active)
		w.setActive(nil)
		if w.helper != nil {
			w.helper.poke()
			return nil
		}
	}
	if err := w.sealer.run(); err != nil {
		return fmt.Errorf("roll queue %s: %w", w.dir, err)
	}
	return nil
}

// cutOnly is Roll for one that is sealed later: it keeps nothing mapped until then.
func (w *Writer) cutOnly() error {
	s := w.active
	if w.SegmentRecords() == 0 {
		return nil
	}
	w.retire(s)
	w.setActive(nil)
	if err := s.closeAll(); err != nil {
		return fmt.Errorf("roll queue %s: %w", w.dir, err)
	}
	return nil
}

// NextSeq gives the sequence that the next record will get.
func (w *Writer) NextSeq() uint64 { return w.next }

// SegmentRecords gives the number of records in the current segment. 0 means
// that the next Append begins a segment.
func (w *Writer) SegmentRecords() uint64 {
	if w.active == nil {
		return 0
	}
	return w.next - w.active.first
}

// SegmentBytes gives the bytes used in the current segment, header included; 0
// when the next Append begins one.
func (w *Writer) SegmentBytes() int64 {
	if w.SegmentRecords() == 0 {
		return 0
	}
	return int64(w.active.pos)
}

// Recovery tells what OpenWriter found and cut.
func (w *Writer) Recovery() Recovery { return *w.recovery }
