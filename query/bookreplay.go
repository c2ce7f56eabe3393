package query

import (
	"context"
	"errors"
	"io"

	"chronicle/store/queue"
)

// enter opens a segment of the plan and leaves the one that was open.
func (q *bookQuery) enter(ctx context.Context, at int) error {
	q.leave()
	s := q.plan.segs[at]
	h, err := q.a.open(ctx, q.id, s)
	if err != nil {
		return err
	}
	q.walk = walk{id: q.id, seg: s, handle: h, cursor: h.cursor()}
	return nil
}

// leave gives back the segment that is open.
func (q *bookQuery) leave() {
	if q.walk.handle != nil {
		q.walk.handle.putCursor(q.walk.cursor)
		q.a.release(q.walk.seg, q.walk.handle)
		q.walk.handle = nil
	}
}

// replay brings the book to req.At inside one segment and stops at the first
// record after it. found is false when no record of the segment counts.
func (q *bookQuery) replay(ctx context.Context, at int, r *replayer) (found bool, err error) {
	if err := q.enter(ctx, at); err != nil {
		return false, err
	}
	if begun, err := q.begun(at); !begun {
		return false, err
	}
	w := &q.walk
	if err := w.cursor.SeekKey(q.req.Clock.queueClock(), q.req.At); err != nil {
		return false, readError(q.id, w.seg, w.seg.first, err)
	}
	r.begin(q.id, &w.handle.meta.Definition)
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		if q.ended, err = q.step(); err != nil {
			return false, err
		}
		if q.ended || q.req.Clock.of(&q.ahead) > q.req.At {
			return n > 0, nil
		}
		if _, err := r.apply(&q.ahead, w.seg); err != nil {
			return false, err
		}
	}
}

// step reads the next record into q.ahead; ended at the end of the segment.
func (q *bookQuery) step() (ended bool, err error) {
	q.ahead, err = q.walk.next()
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// begun tells whether the clock has begun by req.At: on the event clock the
// records before the first one with a time of its own are at no time.
func (q *bookQuery) begun(at int) (bool, error) {
	if q.req.Clock != ClockEvent || q.plan.carry(ClockEvent, at) != noTime {
		return true, nil
	}
	w := q.walk
	if err := w.cursor.SeekTime(queue.ByEventTime, noTime+1); err != nil {
		return false, readError(q.id, w.seg, w.seg.first, err)
	}
	rec, err := w.cursor.Next()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, readError(q.id, w.seg, w.seg.first, err)
	}
	return rec.EventTime <= q.req.At, nil
}

// lookAhead asks the first records after the cut whether the stream was already
// incomplete at it: a gap marker stands where the gap was noticed. They may be in
// later segments, and if the next one is missing the answer may be in it. On the
// event clock a marker, which has no time of its own, is before the cut as soon as
// the event before it is.
func (q *bookQuery) lookAhead(ctx context.Context, at int, r *replayer) (err error) {
	for {
		for q.ended {
			if at++; at == len(q.plan.segs) {
				return q.plan.lost
			}
			if err := q.follow(ctx, at); err != nil {
				return err
			}
		}
		if q.req.Clock != ClockRecv {
			return nil
		}
		missing, more, err := r.announces(&q.ahead, q.req.At)
		if err != nil {
			return damaged(err, "%s: %v: record %d", q.id, q.walk.seg, q.ahead.Seq)
		}
		if r.degraded = r.degraded || missing; !more {
			return nil
		}
		if q.ended, err = q.step(); err != nil {
			return err
		}
	}
}

// follow goes on to segment at, which must begin where the one before ended.
func (q *bookQuery) follow(ctx context.Context, at int) error {
	if q.plan.segs[at].first != q.walk.want {
		return q.plan.hole(at)
	}
	if err := q.enter(ctx, at); err != nil {
		return err
	}
	if err := q.walk.cursor.SeekSeq(q.walk.seg.first); err != nil {
		return readError(q.id, q.walk.seg, q.walk.seg.first, err)
	}
	q.walk.want = q.walk.seg.first
	var err error
	q.ended, err = q.step()
	return err
}
