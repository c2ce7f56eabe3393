package queue

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
)

// active is the segment that the writer appends to: a mapped region, where its
// next record goes, and its live index. All fields are the writer goroutine's,
// until the segment is ended and handed on to be sealed.
type active struct {
	*region
	head header

	first     uint64 // sequence of the first record
	pos       int    // where the next record goes
	limit     int    // records must end here: reserved, with room for the end word
	scribbled int    // end of the bytes after pos that a Reserve has given out
	reserved  int    // body bytes that the latest Reserve gave out; -1 for none

	extent
	indexed int64      // offset of the latest index entry
	start   indexEntry // the first entry, while side is nil
	side    liveIndex  // the live index, made when there is a second entry

	trailed bool // the sealer's: the trailer may have been written
	durable bool // of one that has ended: Group.Sync has returned since
	handed  bool // of one that has ended: Group.Seal has been called since; guarded by sealer.mu
}

// newActive wraps a region that holds no record yet.
func newActive(g *region) *active {
	s := &active{region: g, pos: headerPage, extent: noExtent, indexed: notIndexed, reserved: -1}
	s.setLimit()
	return s
}

// setLimit takes over the region's reserved size.
func (s *active) setLimit() { s.limit = int(s.size.Load()) - endSize }

// grow reserves space for a record with a body of n bytes.
func (s *active) grow(n int) error {
	if err := s.ensure(int64(s.pos + RecordSize(n) + endSize)); err != nil {
		return err
	}
	s.setLimit()
	return nil
}

// fits tells whether a record with a body of n bytes is within the planned capacity.
func (s *active) fits(n int) bool {
	return int64(s.pos+RecordSize(n)+endSize) <= s.head.capacity || s.pos == headerPage
}

// commit makes the record at pos, whose body of n bytes is in place, visible.
// The one store of its length word is the commit point: before it, the record is
// not there; after it, every reader and every recovery sees all of it.
func (s *active) commit(r *Record, seq uint64, n int) error {
	due := indexDue(int64(s.pos), s.indexed, r.Flags)
	if due {
		if err := s.indexRoom(); err != nil {
			return err
		}
	}
	if used := s.pos + recordHeader + n; s.scribbled > used {
		clear(s.mem[used:s.scribbled]) // the next length word must be zero
	}
	s.scribbled, s.reserved = 0, -1
	putRecord(s.mem[s.pos:], r, seq, n)
	s.extent.add(r.Time, r.EventTime)
	storeWord(s.mem, s.pos, uint32(n)+1)
	if due {
		s.addIndex(r, seq)
	}
	s.pos += RecordSize(n)
	return nil
}

// indexRoom makes sure that addIndex cannot fail.
func (s *active) indexRoom() error {
	if s.side != nil {
		return s.side.room()
	}
	if s.pos == headerPage {
		return nil // the first entry waits for a second one
	}
	side, err := s.newIndex(1)
	if err != nil {
		return err
	}
	s.side = side
	s.side.add(s.start)
	return nil
}

// newIndex makes the live index, with room for n entries.
func (s *active) newIndex(n int) (liveIndex, error) {
	if s.small {
		return &sidefile{path: sidecarPath(s.path), first: s.first}, nil
	}
	side, err := createSidecar(sidecarPath(s.path), s.reserve, s.first, sidecarHeader+int64(n)*entrySize)
	if err != nil {
		return nil, err
	}
	return side, nil
}

// addIndex adds the entry of the record at pos.
func (s *active) addIndex(r *Record, seq uint64) {
	e := indexEntry{seq: seq, offset: int64(s.pos), extent: s.extent, flags: uint64(r.Flags)}
	s.indexed = e.offset
	if s.side == nil {
		s.start = e
		return
	}
	s.side.add(e)
}

// end stores the end word: from here on the segment takes no record, and readers
// go on to the next one.
func (s *active) end() { storeWord(s.mem, s.pos, endWord) }

// closeAll takes the mappings down. The files stay.
func (s *active) closeAll() error {
	var err error
	if s.side != nil {
		err = s.side.close()
	}
	return errors.Join(err, s.region.close())
}

// segmentMaker makes segments under temporary names and gives them their own. It
// may be used by several goroutines.
type segmentMaker struct {
	dir     string
	options *Options
	made    atomic.Uint64 // temporary names given out: each is used once
}

// temp gives a new temporary name.
func (m *segmentMaker) temp(ext string) string {
	return filepath.Join(m.dir, fmt.Sprintf("making-%d%s%s", m.made.Add(1), ext, tempExt))
}

// create makes a segment of the planned capacity under a temporary name, with
// its first need bytes reserved.
func (m *segmentMaker) create(capacity, need int64) (*active, error) {
	grow, mapped := m.growth(capacity)
	size := grow.next(0, need)
	g, err := createRegion(m.temp(segmentExt), size, mapped, grow)
	if least := alignUp(need, pageSize); errors.Is(err, ErrFull) && least < size {
		g, err = createRegion(m.temp(segmentExt), least, mapped, grow)
	}
	if err != nil {
		return nil, err
	}
	s := newActive(g)
	s.head.capacity = capacity
	return s, nil
}

// growth says how a segment of the planned capacity gets its space, and how much is
// to be mapped from the beginning.
func (m *segmentMaker) growth(capacity int64) (grow growth, mapped int64) {
	grow = growth{reserve: m.options.reserve, first: minStep}
	switch {
	case m.options.later:
		grow.small, grow.fill = true, m.options.fill
		return grow, 0
	case m.options.ManualRoll:
		return grow, max(capacity, mapBytes)
	}
	grow.planned = capacity
	return grow, capacity
}

// publish writes the header page and gives the segment its name. The rename is
// the point from which readers find it; a crash before leaves a temporary file.
func (m *segmentMaker) publish(s *active, first uint64, meta []byte) error {
	s.first = first
	s.head.first, s.head.meta = first, meta
	s.head.put(s.mem)
	path := segmentPath(m.dir, first)
	if side, ok := s.side.(*sidecar); ok {
		side.begin(first)
		if err := side.rename(sidecarPath(path)); err != nil {
			return err
		}
	}
	return s.region.rename(path)
}

// discard removes the segment's files.
func (s *active) discard() error {
	var err error
	if s.side != nil {
		err = s.side.discard()
	}
	return errors.Join(err, s.region.discard())
}
