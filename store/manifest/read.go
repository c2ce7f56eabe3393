package manifest

import (
	"cmp"
	"maps"
	"slices"
)

// Segment gives the row of a segment that the archive has.
func (s *State) Segment(ref Ref) (Row, bool) {
	row, ok := s.segments[ref]
	if !ok {
		return Row{}, false
	}
	return s.view(row), true
}

// Len gives the number of segments in the archive.
func (s *State) Len() int { return len(s.segments) }

// view copies a row and adds where else it may be at the moment.
func (s *State) view(row *Row) Row {
	v := *row
	if len(s.moves) == 0 {
		return v
	}
	if m, ok := s.moves[row.Ref()]; ok && row.Committed {
		to := m.Segment.Location()
		v.Alt = &to
	} else if ok {
		from := m.From
		v.Alt = &from
	}
	return v
}

// Streams gives the streams of the archive, in order, including those of which
// the first segment is only just being moved in.
func (s *State) Streams() []StreamID {
	ids := make(map[StreamID]bool, len(s.streams))
	for id, rows := range s.streams {
		ids[id] = len(rows) > 0
	}
	for ref := range s.moves {
		ids[ref.StreamID()] = true
	}
	for id := range s.removed {
		ids[id] = true
	}
	maps.DeleteFunc(ids, func(_ StreamID, holds bool) bool { return !holds })
	return slices.SortedFunc(maps.Keys(ids), compareStreams)
}

func compareStreams(a, b StreamID) int {
	return cmp.Or(cmp.Compare(a.Venue, b.Venue), cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Stream, b.Stream))
}

func compareRefs(a, b Ref) int {
	return cmp.Or(compareStreams(a.StreamID(), b.StreamID()), cmp.Compare(a.FirstSeq, b.FirstSeq))
}

// Stream gives a stream's rows by first sequence, including the segments on
// their way in.
func (s *State) Stream(id StreamID) []Row {
	rows := s.rows(id)
	views := make([]Row, len(rows))
	for i, row := range rows {
		views[i] = s.view(row)
	}
	return views
}

// rows is Stream without copies: the rows are the state's own.
func (s *State) rows(id StreamID) []*Row {
	rows := s.streams[id]
	n := len(rows)
	for ref, m := range s.moves {
		if ref.StreamID() != id || s.segments[ref] != nil {
			continue
		}
		if len(rows) == n {
			rows = slices.Clone(rows)
		}
		rows = append(rows, &Row{Segment: m.Segment, Writer: m.Writer})
	}
	if len(rows) > n {
		slices.SortFunc(rows, func(a, b *Row) int { return cmp.Compare(a.FirstSeq, b.FirstSeq) })
	}
	return rows
}

// Moves gives the intents without an end, in order.
func (s *State) Moves() []Move {
	return slices.SortedFunc(maps.Values(s.moves), func(a, b Move) int { return compareRefs(a.Segment.Ref(), b.Segment.Ref()) })
}

// Leftovers gives the copies that are to be deleted, in order.
func (s *State) Leftovers() []Leftover {
	return slices.SortedFunc(maps.Values(s.leftovers), func(a, b Leftover) int { return compareRefs(a.Of, b.Of) })
}

// Removed gives the ranges of a stream that were deleted from the archive.
func (s *State) Removed(id StreamID) []SeqRange { return slices.Clone(s.removed[id]) }

// Gaps gives the gap ledger, in order.
func (s *State) Gaps() []Gap { return slices.SortedFunc(maps.Keys(s.gaps), compareGaps) }

func compareGaps(a, b Gap) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.Venue, b.Venue), cmp.Compare(a.Symbol, b.Symbol),
		cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.FirstSeq, b.FirstSeq), cmp.Compare(a.LastSeq, b.LastSeq), cmp.Compare(a.Cause, b.Cause),
		cmp.Compare(a.Detail, b.Detail))
}

// Knows tells whether the log has ever named a tier: if so it must be there.
func (s *State) Knows(tier string) bool { return s.tiers[tier] }

// Tiers gives the tiers that hold something of the archive now, or are about to,
// in order: they must be there for the archive to be whole.
func (s *State) Tiers() []string {
	names := map[string]bool{}
	for _, row := range s.segments {
		names[row.Tier] = true
	}
	for _, m := range s.moves {
		names[m.Segment.Tier] = true
	}
	for _, l := range s.leftovers {
		names[l.At.Tier] = true
	}
	delete(names, Hot)
	return slices.Sorted(maps.Keys(names))
}

// IsMoving tells whether a segment has an intent without an end.
func (s *State) IsMoving(ref Ref) bool { return s.moves[ref].Writer != "" }

// HasLeftover tells whether a copy of a segment is still to be deleted.
func (s *State) HasLeftover(ref Ref) bool { _, ok := s.leftovers[ref]; return ok }
