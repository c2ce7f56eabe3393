package etl

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"chronicle/book/audit"
	"chronicle/market"
	"chronicle/store/queue"
)

// TestMarkerAtASegmentsEnd has an event that still fits into a segment, and the
// marker that it makes does not. The segment must not be cut between the two.
func TestMarkerAtASegmentsEnd(t *testing.T) {
	for wide := range 2 { // places where the event still fits and the marker does not
		for n := 96; n < 130; n++ {
			dir := t.TempDir()
			s := newScript(t, dir)
			s.session(market.SessionSourceBegin, "v")
			s.session(market.SessionNew, "v")
			s.define(3, "v", "orders", market.L3, false)
			order := func(id uint64) market.Entry {
				return market.Entry{OrderID: id, Size: 2, Price: 5, Side: market.Bid, Action: market.Add}
			}
			for i := range n {
				s.now++
				s.delta(3, uint64(i+1), 0, order(uint64(i+1)))
			}
			for i := range wide {
				s.delta(3, uint64(500+i), 0, order(uint64(500+i)), order(uint64(600+i)))
			}
			s.now++
			s.delta(3, 1000, 0, market.Entry{OrderID: 1, Size: 1, Action: market.Cancel, Side: market.NoSide},
				market.Entry{OrderID: 999999, Size: 1, Action: market.Cancel, Side: market.NoSide})
			s.now++
			s.delta(3, 1001, 0, order(77777))
			s.session(market.SessionSourceEnd, "v")
			cfg := config(dir, dir)
			cfg.Policy.RollBytes = 16384
			runAll(t, cfg)
			proveStream(t, StreamDir(cfg.CleanDir, "v", "orders", market.StreamBook))
		}
	}
}

// proveStream gives a book stream to the checker.
func proveStream(t *testing.T, dir string) {
	t.Helper()
	c := audit.New(func(f *audit.Finding) { t.Errorf("%s: %v", dir, f) })
	files, err := queue.ListSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		seg, err := queue.OpenSegment(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		var meta market.StreamMeta
		if err := json.Unmarshal(seg.Info().Meta, &meta); err != nil {
			t.Fatal(err)
		}
		c.Begin(&meta.Definition)
		for cur := seg.Cursor(); ; {
			r, err := cur.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Next(&audit.Record{Seq: r.Seq, Time: r.Time, EventTime: r.EventTime, Kind: market.Kind(r.Kind), Body: r.Body})
		}
		if err := seg.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
