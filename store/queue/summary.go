package queue

import (
	"maps"
	"math"
)

// Clock says which of a record's two times a search goes by.
type Clock uint8

// The clocks.
const (
	ByTime      Clock = iota // Record.Time
	ByEventTime              // Record.EventTime, where it is defined
)

// extent holds the running extremes of the times in a segment, up to and
// including some record. NoTime stands for an event time that none had yet.
type extent struct {
	minTime, maxTime   int64
	minEvent, maxEvent int64
}

// noExtent is the extent of no record.
var noExtent = extent{minTime: math.MaxInt64, maxTime: math.MinInt64, minEvent: NoTime, maxEvent: NoTime}

// add takes one more record in.
func (e *extent) add(time, event int64) {
	if time > e.maxTime {
		e.maxTime = time
	}
	if time < e.minTime {
		e.minTime = time
	}
	if event > e.maxEvent {
		e.maxEvent = event // NoTime is the smallest value and never gets here
	}
	if event != NoTime && (event < e.minEvent || e.minEvent == NoTime) {
		e.minEvent = event
	}
}

// max gives the running maximum by the clock.
func (e *extent) max(clock Clock) int64 {
	if clock == ByEventTime {
		return e.maxEvent
	}
	return e.maxTime
}

// indexStride is the distance, in bytes of records, after which a record gets an
// entry in the sparse index even if it is no Key.
const indexStride = 32 << 10

// notIndexed is the offset of the latest entry before there is one: it makes an
// entry due at the first record.
const notIndexed = headerPage - indexStride

// indexDue tells whether the record at off gets an entry, given the offset of the latest one.
func indexDue(off, latest int64, flags uint16) bool {
	return flags&FlagKey != 0 || off-latest >= indexStride
}

// indexEntry is one entry of the sparse index: where a record is, and the
// extremes of all records of the segment up to and including it.
type indexEntry struct {
	seq    uint64
	offset int64
	extent
	flags uint64 // the record's flags
}

func (e *indexEntry) key() bool { return e.flags&uint64(FlagKey) != 0 }

// Index entry, little endian, in the live index and in the footer:
//
//	 0 u64 seq          24 i64 max time    48 u64 flags of the record
//	 8 u64 offset       32 i64 min event
//	16 i64 min time     40 i64 max event
const entrySize = 56

func (e *indexEntry) put(b []byte) {
	b = b[:entrySize]
	le.PutUint64(b[0:], e.seq)
	le.PutUint64(b[8:], uint64(e.offset))
	le.PutUint64(b[16:], uint64(e.minTime))
	le.PutUint64(b[24:], uint64(e.maxTime))
	le.PutUint64(b[32:], uint64(e.minEvent))
	le.PutUint64(b[40:], uint64(e.maxEvent))
	le.PutUint64(b[48:], e.flags)
}

func parseEntry(b []byte) indexEntry {
	b = b[:entrySize]
	return indexEntry{
		seq: le.Uint64(b[0:]), offset: int64(le.Uint64(b[8:])),
		extent: extent{
			minTime: int64(le.Uint64(b[16:])), maxTime: int64(le.Uint64(b[24:])),
			minEvent: int64(le.Uint64(b[32:])), maxEvent: int64(le.Uint64(b[40:])),
		},
		flags: le.Uint64(b[48:]),
	}
}

// summary is what a walk over a segment's records finds.
type summary struct {
	extent
	first, last uint64 // last is first-1 when there is no record
	keys        uint64
	kinds       map[uint16]uint64
	index       []indexEntry
	end         int64 // offset after the last record
	ended       bool  // the end word stands there
}

func newSummary(first uint64) *summary {
	return &summary{extent: noExtent, first: first, last: first - 1, kinds: map[uint16]uint64{}, end: headerPage}
}

func (s *summary) records() uint64 { return s.last + 1 - s.first }

// add takes in the record r that fills [off, end).
func (s *summary) add(r *Record, off, end int64) {
	s.extent.add(r.Time, r.EventTime)
	s.last, s.end = r.Seq, end
	s.kinds[r.Kind]++
	if r.Key() {
		s.keys++
	}
	if indexDue(off, s.indexed(), r.Flags) {
		s.index = append(s.index, indexEntry{seq: r.Seq, offset: off, extent: s.extent, flags: uint64(r.Flags)})
	}
}

// indexed gives the offset of the latest index entry.
func (s *summary) indexed() int64 {
	if len(s.index) == 0 {
		return notIndexed
	}
	return s.index[len(s.index)-1].offset
}

// equal tells whether two walks found the same. It is how a footer is checked
// against the records before it.
func (s *summary) equal(o *summary) bool {
	if s.extent != o.extent || s.first != o.first || s.last != o.last || s.keys != o.keys || s.end != o.end {
		return false
	}
	if len(s.index) != len(o.index) || !maps.Equal(s.kinds, o.kinds) {
		return false
	}
	for i := range s.index {
		if s.index[i] != o.index[i] {
			return false
		}
	}
	return true
}
