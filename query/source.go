package query

import (
	"context"
	"errors"
	"fmt"
	"io"

	"chronicle/market"
	"chronicle/store/queue"
)

// maker turns the records of one symbol into rows. The columns belong to the
// batch and are shared by all symbols; the rest is the symbol's own.
type maker interface {
	// begin is called before the first record of a segment, and again where
	// records were left out (fresh). The definition is the segment's.
	begin(id streamID, def *market.Definition, fresh bool)

	// take reads the next record. It tells whether the record makes rows, and
	// whether what it says may be wrong because records are missing.
	take(rec *queue.Record, s *segment) (rows, degraded bool, err error)

	// write appends the rows of the record last taken, as many as there is room
	// for; done is false when some are left for the next batch.
	write(h *header, recv, event int64, symbol int) (done bool)
}

// source is one symbol's part of a range: its reader, its maker, and the record
// that is next in turn.
type source struct {
	reader *reader
	maker  maker
	symbol int // its place among the symbols, which are sorted by name
	spec   *rangeSpec
	kinds  [16]bool // which kinds of record the maker takes

	def    *market.Definition // of the segment that maker.begin was called for
	seg    *segment
	record queue.Record // the last one read; valid until the reader goes on
	key    int64        // running maximum of the clock at the record: what symbols are merged by
	gaps   int64        // markers passed in the range

	ledger doubts // of a source without reader: the rows that are still to come
}

func newSource(r *reader, m maker, symbol int, spec *rangeSpec) *source {
	s := &source{reader: r, maker: m, symbol: symbol, spec: spec}
	for _, k := range spec.schema.kinds() {
		s.kinds[k] = true
	}
	return s
}

// next goes to the next record that makes rows; io.EOF when there is none.
func (s *source) next(ctx context.Context) error {
	if s.reader == nil {
		return s.nextRow()
	}
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var err error
		if s.record, err = s.reader.next(ctx); err != nil {
			return err
		}
		rows, err := s.take(&s.record)
		if err != nil {
			return err
		}
		if rows {
			s.key = s.reader.runningMax
			return nil
		}
	}
}

// take hands a record to the maker and tells whether its rows are wanted.
func (s *source) take(rec *queue.Record) (bool, error) {
	r := s.reader
	inside := r.want.has(r.want.at(r.want.clock.of(rec), r.runningMax))
	if market.Kind(rec.Kind) == market.KindGap {
		if err := s.gap(rec, inside); err != nil {
			return false, err
		}
		inside = inside || r.want.gaps
	}
	if !r.want.stateful && !s.wants(rec.Kind) {
		return false, s.known(rec)
	}
	if !inside && !r.want.stateful {
		return false, nil
	}
	if s.seg != r.walk.seg || r.fresh {
		s.seg, s.def = r.walk.seg, r.def
		s.maker.begin(r.id, s.def, r.fresh)
	}
	rows, degraded, err := s.maker.take(rec, s.seg)
	if err != nil {
		return false, decodeError(r.id, s.seg, rec, err)
	}
	if rows = rows && inside; rows && degraded && s.spec.OnGap == GapError {
		return false, s.gapError(fmt.Sprintf("the book at %s may be wrong: records are missing before it", FormatTime(rec.Time)))
	}
	return rows, nil
}

func (s *source) wants(kind uint16) bool { return int(kind) < len(s.kinds) && s.kinds[kind] }

// known refuses a kind of record that this version cannot know how to leave out.
func (s *source) known(rec *queue.Record) error {
	if k := market.Kind(rec.Kind); k == 0 || k > market.KindSession {
		return damaged(nil, "%s: %v: record %d is of the unknown %v", s.reader.id, s.reader.walk.seg, rec.Seq, k)
	}
	return nil
}

// gap looks at a gap marker: a request may want none in its range.
func (s *source) gap(rec *queue.Record, inside bool) error {
	if inside {
		s.gaps++
	}
	if s.spec.OnGap != GapError || s.reader.want.gaps {
		return nil
	}
	g, err := market.DecodeJSON[market.Gap](rec.Body)
	if err != nil {
		return decodeError(s.reader.id, s.reader.walk.seg, rec, err)
	}
	if g.Recovered || !overlaps(g, s.spec.Start, s.spec.end) && !inside {
		return nil
	}
	return s.gapError(fmt.Sprintf("records are missing from %s to %s (%s)", FormatTime(g.Start), FormatTime(g.End), g.Cause))
}

// overlaps tells whether the interval that a gap covers touches [start, end).
func overlaps(g *market.Gap, start, end int64) bool { return g.Start < end && g.End >= start }

func (s *source) gapError(detail string) error { return gapError(s.reader.id.SymbolID, detail) }

func gapError(id market.SymbolID, detail string) error {
	return &Error{
		Code: DataLoss, Field: "on_gap", Given: string(GapError), Allowed: string(GapMark) + ", " + string(GapNull),
		Detail: id.String() + ": " + detail,
	}
}

// decodeError says which record could not be read.
func decodeError(id streamID, seg *segment, rec *queue.Record, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return damaged(err, "%s: %v: record %d", id, seg, rec.Seq)
}

// sources is the heap of the symbols that still have a record, the next in turn
// first: by time, then by symbol.
type sources []*source

func (h sources) before(i, j int) bool {
	if h[i].key != h[j].key {
		return h[i].key < h[j].key
	}
	if h[i].symbol != h[j].symbol {
		return h[i].symbol < h[j].symbol
	}
	return h[j].reader == nil && h[i].reader != nil // what stands in the stream comes first
}

// init orders the heap.
func (h sources) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// down restores the order after element i has become later.
func (h sources) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// advance moves the first source on, or drops it when it has ended.
func (h *sources) advance(ctx context.Context) error {
	switch err := (*h)[0].next(ctx); {
	case err == nil:
	case errors.Is(err, io.EOF):
		n := len(*h) - 1
		(*h)[0] = (*h)[n]
		*h = (*h)[:n]
	default:
		return err
	}
	h.down(0)
	return nil
}
