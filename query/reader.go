package query

import (
	"context"
	"errors"
	"io"

	"chronicle/market"
	"chronicle/store/queue"
)

// reader gives the records of one stream that a window may include, in the
// stream's order, across tiers. It opens one segment at a time.
type reader struct {
	a    *Archive
	id   streamID
	want window

	plan *plan
	choice
	at    int  // the segment being read, or to be opened next
	walk  walk // walk.handle is nil between segments
	watch orderWatch

	def        *market.Definition // of the last record given
	fresh      bool               // that record does not follow the one given before it
	last       uint64             // its sequence; 0 none
	runningMax int64              // of the clock, up to that record
	records    int64              // given so far
	opened     int                // segments
}

// newReader plans a stream. It answers nil, nil when the stream does not exist.
func (a *Archive) newReader(ctx context.Context, id streamID, want window) (*reader, error) {
	r := &reader{a: a, id: id, want: want, runningMax: noTime}
	p, err := a.plan(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(p.segs) == 0 {
		p.close()
		return nil, p.lost
	}
	if err := want.checkHoles(p); err != nil {
		p.close()
		return nil, err
	}
	r.plan, r.choice = p, want.choose(p.segs)
	return r, nil
}

// close gives back everything that the reader holds.
func (r *reader) close() {
	r.leave()
	r.plan.close()
}

// leave closes the segment being read.
func (r *reader) leave() {
	if r.walk.handle != nil {
		r.walk.handle.putCursor(r.walk.cursor)
		r.a.release(r.walk.seg, r.walk.handle)
		r.walk.handle = nil
	}
}

// next gives the next record, valid until the next call; io.EOF after the last
// one. fresh and def are those of the record.
func (r *reader) next(ctx context.Context) (queue.Record, error) {
	for {
		if r.walk.handle == nil {
			if err := r.enter(ctx); err != nil {
				return queue.Record{}, err
			}
		}
		rec, err := r.step()
		switch {
		case err == nil:
			r.fresh = r.last == 0 || rec.Seq != r.last+1
			r.last = rec.Seq
			r.records++
			r.runningMax = max(r.runningMax, r.want.clock.of(&rec))
			return rec, nil
		case !errors.Is(err, io.EOF):
			return rec, err
		}
		if err := r.advance(); err != nil {
			return rec, err
		}
	}
}

// step gives the segment's next record; io.EOF when the window can include no
// more of them.
func (r *reader) step() (queue.Record, error) {
	rec, err := r.walk.next()
	switch {
	case err == nil && r.watch.take(&rec):
		r.walk.want = 0 // what comes next need not follow on this record
		return rec, io.EOF
	case errors.Is(err, io.EOF) && r.walk.seg.sealed:
		r.watch.finish(r.walk.handle)
	}
	return rec, err
}

// advance leaves the segment just read and checks that what comes next in the
// plan begins where it ended.
func (r *reader) advance() error {
	ended := r.walk.want // 0: nothing was read of it
	r.leave()
	r.at++
	if r.at < len(r.plan.segs) && ended != 0 && r.plan.segs[r.at].first != ended {
		return r.hole(ended)
	}
	return nil
}

// hole says that the next segment does not follow, unless that was found to
// concern no time of the window when the plan was made.
func (r *reader) hole(ended uint64) error {
	prev, next := *r.plan.segs[r.at-1], r.plan.segs[r.at]
	if prev.sealed && !next.follows(&prev) {
		return nil
	}
	prev.sealed, prev.last = true, ended-1
	return (&plan{id: r.id, segs: []*segment{&prev, next}}).hole(1)
}

// enter opens the next segment that is needed, planning anew if it has moved.
func (r *reader) enter(ctx context.Context) error {
	for range maxReplans {
		for r.at < len(r.plan.segs) && !r.need[r.at] {
			r.at++
		}
		if r.at == len(r.plan.segs) {
			return io.EOF
		}
		err := r.open(ctx)
		if !errors.Is(err, errMoved) {
			return err
		}
		if err := r.replan(ctx); err != nil {
			return err
		}
	}
	return unavailable(nil, "%s: planned %d times and the segment of record %d was gone each time: run `chronicle fsck`", r.id, maxReplans, r.last+1)
}

// replan makes a new plan and finds the place in it: the segment that was to be
// opened, which has moved but begins with the same record.
func (r *reader) replan(ctx context.Context) error {
	first := r.plan.segs[r.at].first
	p, err := r.a.plan(ctx, r.id)
	if err != nil {
		return err
	}
	at := p.find(first)
	if at < 0 {
		p.close()
		return damaged(nil, "%s: the segment with record %d is gone", r.id, first)
	}
	if err := r.want.checkHoles(p); err != nil {
		p.close()
		return err
	}
	r.plan.close()
	r.plan, r.choice, r.at = p, r.want.choose(p.segs), at
	return nil
}

// open opens segment r.at and goes to the first record that the window may
// include, or for a stateful one to the snapshot before it.
func (r *reader) open(ctx context.Context) error {
	s := r.plan.segs[r.at]
	h, err := r.a.open(ctx, r.id, s)
	if err != nil {
		return err
	}
	r.opened++
	c := h.cursor()
	r.walk = walk{id: r.id, seg: s, handle: h, cursor: c}
	r.watch.begin(&r.want, h)
	r.def = &h.meta.Definition
	r.runningMax = max(r.runningMax, r.carry[r.at])
	if err := r.seek(s, c, r.carry[r.at]); err != nil {
		r.leave()
		return readError(r.id, s, s.first, err)
	}
	return nil
}

// seek skips what is certainly before the window: records whose running maximum
// is before its start, and so their own times too. A segment that continues the
// one just read is read from its first record.
func (r *reader) seek(s *segment, c *queue.Cursor, carry int64) error {
	switch {
	case r.last != 0 && r.last+1 == s.first || carry >= r.want.start || r.want.start <= noTime+1 || r.want.gaps:
		r.walk.want = s.first
		return c.SeekSeq(s.first)
	case r.want.stateful:
		return c.SeekKey(r.want.clock.queueClock(), r.want.start-1)
	}
	return c.SeekTime(r.want.clock.queueClock(), r.want.start)
}
