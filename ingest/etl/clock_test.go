package etl

import (
	"testing"
	"time"

	"chronicle/market"
	"chronicle/store/queue"
)

// A quiet day ends although nothing comes: the feed's clock records tell the time,
// and leave everything else as it is.
func TestClockRecordsEndAQuietDay(t *testing.T) {
	for name, events := range map[string][]market.SessionEvent{
		"clock": {market.SessionClock, market.SessionClock}, "nothing": nil, "an event of the future": {"no_such_event"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newScript(t, dir)
			s.session(market.SessionSourceBegin, "v")
			s.session(market.SessionNew, "v")
			s.define(1, "v", "a", market.L3, false)
			s.delta(1, 1, 0, market.Entry{OrderID: 7, Side: market.Bid, Price: 1, Size: 1, Action: market.Add})
			for _, event := range events {
				s.now += int64(24 * time.Hour)
				s.session(event, "v")
			}
			cfg := config(dir, dir)
			if st := runAll(t, cfg); st.Gaps != 0 {
				t.Errorf("%d gaps", st.Gaps)
			}
			files, err := queue.ListSegments(StreamDir(cfg.CleanDir, "v", "a", market.StreamBook))
			if err != nil || len(files) == 0 || files[0].Sealed != (events != nil) {
				t.Fatalf("segments %+v, %v: want the first sealed: %v", files, err, events != nil)
			}
			s.delta(1, 2, 1, market.Entry{OrderID: 7, Side: market.Bid, Price: 1, Size: 1, Action: market.Cancel})
			runAll(t, cfg)
			for _, r := range records(t, cfg, "v", "a", market.StreamBook) {
				var ev market.BookEvent
				if kind := market.Kind(r.Kind); kind == market.KindGap || ev.Decode(r.Body, kind) != nil || ev.Flags&market.FlagMaybeBadBook != 0 {
					t.Errorf("record %d, kind %v: flags %v", r.Seq, kind, ev.Flags)
				}
			}
		})
	}
}
