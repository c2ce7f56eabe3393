package itch

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // the venue's time zone must not depend on the machine

	"chronicle/market"
)

// newYork is the venue's time zone.
var newYork = sync.OnceValue(func() *time.Location {
	loc, err := time.LoadLocation("America/New_York")
	if err != nil {
		return time.FixedZone("EST", -5*3600) // cannot happen: the zone data is linked in
	}
	return loc
})

// halfDay is what an event's time may be ahead of its receipt before it is
// taken to be of the day before.
const halfDay = int64(12 * time.Hour)

// Clock turns ns since midnight in New York into ns since the Unix epoch. A
// fixed clock has one date. The other kind takes the date from the time of
// receipt; an event cannot come from the future, so a time of day far ahead of
// the receipt's belongs to the day before.
type Clock struct {
	fixed    bool
	midnight int64 // of the current date
	until    int64 // midnight of the next one
}

// FixedClock gives the clock of one date.
func FixedClock(date time.Time) *Clock {
	y, m, d := date.Date()
	return &Clock{fixed: true, midnight: time.Date(y, m, d, 0, 0, 0, 0, newYork()).UnixNano()}
}

// ParseDate reads "2010-12-24".
func ParseDate(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("date %q: %w (write YYYY-MM-DD)", s, err)
	}
	return t, nil
}

// ReceiptClock gives a clock that takes the date from the time of receipt.
func ReceiptClock() *Clock { return &Clock{} }

// Event gives the time of an event, nanos after midnight, received at recv.
func (c *Clock) Event(recv int64, nanos uint64) int64 {
	if c.fixed {
		return c.midnight + int64(nanos)
	}
	if recv == market.UndefTimestamp {
		return market.UndefTimestamp
	}
	if recv < c.midnight || recv >= c.until {
		c.midnight, c.until = day(recv)
	}
	at := c.midnight + int64(nanos)
	if at-recv <= halfDay {
		return at
	}
	before, _ := day(c.midnight - 1)
	return before + int64(nanos)
}

// day gives the midnights before and after t.
func day(t int64) (from, until int64) {
	y, m, d := time.Unix(0, t).In(newYork()).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, newYork()).UnixNano(), time.Date(y, m, d+1, 0, 0, 0, 0, newYork()).UnixNano()
}

// Midnight gives midnight in New York of the day that t, in ns since the Unix
// epoch, falls on.
func Midnight(t int64) int64 {
	from, _ := day(t)
	return from
}
