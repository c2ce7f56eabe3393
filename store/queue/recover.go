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
	Pending   []string // the same in a Group: they wait for Group.Seal

	// Cut is the segment that was cut after its last valid record; empty if none was.
	Cut       string
	CutOffset int64  // where, in bytes from the file's start
	CutBytes  int64  // bytes that were not zero from there to the last such byte
	CutCause  string // why the first thing cut was no valid record; empty when nothing was committed there

	// SetAside are the segments, by their former paths, that came after records which
	// a crash of the machine has lost. They are no longer part of the queue.
	SetAside    []string
	LostRecords uint64   // what still looked like whole records after the cut and in segments set aside
	SavedTo     []string // the files that have those records now

	HeaderRebuilt bool     // the last segment's header page never reached the disk; Options.Meta stands in it now
	Lowered       []string // consumers that had passed records which are lost: they need the new ones
}

// nothing tells whether the recovery found a queue in which all was well.
func (r *Recovery) nothing() bool {
	files := len(r.Removed) + len(r.Discarded) + len(r.Sealed) + len(r.Pending) + len(r.SetAside) + len(r.SavedTo) + len(r.Lowered)
	return files == 0 && r.Cut == "" && r.LostRecords == 0 && !r.HeaderRebuilt
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
	for _, file := range files {
		f, err := w.examine(file)
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
		if err := durable.Unlink(path); err != nil {
			return err
		}
		if temp {
			w.recovery.Removed = append(w.recovery.Removed, path)
		}
	}
	return nil
}

// settle brings the segments into order: the last ones first, for what is cut,
// discarded or set aside there decides what the ones before are.
func (w *Writer) settle(segs []*found) error {
	old, known, err := ReadTable(w.dir)
	if err != nil {
		return err
	}
	if old.NextSeq <= 1 {
		// Nothing was ever sealed, so whoever made the directory, or one of those that
		// it is in, may have died before its name was synced.
		if w.names.parents, err = ancestors(w.dir); err != nil {
			return err
		}
	}
	if err := w.identify(known || len(segs) > 0); err != nil {
		return err
	}
	for {
		if segs, err = w.dropEmpty(segs); err != nil {
			return err
		}
		at, err := firstBehindLoss(segs, old.NextSeq, known)
		if err != nil {
			return err
		}
		if at == len(segs) {
			break
		}
		if err := w.setAside(segs[at:]); err != nil {
			return err
		}
		segs = segs[:at]
	}
	for i := 0; i+1 < len(segs); i++ {
		if !segs[i].sealed {
			if err := w.sealFound(segs[i]); err != nil {
				return err
			}
		}
	}
	if n := len(segs); n > 0 {
		if err := w.settleLast(segs[n-1]); err != nil {
			return err
		}
	}
	if err := w.settleTable(segs, old, known); err != nil {
		return err
	}
	if w.recovery.Lowered, err = lowerConsumers(w.dir, w.next); err != nil {
		return err
	}
	w.recovery.Segments, w.recovery.LastSeq = len(segs), w.next-1
	if w.options.later {
		return nil
	}
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
		if err := errors.Join(f.close(), durable.Unlink(f.path)); err != nil {
			return segs, err
		}
		w.recovery.Discarded = append(w.recovery.Discarded, f.path)
		segs = segs[:n-1]
	}
	return segs, nil
}

// sealFound hands an ended segment to the sealer.
func (w *Writer) sealFound(f *found) error {
	f.seg.pos = int(f.end)
	if err := f.seg.ensure(f.end + endSize); err != nil {
		return err
	}
	seg := f.seg
	f.seg = nil // the sealer's now
	w.retire(seg)
	if w.options.later {
		w.recovery.Pending = append(w.recovery.Pending, f.path)
		return seg.closeAll()
	}
	w.recovery.Sealed = append(w.recovery.Sealed, f.path)
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
		side, err := s.newIndex(len(sum.index))
		if err != nil {
			return err
		}
		s.side = side
		for i := range sum.index {
			side.add(sum.index[i])
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
func (w *Writer) settleTable(segs []*found, old Table, known bool) error {
	if known && w.active != nil && old.NextSeq > w.next {
		return fmt.Errorf("%s says that record %d has been written, but the last segment stops at %d: "+
			"to go on there, remove %s: %w", tableName, old.NextSeq-1, w.next-1, tableName, ErrCorrupt)
	}
	w.next = max(w.next, old.NextSeq, 1)
	for _, f := range segs {
		row := IndexedSegment{FirstSeq: f.first} // the sealer adds the rest, when it is durable
		if f.sealed {
			row = tableRow(f.summary)
			w.table.next = max(w.table.next, f.last+1)
		}
		w.table.entries = append(w.table.entries, row)
	}
	w.table.next = max(w.table.next, old.NextSeq)
	return w.table.rewrite()
}
