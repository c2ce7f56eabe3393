package emit

import (
	"time"

	"chronicle/market"
)

// A live feed that has appended nothing for clockEvery tells the time, and so does
// one that has appended nothing since a UTC midnight, clockGrace after it.
const (
	clockEvery = int64(time.Minute)
	clockGrace = int64(300 * time.Millisecond) // what was received before midnight is written by then
	utcDay     = int64(24 * time.Hour)
)

// Clock makes a live feed tell the time when nothing comes, by session records of
// event clock. Readers of the raw queue know no other time than its records': without
// them the ETL could not end the segments of a market that is closed.
//
// It belongs to the emitter's goroutine, and allocates only when it writes.
type Clock struct {
	e       *Emitter
	records uint64 // of the emitter, at the latest Tick
	since   int64  // the Tick at which they had changed; 0 before the first
}

// NewClock makes the clock of a live feed's emitter.
func NewClock(e *Emitter) *Clock { return &Clock{e: e} }

// Tick takes the time: what was received before now, in ns, is handed to the
// emitter. It writes a record if nothing was appended for so long that one is due.
func (c *Clock) Tick(now int64) {
	quiet := c.since != 0 && now >= c.since && c.e.records == c.records
	if quiet && now < c.Due() {
		return
	}
	if quiet {
		c.e.clock(now)
	}
	c.since, c.records = now, c.e.records
}

// Due gives the time at which a record is due if nothing is appended until then;
// 0 before the first Tick.
func (c *Clock) Due() int64 {
	if c.since == 0 {
		return 0
	}
	newest := c.since
	if c.e.max != market.UndefTimestamp {
		newest = min(c.e.max, newest) // a Tick may come some time after what it saw
	}
	return min(c.since+clockEvery, newest-newest%utcDay+utcDay+clockGrace)
}

// clock writes that nothing was received up to now. It is not where a later gap
// begins: what is missing then may have been sent before.
func (e *Emitter) clock(now int64) {
	last := e.last
	e.Session(now, market.Session{Event: market.SessionClock})
	e.last = last
}
