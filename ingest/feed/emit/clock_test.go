package emit

import (
	"slices"
	"testing"
	"time"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

// clocks gives the times of the clock records.
func clocks(t *testing.T, q *emittest.Queue) (times []time.Duration) {
	t.Helper()
	for _, rec := range q.Of(market.KindSession) {
		s, err := market.DecodeJSON[market.Session](rec.Body)
		if err != nil {
			t.Fatal(err)
		}
		if s.Event == market.SessionClock {
			times = append(times, time.Duration(rec.Time))
		}
	}
	return times
}

func TestClockTellsTheTimeWhenNothingComes(t *testing.T) {
	const (
		s = time.Second
		m = time.Minute
		d = 24 * time.Hour
	)
	begin := 10 * d
	type trade struct{ at, recv time.Duration }
	for name, c := range map[string]struct {
		trades []trade // received at recv, written at at
		ticks  []time.Duration
		want   []time.Duration
	}{
		"nothing at all":           {nil, []time.Duration{1, m, m + 1, 2 * m, 2*m + 1}, []time.Duration{m + 1, 2*m + 1}},
		"traffic now and then":     {[]trade{{50 * s, 50 * s}, {100 * s, 100 * s}}, []time.Duration{1, 60 * s, 110 * s, 169 * s, 170 * s}, []time.Duration{170 * s}},
		"midnight":                 {[]trade{{d - 5*s, d - 5*s}}, []time.Duration{d - 6*s, d - s, d, d + 299*time.Millisecond, d + 300*time.Millisecond, d + s}, []time.Duration{d + 300*time.Millisecond}},
		"traffic around midnight":  {[]trade{{d - 5*s, d - 5*s}, {d + 1, d + 1}}, []time.Duration{d - 6*s, d - s, d + s, d + 2*s}, nil},
		"seen late, of yesterday":  {[]trade{{d + s/2, d - s}}, []time.Duration{d - 6*s, d + s, d + 2*s}, []time.Duration{d + 2*s}},
		"late beside what is here": {[]trade{{d + s, d + s}, {d + 2*s, d - s}}, []time.Duration{d - 6*s, d + 3*s, d + 4*s}, nil},
		"the clock is set back":    {[]trade{{100 * s, 100 * s}}, []time.Duration{1, 101 * s, 40 * s, 99 * s, 100 * s, 101 * s}, []time.Duration{100 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			q := &emittest.Queue{}
			e := New(q, &Counters{}, Options{Venue: "v"})
			id := e.Define(int64(begin), 0, market.Definition{Symbol: "a"})
			clock, trades := NewClock(e), c.trades
			for _, now := range c.ticks {
				for len(trades) > 0 && trades[0].at <= now {
					e.Trade(id, int64(begin+trades[0].recv), 0, &market.Trade{Side: market.Bid})
					trades = trades[1:]
				}
				clock.Tick(int64(begin + now))
			}
			got := clocks(t, q)
			for i := range got {
				got[i] -= begin
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("clock records at %v, want %v", got, c.want)
			}
		})
	}
}

// A gap after a quiet time begins with the last record that was received.
func TestClockBeginsNoGap(t *testing.T) {
	q := &emittest.Queue{}
	e := New(q, &Counters{}, Options{Venue: "v"})
	clock := NewClock(e)
	day := int64(24 * time.Hour)
	e.Trade(e.Define(day, 0, market.Definition{Symbol: "a"}), day+5, 0, &market.Trade{Side: market.Bid})
	clock.Tick(day + 6)
	clock.Tick(day + 6 + clockEvery)
	e.Gap(day+7+clockEvery, market.Gap{Cause: market.GapSequence})
	gaps, err := emittest.JSON[market.Gap](q)
	if err != nil || len(gaps) != 1 || gaps[0].Start != day+5 || gaps[0].End != day+7+clockEvery {
		t.Errorf("gaps %+v, %v, want one from the trade on", gaps, err)
	}
	if n := len(clocks(t, q)); n != 1 {
		t.Errorf("%d clock records, want 1", n)
	}
}

func TestClockTickDoesNotAllocate(t *testing.T) {
	e := New(&emittest.Queue{}, &Counters{}, Options{})
	clock, now := NewClock(e), int64(1)
	if n := testing.AllocsPerRun(1000, func() { now++; e.records++; clock.Tick(now); clock.Tick(now) }); n != 0 {
		t.Errorf("%v allocations for a Tick", n)
	}
}
