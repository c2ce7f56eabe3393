package emit_test

import (
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

// The gap of an outage begins when its own connection was last heard, where that
// is known, and with the last record where it is not.
func TestOutageBeginsWhereItsConnectionWasHeard(t *testing.T) {
	q := &emittest.Queue{}
	e := emit.New(q, &emit.Counters{}, emit.Options{Venue: "v"})
	e.Connect(1, "a", "addr")
	e.Connect(2, "b", "addr")
	e.Heard("a", 5)
	e.Session(50, market.Session{Event: market.SessionNew, Channel: "b"})
	e.Connect(60, "a", "addr")
	e.Connect(70, "a", "addr")
	gaps, err := emittest.JSON[market.Gap](q)
	if err != nil || len(gaps) != 2 {
		t.Fatalf("gaps %+v, %v", gaps, err)
	}
	if g := gaps[0]; g.Start != 5 || g.End != 60 || g.Channel != "a" || g.Cause != market.GapDisconnect {
		t.Errorf("the first outage is %+v", g)
	}
	if g := gaps[1]; g.Start != 60 || g.End != 70 {
		t.Errorf("the second outage is %+v", g)
	}
}
