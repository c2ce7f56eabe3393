package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chronicle/internal/durable"
)

// Recovery tells what OpenWriter found and did.
type Recovery struct {
	Segments int    // segment files that the queue has now
	LastSeq  uint64 // the last record; 0 when the queue never had one

	Removed   []string // temporary and leftover files
	Discarded []string // last segments without a record
	Sealed    []string // segments that had ended but were not sealed

	// Cut is the segment that was cut after its last valid record; empty if none was.
	Cut         string
	CutOffset   int64  // where, in bytes from the file's start
	CutBytes    int64  // bytes that were not zero from there to the last such byte
	CutCause    string // why the first thing cut was no valid record; empty when nothing was committed there
	LostRecords uint64 // what still looked like whole records after the cut
	SavedTo     string // the file that has the bytes cut, if there were such records

	HeaderRebuilt bool // the last segment's header page never reached the disk; Options.Meta stands in it now
}

// found is a segment file as recovery sees it. Of a sealed one, only the summary is known.
type found struct {
	path string
	*summary
	sealed bool
	damage error   // what stopped the walk of an unsealed one
	seg    *active // the mapping of an unsealed one
}

// recover does what the package documentation lists under Recovery.
func (w *Writer) recover() error {
	if err := w.removeLeftovers(); err != nil {
		return err
	}
	files, err := segmentFiles(w.dir)
	if err != nil {
		return err
	}
	segs := make([]*found, 0, len(files))
	for i, file := range files {
		f, err := w.examine(file, i == len(files)-1)
		if err == nil {
			segs = append(segs, f)
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // sealed, and moved to the archive just now; index.meta keeps the numbering
		}
		for _, f := range segs {
			err = errors.Join(err, f.close())
		}
		return err
	}
	if err := w.settle(segs); err != nil {
		for _, f := range segs {
			if f.seg != w.active {
				err = errors.Join(err, f.close())
			}
		}
		return err
	}
	return nil
}

func (f *found) close() error {
	if f.seg == nil {
		return nil
	}
	return f.seg.closeAll()
}

// removeLeftovers removes what only a crash leaves: files in the making, and
// live indexes, which are made anew.
func (w *Writer) removeLeftovers() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		temp := filepath.Ext(e.Name()) == tempExt || durable.IsTemp(e.Name())
		if !temp && filepath.Ext(e.Name()) != sidecarExt {
			continue
		}
		path := filepath.Join(w.dir, e.Name())
		if err := os.Remove(path); err != nil {
			return err
		}
		if temp {
			w.recovery.Removed = append(w.recovery.Removed, path)
		}
	}
	return nil
}

// settle brings the segments into order: the last one first, for what is cut or
// discarded there decides what the one before it is.
func (w *Writer) settle(segs []*found) error {
	segs, err := w.dropEmpty(segs)
	if err != nil {
		return err
	}
	for i, f := range segs[:max(len(segs)-1, 0)] {
		if err := w.settleEarlier(f, segs[i+1].first); err != nil {
			return err
		}
	}
	if n := len(segs); n > 0 {
		if err := w.settleLast(segs[n-1]); err != nil {
			return err
		}
	}
	if err := w.settleTable(segs); err != nil {
		return err
	}
	w.recovery.Segments, w.recovery.LastSeq = len(segs), w.next-1
	return w.sealer.run()
}

// dropEmpty discards last segments without a record.
func (w *Writer) dropEmpty(segs []*found) ([]*found, error) {
	for n := len(segs); n > 0; n = len(segs) {
		f := segs[n-1]
		if f.sealed || f.records() > 0 {
			break
		}
		if f.seg != nil {
			if err := w.cut(f); err != nil {
				return segs, err
			}
		}
		if err := errors.Join(f.close(), os.Remove(f.path)); err != nil {
			return segs, err
		}
		w.recovery.Discarded = append(w.recovery.Discarded, f.path)
		segs = segs[:n-1]
	}
	return segs, nil
}

// settleEarlier takes care of a segment that is not the last. It is never cut.
func (w *Writer) settleEarlier(f *found, next uint64) error {
	if f.last >= next {
		return fmt.Errorf("segment %s has records up to %d, but the next one begins at %d: %w", f.path, f.last, next, ErrCorrupt)
	}
	if f.sealed {
		return nil
	}
	if f.damage != nil {
		return fmt.Errorf("segment %s, which is not the last: %w", f.path, f.damage)
	}
	if !f.ended && f.last+1 != next {
		return fmt.Errorf("segment %s stops at record %d, but the next one begins at %d: records are missing; "+
			"to go on after %d, move the later segments and %s away: %w", f.path, f.last, next, f.last, tableName, ErrCorrupt)
	}
	return w.sealFound(f)
}

// sealFound hands an ended segment to the sealer.
func (w *Writer) sealFound(f *found) error {
	f.seg.pos = int(f.end)
	if err := f.seg.ensure(f.end + endSize); err != nil {
		return err
	}
	w.retire(f.seg)
	w.recovery.Sealed = append(w.recovery.Sealed, f.path)
	f.seg = nil // the sealer's now
	return nil
}

// settleLast seals the last segment if it has ended, or makes it the active one.
func (w *Writer) settleLast(f *found) error {
	w.next = f.last + 1
	if f.sealed {
		return nil
	}
	if f.ended {
		return w.sealFound(f)
	}
	if err := w.cut(f); err != nil {
		return err
	}
	if err := f.seg.resume(f.summary, w.options); err != nil {
		return fmt.Errorf("segment %s: %w", f.path, err)
	}
	w.setActive(f.seg)
	return nil
}

// resume makes s, which holds what sum says, ready to be appended to.
func (s *active) resume(sum *summary, o Options) error {
	s.pos, s.extent, s.indexed = int(sum.end), sum.extent, sum.indexed()
	s.head.capacity = o.SegmentBytes
	if err := s.ensure(sum.end + endSize); err != nil {
		return err
	}
	s.start = sum.index[0]
	if len(sum.index) > 1 {
		side, err := createSidecar(sidecarPath(s.path), s.reserve, s.first, sidecarHeader+int64(len(sum.index))*entrySize)
		if err != nil {
			return err
		}
		s.side = side
		for i := range sum.index {
			side.add(&sum.index[i])
		}
	}
	if o.Precreate && s.ensure(o.SegmentBytes) == nil {
		_ = s.populate() // both are done ahead of need
	}
	s.setLimit()
	return nil
}

// settleTable writes index.meta anew, from the segments and from the next
// sequence that the old one had.
func (w *Writer) settleTable(segs []*found) error {
	old, ok, err := ReadTable(w.dir)
	if err != nil {
		return err
	}
	if ok && w.active != nil && old.NextSeq > w.next {
		return fmt.Errorf("%s says that record %d has been written, but the last segment stops at %d: "+
			"to go on there, remove %s: %w", tableName, old.NextSeq-1, w.next-1, tableName, ErrCorrupt)
	}
	if ok {
		w.next = max(w.next, old.NextSeq)
	}
	w.next = max(w.next, 1)
	for _, f := range segs {
		row := tableRow(f.summary)
		if w.active != nil && f.seg == w.active {
			row = IndexedSegment{FirstSeq: f.first}
		} else {
			w.table.next = max(w.table.next, f.last+1)
		}
		w.table.entries = append(w.table.entries, row)
	}
	w.table.next = max(w.table.next, old.NextSeq)
	return w.table.rewrite()
}
