package queue

import (
	"fmt"
	"io"
)

// Cursor walks the records of one segment. It belongs to one goroutine; every
// record it returns has been checked against its checksum.
type Cursor struct {
	seg *Segment
	src source

	off   int64
	seq   uint64 // of the record at off
	from  uint64 // records before it are passed over
	ended bool   // the end word has been seen
}

// Cursor gives a new cursor at the segment's first record.
func (s *Segment) Cursor() *Cursor {
	return &Cursor{seg: s, src: s.source(), off: headerPage, seq: s.head.first}
}

// Next gives the next record, whose body is valid until the following call. It
// gives io.EOF at the end of what is committed; on a live segment a later call
// may then find more. An error other than io.EOF leaves the cursor where it is.
func (c *Cursor) Next() (Record, error) {
	for {
		r, length, err := c.read()
		if err != nil {
			return Record{}, err
		}
		c.off += length
		c.seq++
		if r.Seq >= c.from {
			return r, nil
		}
	}
}

// read gives the record at the cursor without moving on, or io.EOF.
func (c *Cursor) read() (Record, int64, error) {
	r, length, mark, err := readRecord(c.src, c.off, c.seq)
	if err != nil {
		return Record{}, 0, fmt.Errorf("segment %s: %w", c.seg.name, err)
	}
	if length > 0 {
		return r, length, nil
	}
	c.ended = mark == endWord
	if f := c.seg.footer; f != nil && c.seq != f.last+1 {
		return Record{}, 0, fmt.Errorf("segment %s ends at record %d, its footer says %d: %w", c.seg.name, c.seq-1, f.last, ErrCorrupt)
	}
	return Record{}, 0, io.EOF
}

// Ended tells whether the latest io.EOF of Next was the end of the segment,
// after which nothing will ever come, rather than of what is committed so far.
func (c *Cursor) Ended() bool { return c.ended }

// rewind puts the cursor at the segment's first record.
func (c *Cursor) rewind() { c.off, c.seq, c.from, c.ended = headerPage, c.seg.head.first, 0, false }

// moveTo puts the cursor at the record of an index entry.
func (c *Cursor) moveTo(e *indexEntry) { c.off, c.seq, c.from, c.ended = e.offset, e.seq, 0, false }

// SeekSeq positions the cursor so that Next gives record n, or the first one
// after it that the segment has. It costs O(log n) and a walk of at most
// 32 KiB of records or one record.
func (c *Cursor) SeekSeq(n uint64) error {
	index, err := c.seg.entries()
	if err != nil {
		return err
	}
	c.start(index, func(e *indexEntry) bool { return e.seq <= n })
	c.from = n
	for c.seq < n {
		_, length, err := c.read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		c.off += length
		c.seq++
	}
	return nil
}

// seekEnd positions the cursor after everything that is committed.
func (c *Cursor) seekEnd() error {
	index, err := c.seg.entries()
	if err != nil {
		return err
	}
	run := c.start(index, func(*indexEntry) bool { return true })
	return c.scan(run, func(*extent, *Record) bool { return true })
}

// SeekTime positions the cursor at the first record at which the running
// maximum of the segment's times, by the clock, is t or more. If there is none it
// is at the end: Next gives io.EOF, or what is committed later.
func (c *Cursor) SeekTime(clock Clock, t int64) error {
	index, err := c.seg.entries()
	if err != nil {
		return err
	}
	run := c.start(index, func(e *indexEntry) bool { return e.max(clock) < t })
	return c.scan(run, func(run *extent, _ *Record) bool { return run.max(clock) < t })
}

// SeekKey positions the cursor at the last record with FlagKey at which the
// running maximum of the segment's times, by the clock, is still at most t, or at
// the segment's first record if there is none.
func (c *Cursor) SeekKey(clock Clock, t int64) error {
	index, err := c.seg.entries()
	if err != nil {
		return err
	}
	at := latest(index, func(e *indexEntry) bool { return e.max(clock) <= t })
	key := at
	for key >= 0 && !index[key].key() {
		key--
	}
	if c.seg.live == nil { // the index is complete: no need to look at records
		c.rewind()
		if key >= 0 {
			c.moveTo(&index[key])
		}
		return nil
	}
	return c.lastKey(index, clock, t, at, key)
}

// lastKey finishes SeekKey on a live segment, whose index may lag behind: it
// walks from entry at (-1: the start) while the running maximum is at most t, and
// goes back to the last Key seen, which was entry key when it began.
func (c *Cursor) lastKey(index []indexEntry, clock Clock, t int64, at, key int) error {
	found := indexEntry{seq: c.seg.head.first, offset: headerPage}
	if key >= 0 {
		found = index[key]
	}
	run := noExtent
	c.rewind()
	if at >= 0 {
		run = index[at].extent
		c.moveTo(&index[at])
	}
	err := c.scan(run, func(run *extent, r *Record) bool {
		if run.max(clock) > t {
			return false
		}
		if r.Key() {
			found.seq, found.offset = r.Seq, c.off
		}
		return true
	})
	c.moveTo(&found)
	return err
}

// start puts the cursor at the last index entry for which ok holds, or at the
// first record, and gives the extent of what is before or at it.
func (c *Cursor) start(index []indexEntry, ok func(*indexEntry) bool) extent {
	c.rewind()
	at := latest(index, ok)
	if at < 0 {
		return noExtent
	}
	c.moveTo(&index[at])
	return index[at].extent
}

// scan moves on over records for as long as pass holds, given the extent up to
// and including each; run is the extent where it begins.
func (c *Cursor) scan(run extent, pass func(*extent, *Record) bool) error {
	for {
		r, length, err := c.read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		run.add(r.Time, r.EventTime)
		if !pass(&run, &r) {
			return nil
		}
		c.off += length
		c.seq++
	}
}
