package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

	walk  walk         // of the segment that is open; walk.handle is nil where none is
	ahead queue.Record // the first record after the cut, valid until walk goes on
	ended bool         // there is none in the segment
}

// run plans once and answers, or fails with errMoved.
func (q *bookQuery) run(ctx context.Context) (*BookAnswer, error) {
	var err error
	if q.plan, err = q.a.plan(ctx, q.id); err != nil {
		return nil, err
	}
	defer q.plan.close()
	defer q.leave()
	if len(q.plan.segs) == 0 {
		return nil, cmp.Or(q.plan.lost, q.a.noStream(ctx, q.id))
	}
	r := q.a.replayers.Get().(*replayer)
	defer q.a.replayers.Put(r)
	if r.doubts, err = q.a.doubts(q.id.SymbolID); err != nil {
		return nil, err
	}
	for at := q.plan.locate(q.req.Clock, q.req.At); at >= 0; at-- {
		found, err := q.replay(ctx, at, r)
		if err != nil {
			return nil, err
		}
		if !found {
			continue // even its first record is later: the state is that at the end of the one before
		}
		from := q.walk.handle.place
		if err := q.lookAhead(ctx, at, r); err != nil {
			return nil, err
		}
		return q.answer(r, q.plan.segs[at].proof(from))
	}
	return nil, q.outside()
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
func (q *bookQuery) answer(r *replayer, read SegmentProof) (*BookAnswer, error) {
	if r.degraded && q.req.OnGap == GapError {
		return nil, &Error{
			Code: DataLoss, Field: "on_gap", Given: string(GapError), Allowed: string(GapMark) + ", " + string(GapNull),
			Detail: fmt.Sprintf("the book of %s at %s may be wrong: records are missing before it", q.id.SymbolID, FormatTime(q.req.At)),
		}
	}
	ans := &BookAnswer{
		Symbol: q.id.SymbolID.String(), Definition: r.def, At: q.req.At, Clock: q.req.Clock, Depth: q.req.Depth,
		TsEvent: r.tsEvent, TsRecv: r.tsRecv, Sequence: r.sequence, RawSequence: r.rawSequence,
		Bids: []book.Level{}, Asks: []book.Level{}, Condition: condition(r.degraded),
		Proof: Proof{
			Snapshot: r.snapshot, Segments: []SegmentProof{read}, LastSeq: r.last, LastRawSeq: r.rawSequence,
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
