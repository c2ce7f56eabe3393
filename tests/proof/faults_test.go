package proof

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"chronicle/ingest/etl"
	"chronicle/internal/faultfs"
	"chronicle/store/queue"
)

// brokenConfig is an ETL with enough to do for every operation, and little enough
// to do it a hundred times.
func (s site) brokenConfig(raw site) etl.Config {
	cfg := s.crashConfig()
	cfg.RawDir, cfg.CheckpointEvery = raw.raw(), 90
	cfg.Policy.RollBytes, cfg.Policy.RollInterval = 20_000, cfg.Policy.RollInterval*2
	return cfg
}

// stubborn runs an ETL over the raw queue, and starts it again after each failure,
// as whoever looks after it does. It gives the errors.
func stubborn(t *testing.T, cfg etl.Config) (failed []error) {
	t.Helper()
	for range 12 {
		e, err := etl.Open(t.Context(), cfg)
		if err == nil {
			err = e.CatchUp(t.Context())
			err = errors.Join(err, e.Close())
		}
		if err == nil {
			return failed
		}
		failed = append(failed, err)
	}
	t.Fatalf("it goes on failing: %v", failed[len(failed)-1])
	return nil
}

// TestErrorAtEveryOperation has each operation of an ETL fail in turn: not done, done
// all the same, and with the disk full for a while. It says so, and started again it
// makes the streams of an undisturbed run.
func TestErrorAtEveryOperation(t *testing.T) {
	wd := crashWorld()
	wd.Symbols = wd.Symbols[:2]
	wd.Series.Symbols = wd.Symbols
	wd.Series.Sessions, wd.Series.Least, wd.Series.Most = 1, 350, 350
	raw := rawOf(t, wd)
	whole := site{fastDir(t)}
	refine(t, whole.brokenConfig(raw))
	want := whole.streams(t)
	for name, fault := range map[string]faultfs.Fault{
		"not done": {}, "done": {Applied: true}, "half done": {Half: true, Times: 2},
		"full": {Kinds: faultfs.NeedSpace(), Err: syscall.ENOSPC, Times: 3},
	} {
		t.Run(name, func(t *testing.T) {
			step := 1
			if soak() == 1 {
				step = 29
			}
			hit, silent := 0, 0
			for fault.Skip = len(name) % step; ; fault.Skip += step {
				hits, failed := failAt(t, raw, fault, want)
				if hits == 0 {
					break
				}
				hit++
				if len(failed) == 0 {
					silent++
				}
			}
			t.Logf("%d operations failed, %d of them without a word; the last was operation %d", hit, silent, fault.Skip-step)
			if fault.Skip < 50 {
				t.Errorf("only %d operations were there to fail", fault.Skip)
			}
		})
	}
}

// failAt runs an ETL with one fault, and checks what it has made in the end.
func failAt(t *testing.T, raw site, fault faultfs.Fault, want map[string][]queue.Record) (hits int, failed []error) {
	t.Helper()
	dir := fastDir(t)
	defer os.RemoveAll(dir)
	s := site{filepath.Join(dir, "root")}
	must(t, os.MkdirAll(s.root, 0o755))
	fs := faultfs.New(t, s.root)
	defer fs.Close()
	bad := fs.Inject(fault)
	failed = stubborn(t, s.brokenConfig(raw))
	what := fmt.Sprintf("operation %d, which failed with %v", fault.Skip, failed)
	for _, err := range failed {
		if !errors.Is(err, bad.Err) && !strings.Contains(err.Error(), bad.Err.Error()) {
			t.Fatalf("%s: want %v", what, bad.Err)
		}
	}
	s.wantSound(t, what)
	wantSame(t, what, s.streams(t), want)
	return bad.Hits(), failed
}
