package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chronicle/internal/durable"
)

// A crash of the machine can lose what was not synced in any order: a segment's
// pages, or all of it, while segments after it are there. What is behind such a
// loss cannot be part of the queue, and nobody was told that it is on disk: Sync
// returns for all segments or for none. It is set aside, for to refuse would keep a
// feed from recording what comes now.

// firstBehindLoss gives the index of the first segment before which records were
// lost in a crash, or len(segs). next is the sequence up to which index.meta knows
// that everything was once sealed, if known.
//
// Segments are sealed oldest first, and index.meta knows of it before they are. So
// a hole behind a segment that is not sealed is a loss; one behind a sealed segment
// is what has been moved away, unless index.meta knows that it never was sealed.
// A sealed segment behind a loss means that this was no crash: an error, for that
// is not to be cut away.
func firstBehindLoss(segs []*found, next uint64, known bool) (int, error) {
	for i, f := range segs {
		prev := &found{summary: &summary{}, sealed: true} // what may have been there once
		if i > 0 {
			prev = segs[i-1]
		}
		if prev.last >= f.first {
			return 0, fmt.Errorf("segment %s has records up to %d, but the next one begins at %d: %w", prev.path, prev.last, f.first, ErrCorrupt)
		}
		if prev.last+1 == f.first {
			continue
		}
		later := anySealed(segs[i:])
		if prev.sealed && (!known || next >= f.first || later) {
			continue
		}
		if !prev.sealed && (later || known && next > prev.last+1) {
			return 0, prev.stopsShort(f.first)
		}
		return i, nil
	}
	return len(segs), nil
}

// stopsShort is the error of a segment that has lost what must have been on disk.
func (f *found) stopsShort(next uint64) error {
	err := fmt.Errorf("segment %s stops at record %d, but the next one begins at %d: records are missing that were once on disk; "+
		"to go on after %d, move the later segments and %s away: %w", f.path, f.last, next, f.last, tableName, ErrCorrupt)
	return errors.Join(err, f.damage)
}

func anySealed(segs []*found) bool {
	for _, f := range segs {
		if f.sealed {
			return true
		}
	}
	return false
}

// setAside takes segments out of the queue without losing what they hold.
func (w *Writer) setAside(segs []*found) error {
	for _, f := range segs {
		path := asidePath(f.path, 0)
		if f.seg != nil {
			tail := f.seg.mem[f.end:f.seg.size.Load()]
			n, _ := countRecords(tail, len(tail), f.last)
			w.recovery.LostRecords += n
		}
		if err := errors.Join(f.close(), durable.Rename(f.path, path)); err != nil {
			return err
		}
		f.seg = nil
		w.recovery.SetAside = append(w.recovery.SetAside, f.path)
		w.recovery.SavedTo = append(w.recovery.SavedTo, path)
		w.recovery.LostRecords += f.records()
	}
	return nil
}

// asidePath gives a free name for what is cut off the segment at path.
func asidePath(path string, offset int64) string {
	name := filepath.Join(filepath.Dir(path), fmt.Sprintf("%s.cut-at-%d", filepath.Base(path), offset))
	free := name
	for n := 2; ; n++ {
		if _, err := os.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return free
		}
		free = fmt.Sprintf("%s.%d", name, n)
	}
}
