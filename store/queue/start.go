package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// OpenTailerLive opens a tailer that begins after the last record that is
// committed now: Next gives what is appended from here on. A queue without records
// is waited for. It costs a look into index.meta and one segment.
func OpenTailerLive(dir string, opts TailerOptions) (*Tailer, error) {
	return openAt(dir, opts, (*Tailer).toEnd)
}

// OpenTailerTime opens a tailer that begins with the first record whose time, by
// the clock, is at or after since; where there is none yet, with the first such
// that comes. Nothing is read but index.meta and the segments that it cannot rule
// out, as a rule one, by its index.
//
// [ErrGone] means that such records may have been removed: that everything before
// the oldest record here was earlier is not known. The error says where what is
// here begins.
func OpenTailerTime(dir string, clock Clock, since int64, opts TailerOptions) (*Tailer, error) {
	return openAt(dir, opts, func(t *Tailer) error { return t.toTime(clock, since) })
}

// openAt opens a tailer and positions it. What is found and then gone before it
// could be opened, because segments are sealed or removed just then, is looked for
// again.
func openAt(dir string, opts TailerOptions, position func(*Tailer) error) (*Tailer, error) {
	t, err := newTailer(dir, opts)
	if err != nil {
		return nil, err
	}
	for range startTries {
		if err = position(t); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		err = errors.Join(err, t.drop(0))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tail queue %s: %w", dir, err), t.Close())
	}
	return t, nil
}

// startTries bounds how often a position is looked for in a queue that changes.
const startTries = 100

// toEnd goes after the last record.
func (t *Tailer) toEnd() error {
	segs, next, err := t.segments()
	if err != nil {
		return err
	}
	n := len(segs)
	if n == 0 || segs[n-1].LastSeq != 0 && segs[n-1].LastSeq < next {
		t.beginWith(next)
		return nil
	}
	if err := t.enterAt(segmentPath(t.dir, segs[n-1].FirstSeq), (*Cursor).seekEnd); err != nil {
		return err
	}
	t.next = t.cur.seq
	return nil
}

// beginWith begins with record next, which is not there yet.
func (t *Tailer) beginWith(next uint64) {
	if t.next = next; next == 1 {
		t.next = 0 // the oldest
	}
}

// segments lists the queue's segments, oldest first, and the sequence after the
// last one that an ended segment holds; by index.meta if there is one, else by the
// files, of which the times are not known.
func (t *Tailer) segments() ([]IndexedSegment, uint64, error) {
	table, ok, err := t.readTable()
	if err != nil || ok {
		return table.Segments, max(table.NextSeq, 1), err
	}
	files, err := segmentFiles(t.dir)
	if err != nil {
		return nil, 0, err
	}
	segs := make([]IndexedSegment, len(files))
	for i, f := range files {
		segs[i].FirstSeq = f.FirstSeq
	}
	return segs, 1, nil
}

// toTime goes to the first record whose time is since or later.
func (t *Tailer) toTime(clock Clock, since int64) error {
	segs, next, err := t.segments()
	if err != nil {
		return err
	}
	for i, s := range segs {
		if s.LastSeq != 0 && s.last(clock) < since {
			continue
		}
		found, err := t.toTimeIn(s, clock, since)
		if errors.Is(err, fs.ErrNotExist) && s.LastSeq != 0 {
			return t.goneAfter(s.LastSeq, next)
		}
		if err == nil && found && i == 0 && t.cur.seq == s.FirstSeq && s.FirstSeq > 1 {
			return errors.Join(&GoneError{Oldest: s.FirstSeq}, t.drop(0))
		}
		if found || err != nil {
			return err
		}
		if next = max(next, t.next); t.cur != nil {
			break // it is the live one: what is wanted comes after what it has
		}
	}
	if len(segs) == 0 && next > 1 {
		return &GoneError{Oldest: next}
	}
	t.passOver, t.clock, t.since = true, clock, since
	if t.cur == nil {
		t.beginWith(next)
	}
	return nil
}

// last gives the largest time of an ended segment.
func (e *IndexedSegment) last(clock Clock) int64 {
	if clock == ByEventTime {
		return e.LastEventTime
	}
	return e.LastTime
}

// toTimeIn goes to the first record of a segment whose time is since or later;
// false if there is none, after which it stays in a segment that may get more.
func (t *Tailer) toTimeIn(s IndexedSegment, clock Clock, since int64) (bool, error) {
	err := t.enterAt(segmentPath(t.dir, s.FirstSeq), func(c *Cursor) error { return c.SeekTime(clock, since) })
	if err != nil {
		return false, err
	}
	_, _, err = t.cur.read()
	t.next = t.cur.seq
	if err != io.EOF {
		return err == nil, err
	}
	if !t.cur.Ended() {
		return false, nil
	}
	return false, t.drop(t.next)
}

// goneAfter is the error for records up to last that have been removed, when
// everything before next has ended.
func (t *Tailer) goneAfter(last, next uint64) error {
	files, err := segmentFiles(t.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.FirstSeq > last {
			return &GoneError{Oldest: f.FirstSeq}
		}
	}
	return &GoneError{Oldest: max(last+1, next)}
}

// before tells whether r is to be passed over; from the first that is not, none is.
func (t *Tailer) before(r *Record) bool {
	at := r.Time
	if t.clock == ByEventTime {
		at = r.EventTime
	}
	t.passOver = at < t.since
	return t.passOver
}
