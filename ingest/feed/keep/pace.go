package keep

import "time"

// The pace is taken over window at most, and over paceMin at least.
const (
	window  = 10 * time.Minute
	paceMin = 20 * time.Second
)

// pace tells how fast free space gets less.
type pace struct{ samples []sample }

type sample struct {
	at   time.Time
	free int64
}

// add takes a sample and gives the time until nothing is free; 0 when that is not
// known, or it gets no less. A clock that was set back begins anew.
func (p *pace) add(now time.Time, free int64) time.Duration {
	if n := len(p.samples); n > 0 && now.Before(p.samples[n-1].at) {
		p.samples = p.samples[:0]
	}
	p.samples = append(p.samples, sample{now, free})
	for now.Sub(p.samples[0].at) > window {
		p.samples = p.samples[1:]
	}
	first := p.samples[0]
	took, gone := now.Sub(first.at), first.free-free
	if took < paceMin || gone <= 0 {
		return 0
	}
	left := float64(free) / float64(gone) * float64(took)
	return time.Duration(min(left, float64(100*365*24*time.Hour))).Round(time.Second)
}
