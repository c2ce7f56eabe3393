package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"chronicle/book/audit"
	"chronicle/market"
	"chronicle/store/queue"
)

// stream is how far one book stream has been proved.
type stream struct {
	id     market.SymbolID
	first  uint64    // first sequence of the segment that holds the snapshot to go on from; 0 not begun
	proved uint64    // that snapshot's sequence
	keys   uint64    // snapshots of the segment up to and including it
	broken uint64    // first sequence of the last segment that could not be read
	caught time.Time // what was committed before has been looked at; guarded by Auditor.mu
}

func (s *stream) dir(clean string) string {
	return filepath.Join(clean, filepath.FromSlash(market.StreamPath(s.id.Venue, s.id.Symbol, market.StreamBook)))
}

// segment is one segment of the stream at hand, open.
type segment struct {
	*queue.Segment
	first, last uint64
	def         market.Definition
	newest      uint64 // sequence of its newest snapshot; 0 none
}

func openSegment(path string) (*segment, error) {
	q, err := queue.OpenSegment(path)
	if err != nil {
		return nil, err
	}
	g := &segment{Segment: q, first: q.Info().FirstSeq, last: q.Info().LastSeq}
	var meta market.StreamMeta
	if err = json.Unmarshal(q.Info().Meta, &meta); err == nil && q.Info().Records > 0 {
		g.newest, err = newestKey(q)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), q.Close())
	}
	g.def = meta.Definition
	return g, nil
}

// close closes the segment, if there is one.
func (g *segment) close() error {
	if g == nil {
		return nil
	}
	return g.Close()
}

// newestKey gives the sequence of the last snapshot of a segment that has records.
func newestKey(q *queue.Segment) (uint64, error) {
	c := q.Cursor()
	if err := c.SeekKey(queue.ByTime, math.MaxInt64); err != nil {
		return 0, err
	}
	r, err := c.Next()
	return r.Seq, err
}

// maxVisit is how many records of one stream are read before the next one has its turn.
const maxVisit = 1 << 17

// visit proves a stream up to its newest snapshot.
func (a *Auditor) visit(ctx context.Context, s *stream) error {
	started := a.pace.clock.now()
	a.at, a.reading = s, s.first
	if a.cfg.MaxLag > 0 && s.first != 0 && started.Sub(s.caught) > a.cfg.MaxLag {
		a.skip(s)
	}
	whole, err := a.prove(ctx, s)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // moved away just now: the next visit finds out
		a.unreadable(s, err)
	}
	if whole || err != nil {
		a.mu.Lock()
		s.caught = started
		a.mu.Unlock()
	}
	return nil
}

// prove goes on from the last proved snapshot. whole is false when it stopped
// before the newest one.
func (a *Auditor) prove(ctx context.Context, s *stream) (whole bool, err error) {
	g, err := a.enter(s)
	if g == nil || err != nil {
		return err == nil, err
	}
	next, err := a.successor(s, g)
	defer func() { err = errors.Join(err, g.close(), next.close()) }()
	if err != nil || next == nil && s.keys > 0 && g.newest <= s.proved {
		return err == nil, err
	}
	c := a.checker(g.def.BookType)
	before := c.Stats()
	defer func() { a.took(c.Stats(), before) }()
	c.Reset()
	a.known = 0
	if s.keys > 0 {
		a.known = s.proved // it was fed before
	}
	for from, budget := s.proved, a.budget; ; from = g.first {
		until := g.newest
		if next != nil {
			until = g.last
		}
		n, err := a.feed(ctx, s, g, c, from, until, budget)
		if err != nil || next == nil {
			return err == nil, err
		}
		if budget -= n; budget <= 0 {
			return false, nil
		}
		old := g
		g, next = next, nil
		if err := old.close(); err != nil {
			return false, err
		}
		if next, err = a.successor(s, g); err != nil {
			return false, err
		}
	}
}

// enter opens the segment to go on in; nil when there is none. Where it was moved
// away or cannot be read, the stream is begun anew with the oldest one after it.
func (a *Auditor) enter(s *stream) (*segment, error) {
	if s.first > s.broken {
		g, err := a.open(s, s.first)
		if !errors.Is(err, fs.ErrNotExist) {
			return g, err
		}
	}
	files, err := queue.ListSegments(s.dir(a.cfg.CleanDir))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if file.FirstSeq <= max(s.first, s.broken) {
			continue
		}
		g, err := a.open(s, file.FirstSeq)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || g.newest == 0 {
			return nil, errors.Join(err, g.close()) // damaged, or nothing in it yet
		}
		if s.first > s.broken {
			a.count(func(st *Stats) { st.Moved++ })
		}
		s.first, s.proved, s.keys = file.FirstSeq, file.FirstSeq, 0
		return g, nil
	}
	return nil, nil
}

// successor opens the segment that follows on g; nil while there is none with a record.
func (a *Auditor) successor(s *stream, g *segment) (*segment, error) {
	next, err := a.open(s, g.last+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || next.newest == 0 {
		return nil, errors.Join(err, next.close())
	}
	return next, nil
}

// open opens the segment whose first record is first.
func (a *Auditor) open(s *stream, first uint64) (*segment, error) {
	a.reading = first
	return openSegment(filepath.Join(s.dir(a.cfg.CleanDir), queue.SegmentName(first)))
}

// feed gives the records of a segment to the checker, up to one, and tells how many
// there were. It stops at a snapshot when there were more than budget.
func (a *Auditor) feed(ctx context.Context, s *stream, g *segment, c *audit.Checker, from, until uint64, budget int) (int, error) {
	a.reading = g.first
	cursor := g.Cursor()
	if err := cursor.SeekSeq(from); err != nil {
		return 0, err
	}
	c.Begin(&g.def)
	for n := 1; ; n++ {
		r, err := cursor.Next()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, fmt.Errorf("segment %d of %v: %w", g.first, s.id, err)
		}
		c.Next(&audit.Record{Seq: r.Seq, Time: r.Time, EventTime: r.EventTime, Kind: market.Kind(r.Kind), Body: r.Body})
		if market.Kind(r.Kind) == market.KindSnapshot && r.Seq > a.known {
			a.passed(s, g, c, r.Seq)
			if n > budget {
				return n, nil
			}
		}
		if r.Seq >= until {
			return n, nil
		}
		if n%128 == 0 {
			if err := a.pace.rest(ctx); err != nil {
				return n, err
			}
		}
	}
}

// passed takes note of a snapshot: it is the place to go on from.
func (a *Auditor) passed(s *stream, g *segment, c *audit.Checker, seq uint64) {
	if g.first != s.first {
		s.first, s.keys = g.first, 0
	}
	s.proved = seq
	s.keys++
	a.heal(s, c.Healed())
}

// unreadable counts a segment that cannot be read. The stream goes on with the one after it.
func (a *Auditor) unreadable(s *stream, err error) {
	s.broken = a.reading
	a.count(func(st *Stats) { st.Unreadable++ })
	a.log.Error("a clean segment cannot be audited: check it with chronicle fsck", "symbol", s.id.String(), "segment", a.reading, "proved_seq", s.proved, "error", err)
}

// skip goes on with a stream's newest snapshot, and counts it and the ones before
// it that have not been compared.
func (a *Auditor) skip(s *stream) {
	files, err := queue.ListSegments(s.dir(a.cfg.CleanDir))
	if err != nil {
		return // the visit meets it too
	}
	passed, to := uint64(0), *s
	for _, file := range files {
		if file.FirstSeq < s.first {
			continue
		}
		g, err := a.open(s, file.FirstSeq)
		if err != nil {
			continue // it was moved; or it cannot be read, and the visit says so when it comes to it
		}
		if keys := g.Info().Keys; g.newest != 0 {
			passed += keys
			if file.FirstSeq == s.first {
				passed -= min(keys, s.keys)
			}
			to.first, to.proved, to.keys = file.FirstSeq, g.newest, keys
		}
		_ = g.close() // it was only read
	}
	if passed == 0 {
		return
	}
	a.log.Warn("the audit cannot keep up with a book stream and skips snapshots: give it a larger share", "symbol", s.id.String(), "snapshots", passed, "from_seq", s.proved, "to_seq", to.proved)
	a.count(func(st *Stats) { st.Skipped += passed })
	s.first, s.proved, s.keys = to.first, to.proved, to.keys
}
