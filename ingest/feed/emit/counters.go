package emit

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Stats are a feed's counts at one moment.
type Stats struct {
	Packets     uint64 `json:"packets"`     // transport units read: datagrams, frames or lines; 0 for a bare message file
	Messages    uint64 `json:"messages"`    // venue messages decoded
	Records     uint64 `json:"records"`     // records made for the raw queue
	Skipped     uint64 `json:"skipped"`     // units that could not be used, all reasons
	Gaps        uint64 `json:"gaps"`        // gap records among Records
	Instruments uint64 `json:"instruments"` // instruments defined

	SkippedBy map[string]uint64 `json:"skipped_by,omitempty"` // Skipped by reason
	Lines     []LineStats       `json:"lines,omitempty"`      // of a packet feed: its lines, then its re-request servers
}

// Counters count a running feed. All methods and fields are safe for concurrent
// use; the zero value is ready.
type Counters struct {
	Packets     atomic.Uint64
	Messages    atomic.Uint64
	Records     atomic.Uint64
	Skipped     atomic.Uint64
	Gaps        atomic.Uint64
	Instruments atomic.Uint64

	mu        sync.Mutex
	skippedBy map[Reason]uint64 // guarded by mu
	lines     []*LineCounters   // guarded by mu
}

// Skip counts one unit that could not be used.
func (c *Counters) Skip(reason Reason) { c.SkipN(reason, 1) }

// SkipN counts n units that could not be used.
func (c *Counters) SkipN(reason Reason, n uint64) {
	c.Skipped.Add(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skippedBy == nil {
		c.skippedBy = make(map[Reason]uint64)
	}
	c.skippedBy[reason] += n
}

// Stats gives the counts as they are now. While the feed runs, each count is
// right by itself but they are not taken at one instant.
func (c *Counters) Stats() Stats {
	s := Stats{
		Packets: c.Packets.Load(), Messages: c.Messages.Load(), Records: c.Records.Load(),
		Skipped: c.Skipped.Load(), Gaps: c.Gaps.Load(), Instruments: c.Instruments.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.SkippedBy = make(map[string]uint64, len(c.skippedBy))
	for reason, n := range maps.All(c.skippedBy) {
		s.SkippedBy[string(reason)] = n
	}
	for _, l := range c.lines {
		s.Lines = append(s.Lines, l.stats())
	}
	return s
}
