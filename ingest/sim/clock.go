package sim

import (
	"errors"
	"time"
	_ "time/tzdata" // New York's midnight must not depend on the machine
)

// clock turns moments into the venue's times of day.
type clock struct {
	newYork         *time.Location
	now             int64 // ns since the Unix epoch; it never goes back
	midnight, until int64 // of the current date and the next one
	nanos           uint64
}

func newClock() (clock, error) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		return clock{}, errors.Join(errors.New("sim: no time zone data"), err)
	}
	return clock{newYork: newYork}, nil
}

// stamp takes the time of the messages to come.
func (c *clock) stamp(now int64) {
	c.now = max(now, c.now)
	if c.now < c.midnight || c.now >= c.until {
		y, m, d := time.Unix(0, c.now).In(c.newYork).Date()
		c.midnight = time.Date(y, m, d, 0, 0, 0, 0, c.newYork).UnixNano()
		c.until = time.Date(y, m, d+1, 0, 0, 0, 0, c.newYork).UnixNano()
	}
	c.nanos = uint64(c.now - c.midnight)
}
