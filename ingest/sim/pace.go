package sim

import (
	"context"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// maxAhead bounds how far a burst runs ahead of the mean rate.
const maxAhead = 5 * time.Millisecond

// minNap is the shortest sleep, so that at high rates a few packets leave at each
// waking: to wake costs more than to send.
const minNap = 500 * time.Microsecond

// schedule says when each message is due: at the mean rate, but those of a burst
// together with its first, as far as maxAhead lets them.
type schedule struct {
	rate  float64       // messages a second; +Inf: all are due at once
	first uint64        // sequence before the first message
	burst time.Duration // when the current burst began
}

func newSchedule(s *Sim, unpaced bool) *schedule {
	p := &schedule{rate: s.opts.Rate, first: s.seq}
	if unpaced {
		p.rate = math.Inf(1)
	}
	return p
}

// next gives when the next message is due, since the start.
func (p *schedule) next(s *Sim) time.Duration {
	due := time.Duration(float64(s.seq-p.first) / p.rate * float64(time.Second))
	if s.continues() {
		return max(p.burst, due-maxAhead)
	}
	p.burst = due
	return due
}

// timekeeper is the passing of time; tests have their own.
type timekeeper interface {
	Now() time.Time
	// Sleep waits for about d, or less: who needs more calls again.
	Sleep(ctx context.Context, d time.Duration)
}

type realTime struct{}

func (realTime) Now() time.Time { return time.Now() }

// Sleep takes a timer for long waits, which is late by up to a millisecond, and
// the kernel's own sleep for short ones, which is late by less than a tenth.
func (realTime) Sleep(ctx context.Context, d time.Duration) {
	const fine = 2 * time.Millisecond
	if d < fine {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // woken early, the caller calls again
		return
	}
	timer := time.NewTimer(d - fine*3/4)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
