package query

import (
	"math"

	"chronicle/market"
)

// window is what one range wants of one stream.
type window struct {
	clock      Clock
	start, end int64 // [start, end) by clock
	stateful   bool  // every record counts, from a snapshot on
	gaps       bool  // the gap schema: rows are chosen by the interval in the marker
	oneMore    bool  // the segment after the last one counts too: it begins with the marker of a gap before it
}

// window gives what the range wants of a stream.
func (spec *rangeSpec) window() window {
	w := window{
		clock: spec.Clock, start: spec.Start, end: spec.end,
		stateful: spec.schema.name == SchemaMBP, gaps: spec.schema.name == SchemaGap, oneMore: spec.OnGap == GapError,
	}
	if w.gaps {
		w.clock, w.oneMore = ClockRecv, false // markers are made here: they have no other time
	}
	return w
}

// needs tells whether segment s may hold a record of the window. A record
// without a time of its own counts at the running maximum, which is at least
// carry, that of the segments before.
func (w *window) needs(s *segment, carry int64) bool {
	sp := s.span(w.clock)
	least, most := sp.min, max(sp.max, carry)
	if carry != noTime && (least == noTime || carry < least) {
		least = carry
	}
	if !s.sealed {
		most = math.MaxInt64 // it grows
	}
	if w.gaps {
		return (s.marked || !s.sealed) && most >= w.start
	}
	return most != noTime && most >= w.start && least < w.end
}

// choice is what a window takes from the segments of a plan.
type choice struct {
	need  []bool  // which segments to read
	carry []int64 // the running maximum of the clock before each of them
}

// choose finds the segments that the window needs.
func (w *window) choose(segs []*segment) choice {
	c := choice{need: make([]bool, len(segs)), carry: make([]int64, len(segs))}
	carry, last := noTime, -1
	for i, s := range segs {
		c.carry[i] = carry
		if c.need[i] = w.needs(s, carry); c.need[i] {
			last = i
		}
		carry = max(carry, s.span(w.clock).max)
	}
	if w.oneMore && last+1 < len(segs) {
		c.need[last+1] = true
	}
	return c
}

// checkHoles fails if records are missing, between two segments or at the end, at
// a time that the window includes.
func (w *window) checkHoles(p *plan) error {
	before, end := noTime, w.end // before: the greatest time up to the hole
	if w.gaps {
		end = math.MaxInt64 // a later marker may tell of an earlier gap
	}
	for i, s := range p.segs {
		if i > 0 && !s.follows(p.segs[i-1]) {
			after := s.span(w.clock).min
			if (before == noTime || before < end) && (after == noTime || after >= w.start) {
				return p.hole(i)
			}
		}
		before = max(before, s.span(w.clock).max)
	}
	if before < end {
		return p.lost
	}
	return nil
}

// at gives the time at which a record counts: its own, or the running maximum
// where it has none.
func (w *window) at(own, runningMax int64) int64 {
	if own == market.UndefTimestamp {
		return runningMax
	}
	return own
}

// has tells whether the window includes a time.
func (w *window) has(t int64) bool { return t != noTime && t >= w.start && t < w.end }
