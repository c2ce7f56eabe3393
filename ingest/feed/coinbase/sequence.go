package coinbase

import (
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// window is how far back a number is taken for a repetition; one from farther
// back means that the venue counts anew.
const window = 1 << 10

// sequence is how far the frames of a connection have been counted.
type sequence struct {
	next  uint64 // the number that comes next
	known bool
}

// follow takes the number of a frame. A hole before it is written as a gap; a
// frame that came before is a duplicate.
func (s *Session) follow(recv int64, conn, number []byte) error {
	n, ok := scan.Uint(number)
	if !ok || n == 1<<64-1 {
		return emit.MissingField
	}
	line := s.lines[string(conn)]
	if line == nil {
		line = &sequence{}
		s.lines[string(conn)] = line
	}
	switch {
	case !line.known || n == line.next:
	case n > line.next:
		s.e.Gap(recv, market.Gap{Channel: string(conn), FirstSeq: line.next, LastSeq: n - 1, Cause: market.GapSequence})
	case n > 0 && line.next-n <= window:
		return emit.Duplicate
	default:
		s.e.Gap(recv, market.Gap{Channel: string(conn), Cause: market.GapSequence, Detail: "the venue counts anew"})
	}
	line.next, line.known = n+1, true
	return nil
}
