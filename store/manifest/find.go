package manifest

import "slices"

// Filter chooses segments. Empty fields choose all.
type Filter struct {
	Venue  string
	Symbol string
	Stream string

	// Start and End choose the segments with a record in [Start, End) by Clock,
	// as far as their first and last time tell; ns since the epoch. 0 is no
	// bound. A segment without event times is never chosen by one.
	Start, End int64
	Clock      Clock

	// FromSeq and ToSeq choose the segments with a sequence in [FromSeq, ToSeq].
	// 0 is no bound.
	FromSeq, ToSeq uint64
}

// id gives the one stream that the filter is about, if it is about one.
func (f *Filter) id() (StreamID, bool) {
	return StreamID{Venue: f.Venue, Symbol: f.Symbol, Stream: f.Stream}, f.Venue != "" && f.Symbol != "" && f.Stream != ""
}

func (f *Filter) names(id StreamID) bool {
	return (f.Venue == "" || f.Venue == id.Venue) && (f.Symbol == "" || f.Symbol == id.Symbol) && (f.Stream == "" || f.Stream == id.Stream)
}

// wants tells whether a segment is in the filter's ranges.
func (f *Filter) wants(s *Segment) bool {
	if f.FromSeq > s.LastSeq || f.ToSeq != 0 && f.ToSeq < s.FirstSeq {
		return false
	}
	if f.Start == 0 && f.End == 0 {
		return true
	}
	first, last, ok := s.Range(f.Clock)
	return ok && last >= f.Start && (f.End == 0 || first < f.End)
}

// Find gives the segments that the filter chooses, stream by stream, each
// ordered by first sequence.
func (s *State) Find(f Filter) []Row {
	var found []Row
	id, one := f.id()
	ids := []StreamID{id}
	if !one {
		ids = s.Streams()
	}
	for _, id := range ids {
		if !f.names(id) {
			continue
		}
		for _, row := range s.rows(id) {
			if f.wants(&row.Segment) {
				found = append(found, s.view(row))
			}
		}
	}
	return found
}

// At gives the segment of a stream in which the replay for time t ends: the last
// one that begins at or before t, where a stream's time is the greatest one seen
// so far, as in the queue's own index. ok is false when the archive begins after
// t. A caller whose segment turns out to hold no record at or before t (its first
// time is the least of its records, which need not be the first) goes one back.
func (s *State) At(id StreamID, c Clock, t int64) (row Row, ok bool) {
	rows := s.rows(id)
	i := slices.IndexFunc(rows, func(r *Row) bool {
		_, last, has := r.Range(c)
		return has && last > t
	})
	if i < 0 {
		i = len(rows) - 1
	} else if first, _, _ := rows[i].Range(c); first > t {
		i--
	}
	if i < 0 {
		return Row{}, false
	}
	return s.view(rows[i]), true
}
