package tier_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronicle/internal/filelock"
	"chronicle/store/blob"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/queue"
	"chronicle/store/tier"
)

// TestWarmThenCold follows the segments through all tiers, in every layout.
func TestWarmThenCold(t *testing.T) {
	for name, make := range layouts {
		t.Run(name, func(t *testing.T) {
			s := make(t)
			s.clean(t)
			r := s.run(t, now, tier.OnceOptions{})
			if len(r.Moved) != 5 || r.Bytes == 0 || s.sealedHot(t) != 0 || len(keys(t, s.warm)) != 5 || len(keys(t, s.cold)) != 0 {
				t.Errorf("to warm: %+v", r)
			}
			for _, m := range r.Moved {
				if wantCopy := device(t, s.Dir) != device(t, s.warm.String()); m.Copied != wantCopy {
					t.Errorf("%v copied: %v, want %v", m.Segment.Ref(), m.Copied, wantCopy)
				}
			}
			s.readable(t)
			s.clean(t)
			if r := s.run(t, now, tier.OnceOptions{}); len(r.Moved)+r.Deleted != 0 {
				t.Errorf("a second run did something: %+v", r)
			}
			r = s.run(t, longAfter, tier.OnceOptions{})
			if len(r.Moved) != 5 || len(keys(t, s.warm)) != 0 || len(keys(t, s.cold)) != 5 {
				t.Errorf("to cold: %+v", r)
			}
			s.readable(t)
			s.clean(t)
			if entries, _ := os.ReadDir(s.warm.String()); len(entries) != 1 {
				t.Errorf("empty folders stay in warm: %v", entries)
			}
		})
	}
}

// TestQueueGoesOn: a queue whose segments have all been moved numbers on.
func TestQueueGoesOn(t *testing.T) {
	s := local(t)
	s.run(t, now, tier.OnceOptions{})
	s.add(t, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: "trade", Segments: 2, Start: now.UnixNano()})
	s.run(t, now.Add(24*time.Hour), tier.OnceOptions{})
	s.readable(t)
	s.clean(t)
	if len(s.want) != 7 || len(keys(t, s.warm)) != 7 {
		t.Errorf("%d segments wanted, %v in warm", len(s.want), keys(t, s.warm))
	}
}

func TestAges(t *testing.T) {
	for name, c := range map[string]struct {
		age        time.Duration // of the last record of the last segment
		opts       tier.OnceOptions
		warm, cold int
		waiting    int
	}{
		"young":                {2*time.Hour - time.Minute, tier.OnceOptions{}, 0, 0, 5},
		"due":                  {2 * time.Hour, tier.OnceOptions{}, 5, 0, 0},
		"younger than asked":   {3 * time.Hour, tier.OnceOptions{MinAge: 4 * time.Hour}, 0, 0, 5},
		"older than asked":     {time.Hour, tier.OnceOptions{MinAge: 30 * time.Minute}, 5, 0, 0},
		"all":                  {-time.Hour, tier.OnceOptions{All: true}, 5, 0, 0},
		"old goes to cold":     {8 * 24 * time.Hour, tier.OnceOptions{}, 0, 5, 0},
		"all, old":             {8 * 24 * time.Hour, tier.OnceOptions{All: true}, 0, 5, 0},
		"old, but asked for":   {8 * 24 * time.Hour, tier.OnceOptions{MinAge: 9 * 24 * time.Hour}, 0, 0, 5},
		"dry run":              {2 * time.Hour, tier.OnceOptions{DryRun: true}, 0, 0, 0},
		"dry run, none is due": {time.Hour, tier.OnceOptions{DryRun: true}, 0, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := local(t)
			last := time.Unix(0, manifesttest.Epoch).Add(23 * time.Second) // of three segments of eight seconds
			r := s.run(t, last.Add(c.age), c.opts)
			if len(keys(t, s.warm)) != c.warm || len(keys(t, s.cold)) != c.cold || r.Waiting != c.waiting {
				t.Errorf("warm %v, cold %v, waiting %d", keys(t, s.warm), keys(t, s.cold), r.Waiting)
			}
			if want := 5 - c.waiting; c.opts.DryRun && len(r.Planned) != want {
				t.Errorf("planned %v", r.Planned)
			}
			s.clean(t)
		})
	}
}

func TestGrace(t *testing.T) {
	s := hotInMemory(t)
	s.opts.Grace = time.Hour
	if r := s.run(t, now, tier.OnceOptions{}); len(r.Moved) != 5 || r.Deleted != 0 || s.sealedHot(t) != 5 {
		t.Errorf("copied: %+v", r)
	}
	s.readable(t)
	if r := s.fsck(t); !r.OK() || len(r.Findings) != 5 {
		t.Errorf("fsck during the grace:\n%v", r)
	}
	if r := s.run(t, now.Add(time.Hour-time.Second), tier.OnceOptions{}); r.Deleted != 0 {
		t.Errorf("too early: %+v", r)
	}
	if r := s.run(t, now.Add(time.Hour), tier.OnceOptions{}); r.Deleted != 5 || s.sealedHot(t) != 0 {
		t.Errorf("after the grace: %+v", r)
	}
	s.clean(t)
}

// flip changes one byte of a file. In the middle it is in the records.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedSegmentsStay: they are reported, never moved, and keep nobody else.
func TestDamagedSegmentsStay(t *testing.T) {
	for name, make := range layouts {
		t.Run(name, func(t *testing.T) {
			s := make(t)
			bad := filepath.Join(s.Clean, "sim/a_usd/book.q", "00000000000000000009.q")
			flip(t, bad, 4096+60)
			before, err := os.ReadFile(bad)
			if err != nil {
				t.Fatal(err)
			}
			a := s.open(t, nil)
			for range 2 { // the second time it is remembered
				r, err := a.Once(t.Context(), now, tier.OnceOptions{})
				if err != nil || len(r.Problems) != 1 || !errors.Is(r.Problems[0], queue.ErrCorrupt) || !strings.Contains(r.Problems[0].Where, "book.q/00000000000000000009.q") {
					t.Errorf("problems %v, %v", r.Problems, err)
				}
			}
			if got := keys(t, s.warm); len(got) != 4 {
				t.Errorf("moved: %v", got)
			}
			if after, err := os.ReadFile(bad); err != nil || string(after) != string(before) {
				t.Errorf("the damaged file was touched: %v", err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			// The same on the way to cold.
			path, _ := s.warm.LocalPath(keys(t, s.warm)[0])
			flip(t, path, 4096+60)
			a = s.open(t, nil)
			r, err := a.Once(t.Context(), longAfter, tier.OnceOptions{})
			if err != nil || len(r.Problems) != 2 || len(r.Moved) != 3 || len(keys(t, s.warm)) != 1 {
				t.Errorf("to cold: %+v, %v", r, err)
			}
		})
	}
}

func TestMisplacedSegmentStays(t *testing.T) {
	s := local(t)
	from, to := filepath.Join(s.Clean, "sim/a_usd/trade.q"), filepath.Join(s.Clean, "sim/b_usd/trade.q")
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(from, to)); err != nil {
		t.Fatal(err)
	}
	r, err := s.open(t, nil).Once(t.Context(), now, tier.OnceOptions{})
	if err != nil || len(r.Problems) != 2 || !strings.Contains(r.Problems[0].Error(), "belongs at "+from) || len(r.Moved) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLostNumbering: a queue that began anew at 1 must not be archived over what
// is there.
func TestLostNumbering(t *testing.T) {
	s := local(t)
	s.run(t, now, tier.OnceOptions{})
	if err := os.RemoveAll(filepath.Join(s.Clean, "sim/a_usd/trade.q")); err != nil {
		t.Fatal(err)
	}
	manifesttest.Write(t, s.Clean, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: "trade", Segments: 3, Records: 5, Start: now.UnixNano()})
	r, err := s.open(t, nil).Once(t.Context(), now.Add(24*time.Hour), tier.OnceOptions{})
	if err != nil || len(r.Moved) != 0 || len(r.Problems) != 3 || s.sealedHot(t) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestMissingTier: what the manifest knows must be there; what is new is made.
func TestMissingTier(t *testing.T) {
	s := local(t)
	s.run(t, now, tier.OnceOptions{})
	away := s.warm.String() + ".away"
	if err := os.Rename(s.warm.String(), away); err != nil {
		t.Fatal(err)
	}
	_, err := tier.Open(t.Context(), s.opts)
	if !errors.Is(err, blob.ErrNoTier) || !strings.Contains(err.Error(), "tier warm: "+s.warm.String()+" is not there: mount it or") {
		t.Errorf("folder gone: %v", err)
	}
	if err := os.Mkdir(s.warm.String(), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := tier.Open(t.Context(), s.opts); !errors.Is(err, blob.ErrNoTier) {
		t.Errorf("empty mount point: %v", err)
	}
	if err := errors.Join(os.Remove(s.warm.String()), os.Rename(away, s.warm.String())); err != nil {
		t.Fatal(err)
	}
	opts := s.opts
	opts.Tiers = opts.Tiers[1:]
	if _, err := tier.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "tier warm, which is not configured") {
		t.Errorf("left out: %v", err)
	}
	s.clean(t)
}

// TestTierGoesAway: it is unmounted while the agent runs.
func TestTierGoesAway(t *testing.T) {
	s := local(t)
	a := s.open(t, nil)
	if err := os.Rename(s.warm.String(), s.warm.String()+".away"); err != nil {
		t.Fatal(err)
	}
	r, err := a.Once(t.Context(), now, tier.OnceOptions{})
	if err != nil || len(r.Moved) != 0 || len(r.Problems) == 0 || !errors.Is(r.Problems[0], blob.ErrNoTier) || s.sealedHot(t) != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := os.Rename(s.warm.String()+".away", s.warm.String()); err != nil {
		t.Fatal(err)
	}
	if r, err := a.Once(t.Context(), now, tier.OnceOptions{}); err != nil || len(r.Moved) != 5 || len(r.Problems) != 0 {
		t.Errorf("mounted again: %+v, %v", r, err)
	}
	s.clean(t)
}

func TestOneAgent(t *testing.T) {
	s := local(t)
	s.open(t, nil)
	_, err := tier.Open(t.Context(), s.opts)
	if !errors.Is(err, filelock.ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("a second agent: %v", err)
	}
}

// TestForeignSegments: an agent moves on only what its own log has.
func TestForeignSegments(t *testing.T) {
	s := local(t)
	s.run(t, now, tier.OnceOptions{})
	s.opts.Writer = "other"
	r := s.run(t, longAfter, tier.OnceOptions{})
	if r.Foreign != 5 || len(r.Moved) != 0 {
		t.Errorf("%+v", r)
	}
	s.clean(t)
}

// TestAfterRebuild: a log rebuilt while sources waited for their deletion knows
// nothing of that; the agent finds them.
func TestAfterRebuild(t *testing.T) {
	s := hotInMemory(t)
	s.opts.Grace = time.Hour
	s.run(t, now, tier.OnceOptions{})
	if _, err := manifest.Rebuild(t.Context(), s.Manifest, "main", s.tiers(), manifest.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if r := s.fsck(t); !r.OK() || len(r.Findings) != 5 {
		t.Errorf("fsck after the rebuild:\n%v", r)
	}
	if r := s.run(t, now, tier.OnceOptions{}); r.Deleted != 5 || s.sealedHot(t) != 0 {
		t.Errorf("%+v", r)
	}
	s.readable(t)
	s.clean(t)
}

// TestGapLedger: the ledger comes from the segments, and a rebuild gives the same.
func TestGapLedger(t *testing.T) {
	s := local(t)
	s.run(t, now, tier.OnceOptions{})
	ledger := func() []manifest.Gap {
		f, err := manifest.Load(t.Context(), s.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		return f.State().Gaps()
	}
	before := ledger()
	if len(before) != 1 || before[0].Cause != "sequence" || before[0].Symbol != "a_usd" || before[0].FirstSeq != 7 || before[0].Start == 0 {
		t.Errorf("ledger %+v", before)
	}
	if err := os.RemoveAll(s.Manifest); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Rebuild(t.Context(), s.Manifest, "main", s.tiers(), manifest.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if after := ledger(); len(after) != 1 || after[0] != before[0] {
		t.Errorf("after a rebuild: %+v", after)
	}
	s.clean(t)
}

func TestOptionsAreChecked(t *testing.T) {
	good := local(t).opts
	for name, spoil := range map[string]func(o *tier.Options){
		"no clean":    func(o *tier.Options) { o.Clean = "" },
		"no manifest": func(o *tier.Options) { o.Manifest = "" },
		"no tiers":    func(o *tier.Options) { o.Tiers = nil },
		"no store":    func(o *tier.Options) { o.Tiers = []tier.Policy{{Tier: blob.Tier{Name: "warm"}}} },
		"hot": func(o *tier.Options) {
			o.Tiers = []tier.Policy{{Tier: blob.Tier{Name: "hot", Store: good.Tiers[0].Store}}}
		},
		"twice": func(o *tier.Options) { o.Tiers = []tier.Policy{good.Tiers[0], good.Tiers[0]} },
		"wrong order": func(o *tier.Options) {
			o.Tiers = []tier.Policy{{Tier: good.Tiers[0].Tier, After: 200 * time.Hour}, good.Tiers[1]}
		},
		"negative poll": func(o *tier.Options) { o.Poll = -1 },
		"bad writer":    func(o *tier.Options) { o.Writer = "a/b" },
	} {
		opts := good
		spoil(&opts)
		if a, err := tier.Open(t.Context(), opts); err == nil {
			t.Errorf("%s: accepted", name)
			_ = a.Close()
		}
	}
}

// TestRun: the loop moves what is due, waits, and moves what has become due.
func TestRun(t *testing.T) {
	s := local(t)
	synctest.Test(t, func(t *testing.T) {
		opts := s.opts
		start := time.Now()
		opts.Now = func() time.Time { return now.Add(time.Since(start)) }
		opts.Poll = time.Minute
		a, err := tier.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		if got := len(keys(t, s.warm)); got != 5 {
			t.Errorf("%d segments in warm after the first run", got)
		}
		s.add(t, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: "trade", Segments: 1, Start: now.UnixNano()})
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(keys(t, s.warm)); got != 5 {
			t.Errorf("%d segments in warm before the new one is due", got)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := len(keys(t, s.warm)); got != 6 {
			t.Errorf("%d segments in warm after the new one is due", got)
		}
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Error(err)
		}
	})
	s.clean(t)
}
