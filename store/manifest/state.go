package manifest

import (
	"cmp"
	"slices"

	"chronicle/market"
)

// Row is a segment as the log has it.
//
// A reader opens Tier and Key; if nothing is there, Alt; if nothing is there
// either, the segment has been moved meanwhile: refresh and look again. That
// sequence ends, because a copy is deleted only after its successor is in the log.
type Row struct {
	Segment
	Writer string    // the log that the segment belongs to
	Alt    *Location // a move is under way: where the segment may be instead
	// Committed is false for a segment on its way out of the hot queue: its row
	// comes from an intent, and Alt is its place in the queue.
	Committed bool
}

// Move is an intent that has neither been fulfilled nor taken back.
type Move struct {
	Segment Segment // with the place it goes to
	From    Location
	Writer  string
}

// Leftover is a copy that a move has left behind and that is to be deleted.
type Leftover struct {
	Of     Ref
	At     Location
	Since  int64 // time of the commit that made it superfluous, ns
	Writer string
}

// SeqRange is an inclusive range of sequences.
type SeqRange struct{ First, Last uint64 }

// State is a replayed log: what the archive holds. It is a plain value without
// locks; its owner serialises changes against reads.
type State struct {
	segments  map[Ref]*Row
	streams   map[StreamID][]*Row // by FirstSeq
	moves     map[Ref]Move
	leftovers map[Ref]Leftover
	removed   map[StreamID][]SeqRange
	gaps      map[Gap]struct{}
	tiers     map[string]bool
	texts     texts
	changed   *changes // nil: nobody asks
}

// changes is what has happened since an index was last brought up to date.
type changes struct {
	refs map[Ref]struct{}
	gaps []Gap
}

// NewState gives the state of an empty log.
func NewState() *State {
	return &State{
		segments:  map[Ref]*Row{},
		streams:   map[StreamID][]*Row{},
		moves:     map[Ref]Move{},
		leftovers: map[Ref]Leftover{},
		removed:   map[StreamID][]SeqRange{},
		gaps:      map[Gap]struct{}{},
		tiers:     map[string]bool{},
		texts:     texts{text: map[string]string{}, definition: map[market.Definition]market.Definition{}, parsed: map[string]market.Definition{}},
	}
}

// Apply replays a commit: all of its operations, or none and an error that is
// ErrInvalid. The caller has checked its place in the chain.
func (s *State) Apply(c *Commit) error {
	for i := range c.Ops {
		if err := s.fits(&c.Ops[i], c.Writer); err != nil {
			return invalid("commit %d of %s: ops[%d]: %v", c.N, c.Writer, i, err)
		}
	}
	for i := range c.Ops {
		s.apply(&c.Ops[i], c)
	}
	return nil
}

// fits checks an operation against the state. Operations of one commit are about
// different segments, so that they can be checked before any is applied.
func (s *State) fits(op *Op, writer string) error {
	ref, ok := op.Ref()
	if !ok {
		return nil
	}
	row, moving := s.segments[ref], s.moves[ref]
	if row != nil && row.Writer != writer {
		return invalid("%s of %v, which belongs to writer %s", op.Op, ref, row.Writer)
	}
	if moving.Writer != "" && moving.Writer != writer {
		return invalid("%s of %v, which writer %s is moving", op.Op, ref, moving.Writer)
	}
	left, hasLeft := s.leftovers[ref]
	switch op.Op {
	case OpIntent:
		return fitsIntent(op, row, moving, hasLeft)
	case OpAdd:
		if row != nil {
			return invalid("add of %v, which is there already", ref)
		}
		return fitsMove(op, moving)
	case OpMove:
		if row == nil || !row.SameContent(op.Segment) {
			return invalid("move of %v, which is not there", ref)
		}
		return fitsMove(op, moving)
	case OpAbort:
		if moving.Writer == "" {
			return invalid("abort of %v, which is not moving", ref)
		}
	case OpDelete:
		own := row != nil && row.Location() == *op.At && moving.Writer == ""
		if !own && (!hasLeft || left.At != *op.At) {
			return invalid("delete of %v at %v, where nothing is to be deleted", ref, *op.At)
		}
	}
	return nil
}

func fitsIntent(op *Op, row *Row, moving Move, hasLeft bool) error {
	ref := op.Segment.Ref()
	switch {
	case moving.Writer != "":
		return invalid("intent for %v, which is moving already", ref)
	case hasLeft:
		return invalid("intent for %v, whose copy at the last place is not deleted yet", ref)
	case row == nil && op.From.Tier != Hot:
		return invalid("intent for %v from %v, which the archive does not have", ref, *op.From)
	case row != nil && (row.Location() != *op.From || !row.SameContent(op.Segment)):
		return invalid("intent for %v from %v, but it is at %v", ref, *op.From, row.Location())
	}
	return nil
}

// fitsMove checks an add or move against the intent that it fulfils. A rebuilt
// log has adds without intents.
func fitsMove(op *Op, moving Move) error {
	if moving.Writer == "" {
		return nil
	}
	if moving.Segment.Location() != op.Segment.Location() || !moving.Segment.SameContent(op.Segment) {
		return invalid("%s of %v does not fulfil its intent", op.Op, op.Segment.Ref())
	}
	return nil
}

func (s *State) apply(op *Op, c *Commit) {
	ref, _ := op.Ref()
	switch op.Op {
	case OpIntent:
		s.moves[ref] = Move{Segment: s.texts.segment(*op.Segment), From: *op.From, Writer: c.Writer}
		s.tiers[op.Segment.Tier] = true
	case OpAbort:
		delete(s.moves, ref)
	case OpAdd, OpMove:
		delete(s.moves, ref)
		s.put(&Row{Segment: s.texts.segment(*op.Segment), Writer: c.Writer, Committed: true})
		if op.From != nil {
			s.leftovers[ref] = Leftover{Of: ref, At: *op.From, Since: c.Time, Writer: c.Writer}
		}
	case OpDelete:
		s.applyDelete(ref, *op.At)
	case OpGap:
		s.putGap(*op.Gap)
		return
	}
	if s.changed != nil {
		s.changed.refs[ref] = struct{}{}
	}
}

func (s *State) applyDelete(ref Ref, at Location) {
	if left, ok := s.leftovers[ref]; ok && left.At == at {
		delete(s.leftovers, ref)
		return
	}
	row := s.segments[ref]
	id := ref.StreamID()
	delete(s.segments, ref)
	s.streams[id] = slices.DeleteFunc(s.streams[id], func(r *Row) bool { return r == row })
	s.removed[id] = append(s.removed[id], SeqRange{row.FirstSeq, row.LastSeq})
}

// put inserts or replaces a row. Most rows come in order: the search is for the
// others.
func (s *State) put(row *Row) {
	ref, id := row.Ref(), row.StreamID()
	_, replace := s.segments[ref]
	s.segments[ref] = row
	s.tiers[row.Tier] = true
	rows := s.streams[id]
	if n := len(rows); n == 0 || rows[n-1].FirstSeq < row.FirstSeq {
		s.streams[id] = append(rows, row)
		return
	}
	i, _ := slices.BinarySearchFunc(rows, row.FirstSeq, func(r *Row, seq uint64) int { return cmp.Compare(r.FirstSeq, seq) })
	if replace {
		rows[i] = row
		return
	}
	s.streams[id] = slices.Insert(rows, i, row)
}

func (s *State) putGap(g Gap) {
	if _, ok := s.gaps[g]; ok {
		return
	}
	s.gaps[g] = struct{}{}
	if s.changed != nil {
		s.changed.gaps = append(s.changed.gaps, g)
	}
}
