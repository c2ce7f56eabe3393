package ws

import "time"

// backoff gives the times to wait before attempts, each between half of and all
// of twice the one before.
type backoff struct {
	min, max time.Duration
	random   func() float64 // in [0, 1)
}

// wait gives the time to wait after n failed attempts; one more is what was waited
// for before.
func (b backoff) wait(n int) time.Duration {
	d := b.max
	if n < 32 && b.min<<n < b.max && b.min<<n > 0 {
		d = b.min << n
	}
	return d/2 + time.Duration(b.random()*float64(d/2))
}
