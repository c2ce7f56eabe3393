package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/queue"
)

// maxReplans bounds how often a request plans anew because segments move. A
// segment moves a few times in its life: more in one request means that
// something other than the tier agent removes files.
const maxReplans = 8

// BookAt gives the book as it stood at req.At: after every record whose running
// maximum of the clock's time is at most req.At. A time before the first record
// is a NotFound; one after the last gives the last known book, and the proof
// tells its age.
func (a *Archive) BookAt(ctx context.Context, req BookRequest) (*BookAnswer, error) {
	if err := req.normalize(); err != nil {
		return nil, err
	}
	id, err := a.ResolveSymbol(ctx, req.Symbol)
	if err != nil {
		return nil, asError(err)
	}
	q := bookQuery{a: a, req: &req, id: streamID{id, market.StreamBook}}
	for range maxReplans {
		var ans *BookAnswer
		if ans, err = q.run(ctx); !errors.Is(err, errMoved) {
			return ans, asError(err)
		}
	}
	return nil, unavailable(err, "%s: planned %d times and its segments were gone each time: run `chronicle fsck`", q.id, maxReplans)
}

// bookQuery answers one BookRequest.
type bookQuery struct {
	a    *Archive
	req  *BookRequest
	id   streamID
	plan *plan
	from place // of the segment that the replay ended in
}

// run plans once and answers, or fails with errMoved.
func (q *bookQuery) run(ctx context.Context) (*BookAnswer, error) {
	var err error
	if q.plan, err = q.a.plan(ctx, q.id); err != nil {
		return nil, err
	}
	defer q.plan.close()
	if len(q.plan.segs) == 0 {
		return nil, q.a.noStream(ctx, q.id)
	}
	r := q.a.replayers.Get().(*replayer)
	defer q.a.replayers.Put(r)
	at, next := q.plan.locate(q.req.Clock, q.req.At), -1
	for ; at >= 0; at-- {
		found, ended, err := q.replay(ctx, at, r)
		if err != nil {
			return nil, err
		}
		if found {
			if ended {
				next = at + 1
			}
			break
		}
	}
	if at < 0 {
		return nil, q.outside()
	}
	if next > 0 && next < len(q.plan.segs) {
		if q.plan.segs[next].first != r.last+1 {
			return nil, q.plan.hole(next)
		}
		if err := q.lookInto(ctx, next, r); err != nil {
			return nil, err
		}
	}
	return q.answer(r, at)
}

// lookInto looks ahead into the segment that begins after the cut.
func (q *bookQuery) lookInto(ctx context.Context, at int, r *replayer) error {
	s := q.plan.segs[at]
	h, err := q.a.open(ctx, q.id, s)
	if err != nil {
		return err
	}
	defer q.a.release(s, h)
	c := h.cursor()
	defer h.putCursor(c)
	if err := c.SeekSeq(s.first); err != nil {
		return readError(q.id, s, s.first, err)
	}
	w := walk{id: q.id, seg: s, handle: h, cursor: c}
	rec, err := w.next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return q.lookAhead(r, &w, rec)
}

// lookAhead asks the first records after the cut whether the stream was already
// incomplete at it. On the event clock a marker, which has no time of its own,
// is before the cut as soon as the event before it is.
func (q *bookQuery) lookAhead(r *replayer, w *walk, rec queue.Record) error {
	if q.req.Clock != ClockRecv {
		return nil
	}
	for {
		missing, more, err := r.announces(&rec, q.req.At)
		if err != nil {
			return damaged(err, "%s: %v: record %d", q.id, w.seg, rec.Seq)
		}
		r.degraded = r.degraded || missing
		if !more {
			return nil
		}
		if rec, err = w.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// replay brings the book to req.At inside one segment. found is false when even
// its first record is later; ended is true when its last record is not.
func (q *bookQuery) replay(ctx context.Context, at int, r *replayer) (found, ended bool, err error) {
	s := q.plan.segs[at]
	h, err := q.a.open(ctx, q.id, s)
	if err != nil {
		return false, false, err
	}
	defer q.a.release(s, h)
	q.from = h.place
	if ok, err := q.begun(at, s, h); !ok {
		return false, false, err
	}
	c := h.cursor()
	defer h.putCursor(c)
	if err := c.SeekKey(q.req.Clock.queueClock(), q.req.At); err != nil {
		return false, false, readError(q.id, s, s.first, err)
	}
	r.begin(q.id, &h.meta.Definition)
	w := walk{id: q.id, seg: s, handle: h, cursor: c}
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return false, false, ctx.Err()
		}
		rec, err := w.next()
		if errors.Is(err, io.EOF) {
			return n > 0, true, nil
		}
		if err != nil {
			return false, false, err
		}
		if q.req.Clock.of(&rec) > q.req.At {
			if n == 0 {
				return false, false, nil
			}
			return true, false, q.lookAhead(r, &w, rec)
		}
		if _, err := r.apply(&rec, s); err != nil {
			return false, false, err
		}
	}
}

// begun tells whether the clock has begun by req.At: on the event clock the
// records before the first one with a time of its own are at no time.
func (q *bookQuery) begun(at int, s *segment, h *handle) (bool, error) {
	if q.req.Clock != ClockEvent || q.plan.carry(ClockEvent, at) != noTime {
		return true, nil
	}
	c := h.cursor()
	defer h.putCursor(c)
	if err := c.SeekTime(queue.ByEventTime, noTime+1); err != nil {
		return false, readError(q.id, s, s.first, err)
	}
	rec, err := c.Next()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, readError(q.id, s, s.first, err)
	}
	return rec.EventTime <= q.req.At, nil
}

// outside says that the archive begins after req.At.
func (q *bookQuery) outside() error {
	sp := q.plan.covered(q.req.Clock)
	e := &Error{
		Code: NotFound, Field: "at", Given: FormatTime(q.req.At),
		Detail: fmt.Sprintf("time outside the archive of %s (clock %s)", q.id.SymbolID, q.req.Clock),
	}
	if sp.max == noTime {
		e.Allowed = "the other clock: no record has a time on this one"
	} else {
		e.Allowed = fmt.Sprintf("%s to %s, or later for the last book", FormatTime(sp.min), FormatTime(sp.max))
	}
	return e
}

// answer reads the book out of the replayer.
func (q *bookQuery) answer(r *replayer, at int) (*BookAnswer, error) {
	if r.degraded && q.req.OnGap == GapError {
		return nil, &Error{
			Code: DataLoss, Field: "on_gap", Given: string(GapError), Allowed: string(GapMark) + ", " + string(GapNull),
			Detail: fmt.Sprintf("the book of %s at %s may be wrong: records are missing before it", q.id.SymbolID, FormatTime(q.req.At)),
		}
	}
	s := q.plan.segs[at]
	ans := &BookAnswer{
		Symbol: q.id.SymbolID.String(), Definition: r.def, At: q.req.At, Clock: q.req.Clock, Depth: q.req.Depth,
		TsEvent: r.tsEvent, TsRecv: r.tsRecv, Sequence: r.sequence, RawSequence: r.rawSequence,
		Bids: []book.Level{}, Asks: []book.Level{}, Condition: condition(r.degraded),
		Proof: Proof{
			Snapshot: r.snapshot, Segments: []SegmentProof{s.proof(q.from)}, LastSeq: r.last, LastRawSeq: r.rawSequence,
			Deltas: r.deltas, Digest: fmt.Sprintf("%016x", r.book.Digest()),
		},
	}
	if own := ans.own(); own != noTime {
		age := satSub(q.req.At, own)
		ans.Proof.StalenessNs = &age
	}
	if !r.degraded || q.req.OnGap != GapNull {
		ans.Bids = r.book.Levels(market.Bid, q.req.Depth, ans.Bids)
		ans.Asks = r.book.Levels(market.Ask, q.req.Depth, ans.Asks)
	}
	return ans, nil
}

// satSub gives a - b, or the nearest number that int64 holds.
func satSub(a, b int64) int64 {
	switch d := a - b; {
	case a >= b && d < 0:
		return math.MaxInt64
	case a < b && d >= 0:
		return math.MinInt64
	default:
		return d
	}
}
