package ws

import (
	"math"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		random     float64
		n          int
		min, max   time.Duration
		want, most time.Duration
	}{
		{0, 0, time.Second, time.Minute, 0, 0},
		{0, -1, time.Second, time.Minute, 0, 0},
		{0, 1, time.Second, time.Minute, 500 * time.Millisecond, 500 * time.Millisecond},
		{0.999999, 1, time.Second, time.Minute, 999 * time.Millisecond, time.Second},
		{0, 4, time.Second, time.Minute, 4 * time.Second, 4 * time.Second},
		{0.999999, 7, time.Second, time.Minute, 59 * time.Second, time.Minute},
		{0, math.MaxInt, time.Second, time.Minute, 30 * time.Second, 30 * time.Second},
		{0, 40, time.Hour, 1000 * time.Hour, 500 * time.Hour, 500 * time.Hour},
	} {
		b := backoff{min: c.min, max: c.max, random: func() float64 { return c.random }}
		if got := b.wait(c.n); got < c.want || got > c.most {
			t.Errorf("after %d failures, at chance %v: %v, want %v to %v", c.n, c.random, got, c.want, c.most)
		}
	}
}
