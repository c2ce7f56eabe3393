package ws

import "time"

// backoff gives times to wait before something is tried again.
type backoff struct {
	min, max time.Duration
	random   func() float64 // in [0, 1)
}

// wait gives the time to wait after so many failures in a row: 0 after none, then
// between half of and all of min, doubled with each failure, up to max.
func (b backoff) wait(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	d := b.max
	if n := failures - 1; n < 32 && b.min<<n < b.max && b.min<<n > 0 {
		d = b.min << n
	}
	return d/2 + time.Duration(b.random()*float64(d/2))
}
