package queue

import (
	"errors"
	"io/fs"
	"sort"
)

// open opens the segment that has the record wanted; false when it is not there yet.
func (t *Tailer) open() (bool, error) {
	again := t.idle%lookAgain == lookAgain-1 // time to look whatever the table says
	t.idle++
	if t.after != 0 {
		there := t.table != nil && t.table.newest() >= t.after
		if t.table != nil && !there && !again {
			return false, nil // one load, no system call
		}
		err := t.enter(segmentPath(t.dir, t.after))
		if !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
		if !there && !again {
			return false, nil
		}
	}
	return t.locate()
}

// locate finds the segment by the list of files. A list that is made while files
// come and go can lack one that is there all the time, so it takes two to say
// that a record is gone.
func (t *Tailer) locate() (bool, error) {
	ok, err := t.find()
	if errors.Is(err, ErrGone) {
		ok, err = t.find()
	}
	return ok, err
}

func (t *Tailer) find() (bool, error) {
	table, _, err := t.readTable() // before the list: what had ended by then was on disk
	if err != nil {
		return false, err
	}
	if ok, err := t.tryTable(table.Segments); ok || err != nil {
		return ok, err // no list was needed
	}
	files, err := segmentFiles(t.dir)
	if err != nil {
		return false, err
	}
	at := sort.Search(len(files), func(i int) bool { return files[i].FirstSeq > t.next }) - 1
	if t.next == 0 {
		at = min(0, len(files)-1)
	}
	if at >= 0 && files[at].FirstSeq >= t.after {
		if ok, err := t.tryFile(files[at]); ok || err != nil {
			return ok, err
		}
	}
	switch {
	case t.next == 0:
		return false, nil
	case at+1 < len(files):
		return false, &GoneError{Wanted: t.next, Oldest: files[at+1].FirstSeq}
	case table.NextSeq > t.next:
		return false, &GoneError{Wanted: t.next, Oldest: table.NextSeq}
	}
	return false, nil
}

// readTable maps the table anew and reads it; it is empty, and false, where there
// is none to be had.
func (t *Tailer) readTable() (Table, bool, error) {
	old := t.table
	var err error
	if t.table, err = openTableView(t.dir); err != nil {
		return Table{}, false, err
	}
	if old != nil {
		err = old.close()
	}
	if t.table == nil {
		t.seen = 0
		return Table{}, false, err
	}
	t.seen = t.table.newest()
	table, ok := t.table.read()
	return table, ok, err
}

// tryTable enters the segment that has the record wanted by the table.
func (t *Tailer) tryTable(segs []IndexedSegment) (bool, error) {
	at := sort.Search(len(segs), func(i int) bool { return segs[i].FirstSeq > t.next }) - 1
	if at < 0 || segs[at].FirstSeq < t.after || segs[at].LastSeq != 0 && segs[at].LastSeq < t.next {
		return false, nil
	}
	first := segs[at].FirstSeq
	return t.tryFile(SegmentFile{Path: segmentPath(t.dir, first), FirstSeq: first})
}

// tryFile enters a segment that may have the record wanted; false if it does not.
func (t *Tailer) tryFile(file SegmentFile) (bool, error) {
	err := t.enter(file.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // moved away just now
	}
	if err != nil {
		return false, err
	}
	t.next = max(t.next, file.FirstSeq)
	last := t.seg.Info().LastSeq
	if !t.seg.Sealed() || last >= t.next {
		return true, nil
	}
	return false, t.drop(last + 1)
}

// enter opens a segment and goes to the record wanted.
func (t *Tailer) enter(path string) error {
	return t.enterAt(path, func(c *Cursor) error { return c.SeekSeq(t.next) })
}

// enterAt opens a segment and goes where seek says.
func (t *Tailer) enterAt(path string, seek func(*Cursor) error) error {
	seg, err := OpenSegment(path)
	if err != nil {
		return err
	}
	cur := seg.Cursor()
	if err := seek(cur); err != nil {
		return errors.Join(err, seg.Close())
	}
	t.seg, t.cur, t.after, t.idle = seg, cur, 0, 0
	return nil
}
