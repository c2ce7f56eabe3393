package query

import (
	"fmt"

	"chronicle/market"
)

// streamID names one clean stream.
type streamID struct {
	market.SymbolID
	Stream string
}

func (id streamID) String() string { return id.SymbolID.String() + " " + id.Stream }

// place is where a copy of a segment can be read.
type place struct {
	tier string // tierHot, or a tier of the configuration
	key  string // within the tier; for tierHot the path below the root
	path string // tierHot only: the file
}

// tierHot is the name that answers give to the clean queues themselves.
const tierHot = "hot"

func (p place) String() string { return p.tier + ":" + p.key }

// span is the least and the greatest defined time of a segment on one clock;
// noTime in both where no record has one.
type span struct{ min, max int64 }

// segment is one piece of a stream as the plan knows it. It does not change
// once it is part of a plan.
type segment struct {
	first, last uint64 // sequences; last of a live segment is as of the plan
	recv, event span
	records     uint64
	bytes       int64
	sealed      bool
	marked      bool // has gap markers; a live one may have them all the same
	exp         exponents
	hash        string  // "sha256:..."; empty while not sealed
	places      []place // at least one
	live        *handle // not sealed: opened with the plan, owned by it
}

func (s *segment) span(c Clock) span {
	if c == ClockEvent {
		return s.event
	}
	return s.recv
}

// String names the segment for people.
func (s *segment) String() string {
	return fmt.Sprintf("segment %s (records %d to %d)", s.places[0], s.first, s.last)
}

// follows tells whether s begins where prev ends. Of a prev that is still being
// written the reader finds out itself.
func (s *segment) follows(prev *segment) bool {
	return !prev.sealed || prev.last+1 == s.first
}

// merge combines the hot segments of a stream with the tiered ones, both by
// first sequence, into the list of its pieces. A segment that is in both, because
// it is being moved, becomes one with two places. Pieces that overlap in any
// other way contradict each other: which one is right cannot be told here.
func merge(id streamID, hot, tiered []*segment) ([]*segment, error) {
	out := make([]*segment, 0, len(hot)+len(tiered))
	for len(hot) > 0 || len(tiered) > 0 {
		switch {
		case len(hot) == 0 || len(tiered) > 0 && tiered[0].first < hot[0].first:
			out, tiered = append(out, tiered[0]), tiered[1:]
		case len(tiered) == 0 || hot[0].first < tiered[0].first:
			out, hot = append(out, hot[0]), hot[1:]
		default:
			both, err := join(id, hot[0], tiered[0])
			if err != nil {
				return nil, err
			}
			out, hot, tiered = append(out, both), hot[1:], tiered[1:]
		}
		if n := len(out); n > 1 && out[n-2].sealed && out[n-2].last >= out[n-1].first {
			return nil, damaged(nil, "%s: %v and %v overlap", id, out[n-2], out[n-1])
		}
	}
	return out, nil
}

// join makes one segment of its hot and its tiered copy.
func join(id streamID, hot, tiered *segment) (*segment, error) {
	both := *tiered
	if !hot.sealed { // it was listed before it was sealed and moved
		both.places = append(append([]place(nil), tiered.places...), hot.places...)
		return &both, nil
	}
	if hot.last != tiered.last || hot.hash != tiered.hash {
		return nil, damaged(nil, "%s: %v and %v begin with the same record but differ", id, hot, tiered)
	}
	both.places = append(append([]place(nil), hot.places...), tiered.places...)
	return &both, nil
}
