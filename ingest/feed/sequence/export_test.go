package sequence

import "fmt"

// Check tells what breaks the receiver's invariants: each message between next
// and edge is held or in exactly one hole, the first hole begins at next, and
// nothing is larger than its bound. It looks at the lowest messages only.
func (r *Receiver) Check() error {
	held, bytes := 0, 0
	for _, s := range r.window.slots {
		if s.seq == 0 {
			continue
		}
		held, bytes = held+1, bytes+int(s.size)
		if s.seq < r.next || s.seq >= r.edge || r.holes.find(s.seq) >= 0 {
			return fmt.Errorf("message %d is held: next %d, edge %d, holes %v", s.seq, r.next, r.edge, r.holes)
		}
	}
	if held != r.window.held || bytes != r.window.bytes || bytes > r.window.max {
		return fmt.Errorf("%d messages of %d bytes are held, counted are %d of %d", held, bytes, r.window.held, r.window.bytes)
	}
	missing, before := uint64(0), uint64(0)
	for i, h := range r.holes {
		if h.first > h.last || h.first < before || h.last >= r.edge || i == 0 && h.first != r.next {
			return fmt.Errorf("hole %d of %v: next %d, edge %d", i, r.holes, r.next, r.edge)
		}
		missing, before = missing+h.last-h.first+1, h.last+1
	}
	if r.edge-r.next != missing+uint64(held) {
		return fmt.Errorf("next %d, edge %d: %d missing and %d held", r.next, r.edge, missing, held)
	}
	if cap(r.holes) != maxHoles || r.recovery.n > maxRequests {
		return fmt.Errorf("room for %d holes, %d requests", cap(r.holes), r.recovery.n)
	}
	return nil
}
