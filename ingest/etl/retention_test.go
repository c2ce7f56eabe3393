package etl

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
)

// TestRawRetention: retention takes nothing that the ETL still needs, the ETL
// goes on from what is left as if nothing had been taken, and one that has lost its
// checkpoint does not begin in the middle of its streams.
func TestRawRetention(t *testing.T) {
	dir, whole, kept := t.TempDir(), t.TempDir(), t.TempDir()
	w, err := queue.OpenWriter(filepath.Join(dir, "raw.q"), queue.Options{ManualRoll: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := &rawScript{t: t, w: w, now: 1_700_000_000 * second}
	s.session(market.SessionSourceBegin, "kraken")
	write := func(from, to int) {
		for i := from; i < to; i++ {
			s.now += second / 10
			if i%100 == 1 { // every segment has its definitions, as those of a live feed
				if err := s.w.Roll(); err != nil {
					t.Fatal(err)
				}
				s.define(1, "kraken", "a_b", market.L2, false)
			}
			s.delta(1, uint64(i), 0, level(market.Bid, int64(100+i%7), int64(1+i%5)))
		}
	}
	retain := func() queue.RetainResult {
		t.Helper()
		r, err := queue.Retain(filepath.Join(dir, "raw.q"), queue.Retention{MaxBytes: 1, Require: []string{"etl"}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	write(1, 1000)
	if r := retain(); len(r.Removed) != 0 || len(r.Missing) != 1 {
		t.Fatalf("without an ETL retention did %+v", r)
	}
	cfg := config(dir, kept)
	runAll(t, cfg)
	if r := retain(); len(r.Removed) < 3 {
		t.Fatalf("behind the ETL retention did %+v", r)
	}
	write(1000, 3000)
	if r := retain(); r.Held < 3 || len(r.HeldBy) != 1 || r.HeldBy[0] != "etl" {
		t.Fatalf("before the ETL retention did %+v", r)
	}
	runAll(t, cfg)
	retain()

	s2 := newScript(t, whole) // the same records, from which nothing is taken
	s2.session(market.SessionSourceBegin, "kraken")
	s = s2
	write(1, 3000)
	all := config(whole, whole)
	runAll(t, all)
	if got, want := dump(t, cfg), dump(t, all); !maps.Equal(got, want) {
		t.Error("the streams differ from those of an ETL that had all of its input at once")
	}

	if err := os.Remove(filepath.Join(cfg.StateDir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrLostRecords) || !strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("without checkpoint and beginning: error %v", err)
	}
	fresh := config(dir, t.TempDir())
	fresh.Consumer = "second"
	if st := runAll(t, fresh); st.Records == 0 || st.RawSeq != w.NextSeq()-1 {
		t.Errorf("an ETL without streams did %+v, want it to begin with the oldest record", st)
	}
}
