package fsck

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// piece is one segment of a stream, in a tier or in the hot queue.
type piece struct {
	ref    manifest.Ref
	row    *manifest.Row // nil: hot only
	path   string        // the hot file; empty: in a tier
	sealed bool
}

func (p *piece) where() string {
	if p.path != "" {
		return p.path
	}
	return p.row.Location().String()
}

// streamCheck checks one stream.
type streamCheck struct {
	*checker
	id     manifest.StreamID
	report *Report // of this stream
	proof  *proof  // deep only; belongs to whoever checks the stream
}

// checkStreams checks streams side by side. The first error ends it.
func (c *checker) checkStreams(ctx context.Context, ids []manifest.StreamID) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reports := make([]*Report, len(ids))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(ids)) {
		all.Go(func() {
			proof := newProof()
			for i := int(next.Add(1)) - 1; i < len(ids) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				one := streamCheck{checker: c, id: ids[i], report: &Report{}, proof: proof}
				reports[i] = one.report
				if err := one.check(ctx); err != nil {
					cancel(fmt.Errorf("check stream %v: %w", ids[i], err))
				}
			}
		})
	}
	all.Wait()
	for _, r := range reports {
		if r != nil {
			c.report.take(r)
		}
	}
	return context.Cause(ctx)
}

// rows gives what the manifest lists of the stream.
func (c *streamCheck) rows() []manifest.Row {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Stream(c.id)
}

// row gives the manifest's row of a segment as it is now.
func (c *streamCheck) row(ref manifest.Ref) (manifest.Row, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Segment(ref)
}

// pieces puts the stream together: what the manifest lists, and what the queue has
// besides.
func (c *streamCheck) pieces() []*piece {
	id := c.id
	byseq := map[uint64]*piece{}
	var all []*piece
	for _, row := range c.rows() {
		p := &piece{ref: row.Ref(), row: &row, sealed: true}
		byseq[row.FirstSeq] = p
		all = append(all, p)
	}
	for _, file := range c.hot[id] {
		p := byseq[file.FirstSeq]
		switch {
		case p == nil:
			ref := manifest.Ref{Venue: id.Venue, Symbol: id.Symbol, Stream: id.Stream, FirstSeq: file.FirstSeq}
			all = append(all, &piece{ref: ref, path: file.Path, sealed: file.Sealed})
		case !p.row.Committed:
			p.path = file.Path // on its way out: still here
		default:
			c.checkCopy(p, file)
		}
	}
	slices.SortStableFunc(all, func(a, b *piece) int { return cmp.Compare(a.ref.FirstSeq, b.ref.FirstSeq) })
	return all
}

// checkCopy looks at a hot file of a segment that the archive lists.
func (c *streamCheck) checkCopy(p *piece, file queue.SegmentFile) {
	if c.hasLeftover(p.ref) {
		return // reported with the leftovers
	}
	seg, err := queue.OpenSegment(file.Path)
	if isNone(err) {
		return
	}
	if err != nil {
		c.report.add(Error, QueueCorrupt, file.Path, "the archive has the segment: move this file away", "%v", err)
		return
	}
	defer seg.Close()
	row, err := manifest.Describe(seg.Info(), p.row.Location())
	if err != nil || !row.SameContent(&p.row.Segment) {
		c.report.add(Error, Overlap, file.Path, "find out which is right, and move the other away", "%v holds another segment of that name", p.row.Location())
		return
	}
	c.report.add(Warning, Duplicate, file.Path, "run the tier agent", "%v holds the same segment", p.row.Location())
}

func (c *streamCheck) hasLeftover(ref manifest.Ref) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.HasLeftover(ref)
}

// check checks the stream's segments one after the other.
func (c *streamCheck) check(ctx context.Context) error {
	next := uint64(1) // 0: not known, because the segment before cannot be read
	c.proof.begin(c.report)
	for i, p := range c.pieces() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !c.checkOrder(p, i == 0, next) {
			c.proof.lose()
		}
		info, err := c.checkSegment(ctx, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.proof.lose()
		}
		switch {
		case p.row != nil:
			c.report.Checked.Segments++
			next = max(next, p.row.LastSeq+1)
		case err == nil:
			next = max(next, info.LastSeq+1)
		default:
			next = 0
		}
	}
	c.proof.end()
	if len(c.hot[c.id]) == 0 && next > 0 {
		c.checkNumbering(next - 1)
	}
	return nil
}

// checkOrder checks that a segment begins where the one before it ends.
func (c *streamCheck) checkOrder(p *piece, first bool, next uint64) bool {
	begin := p.ref.FirstSeq
	switch {
	case next == 0 || begin == next:
		return true
	case begin < next:
		c.report.add(Error, Overlap, p.where(), "find out which is right, and move the other away", "begins with sequence %d, but %d was there before", begin, next-1)
	case c.removed(next, begin-1):
	case first:
		c.report.add(Error, StreamStart, p.where(), "restore the segments before it", "the stream's first segment begins with sequence %d", begin)
	default:
		c.report.add(Error, SequenceGap, p.where(), "restore the segments in between", "sequences %d to %d of %v are missing", next, begin-1, p.ref.StreamID())
	}
	return false
}

// removed tells whether a range of sequences was deleted on record.
func (c *streamCheck) removed(from, to uint64) bool {
	c.mu.Lock()
	ranges := c.state.Removed(c.id)
	c.mu.Unlock()
	slices.SortFunc(ranges, func(a, b manifest.SeqRange) int { return cmp.Compare(a.First, b.First) })
	for _, r := range ranges {
		if r.First <= from && from <= r.Last {
			from = r.Last + 1
		}
	}
	return from > to
}
