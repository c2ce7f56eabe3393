package fsck

import (
	"cmp"
	"context"
	"slices"

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

// pieces puts a stream together: what the manifest lists, and what the queue has
// besides.
func (c *checker) pieces(id manifest.StreamID) []*piece {
	byseq := map[uint64]*piece{}
	var all []*piece
	for _, row := range c.state.Stream(id) {
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
func (c *checker) checkCopy(p *piece, file queue.SegmentFile) {
	if c.state.HasLeftover(p.ref) {
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

// checkStream checks a stream's segments one after the other.
func (c *checker) checkStream(ctx context.Context, id manifest.StreamID) error {
	next := uint64(1) // 0: not known, because the segment before cannot be read
	books := &replayer{id: id, report: c.report}
	for i, p := range c.pieces(id) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !c.checkOrder(p, i == 0, next) {
			books.lose()
		}
		info, err := c.checkSegment(ctx, p, books)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			books.lose()
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
	if len(c.hot[id]) == 0 && next > 0 {
		c.checkNumbering(id, next-1)
	}
	return nil
}

// checkOrder checks that a segment begins where the one before it ends.
func (c *checker) checkOrder(p *piece, first bool, next uint64) bool {
	begin := p.ref.FirstSeq
	switch {
	case next == 0 || begin == next:
		return true
	case begin < next:
		c.report.add(Error, Overlap, p.where(), "find out which is right, and move the other away", "begins with sequence %d, but %d was there before", begin, next-1)
	case c.removed(p.ref.StreamID(), next, begin-1):
	case first:
		c.report.add(Error, StreamStart, p.where(), "restore the segments before it", "the stream's first segment begins with sequence %d", begin)
	default:
		c.report.add(Error, SequenceGap, p.where(), "restore the segments in between", "sequences %d to %d of %v are missing", next, begin-1, p.ref.StreamID())
	}
	return false
}

// removed tells whether a range of sequences was deleted on record.
func (c *checker) removed(id manifest.StreamID, from, to uint64) bool {
	ranges := c.state.Removed(id)
	slices.SortFunc(ranges, func(a, b manifest.SeqRange) int { return cmp.Compare(a.First, b.First) })
	for _, r := range ranges {
		if r.First <= from && from <= r.Last {
			from = r.Last + 1
		}
	}
	return from > to
}
