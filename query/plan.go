package query

import (
	"context"
	"math"
	"sort"

	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// plan is the ordered, non-overlapping list of the segments of one stream, as it
// was at one moment after the request came. It owns the handles of segments that
// were still being written.
type plan struct {
	a    *Archive
	id   streamID
	segs []*segment
	live []*handle
	lost error // not nil: records after the last segment are missing
}

// plan lists the segments of a stream. The hot queue is listed before the
// manifest is read: a segment that is moved in between is then in both, and
// never in neither. How far the queue's ended segments go is asked before that:
// all of them are then in one of the lists.
func (a *Archive) plan(ctx context.Context, id streamID) (*plan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &plan{a: a, id: id}
	ended, _, err := queue.ReadTable(a.streamDir(id))
	if err != nil {
		return nil, unavailable(err, "%s: the table of its clean queue cannot be read", id)
	}
	hot, err := p.listHot()
	if err != nil {
		p.close()
		return nil, err
	}
	tiered, err := a.tiered(ctx, id)
	if err == nil {
		p.segs, err = merge(id, hot, tiered)
	}
	if err == nil {
		err = p.checkEnd(ctx, ended.NextSeq)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// checkEnd finds out whether the plan lacks records at its end that the queue once
// had, next being the first sequence that no ended segment holds.
func (p *plan) checkEnd(ctx context.Context, next uint64) error {
	first := uint64(1)
	if n := len(p.segs); n > 0 {
		first = p.segs[n-1].last + 1
	}
	if next <= first {
		return nil
	}
	removed, err := p.a.index.Removed(ctx, manifest.StreamID{Venue: p.id.Venue, Symbol: p.id.Symbol, Stream: p.id.Stream})
	if err != nil {
		return err
	}
	for _, r := range removed {
		if r.Last+1 >= next {
			return nil // deleted on purpose
		}
	}
	p.lost = damaged(nil, "%s: records %d to %d are missing at the stream's end", p.id, first, next-1)
	return nil
}

// close gives back what the plan holds.
func (p *plan) close() {
	for _, h := range p.live {
		p.a.handles.put(h)
	}
	p.live = nil
}

// carry gives the running maximum of the clock at the beginning of segment i:
// that of everything before it.
func (p *plan) carry(c Clock, i int) int64 {
	t := noTime
	for _, s := range p.segs[:i] {
		t = max(t, s.span(c).max)
	}
	return t
}

// locate gives the last segment that can hold the state at t: the last one that
// begins with a running maximum of at most t and whose first record may be at or
// before t. -1 when there is none. The caller goes one back when that record turns
// out to be later. On the event clock the first record may have no time of its
// own, so that only reading it tells.
func (p *plan) locate(c Clock, t int64) int {
	at, carry := -1, noTime
	for i, s := range p.segs {
		if carry > t {
			break
		}
		if c == ClockEvent || s.recv.min <= t {
			at = i
		}
		carry = max(carry, s.span(c).max)
	}
	return at
}

// find gives the segment that holds record seq; -1 when there is none.
func (p *plan) find(seq uint64) int {
	i := sort.Search(len(p.segs), func(i int) bool { return p.segs[i].first > seq }) - 1
	if i < 0 || p.segs[i].sealed && p.segs[i].last < seq {
		return -1
	}
	return i
}

// covered gives the least and greatest time of the clock in the whole stream.
func (p *plan) covered(c Clock) span {
	all := span{math.MaxInt64, noTime}
	for _, s := range p.segs {
		if sp := s.span(c); sp.max != noTime {
			all.min, all.max = min(all.min, sp.min), max(all.max, sp.max)
		}
	}
	if all.max == noTime {
		all.min = noTime
	}
	return all
}

// hole describes the records that are missing before segment i.
func (p *plan) hole(i int) error {
	prev, next := p.segs[i-1], p.segs[i]
	return damaged(nil, "%s: records %d to %d are missing between %v and %v", p.id, prev.last+1, next.first-1, prev, next)
}
