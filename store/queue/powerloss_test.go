package queue

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"chronicle/internal/faultfs"
)

// TestPowerLoss lets the power fail at random moments, several times in the life
// of a queue, on disks of several kinds; in between, operations fail and the
// process is killed. What was synced is there afterwards, what is there is the
// series, and what was cut is told.
func TestPowerLoss(t *testing.T) {
	for name, precreate := range map[string]bool{"inline": false, "precreate": true} {
		t.Run(name, func(t *testing.T) {
			for seed := range 12 * soak() {
				powerLoss(t, seed, precreate)
			}
		})
	}
}

func powerLoss(t *testing.T, seed int, precreate bool) {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	rng := rand.New(rand.NewPCG(uint64(seed), 7))
	disk := rand.New(rand.NewPCG(uint64(seed), 8))
	o := &outage{t: t, rng: rng, disk: disk, mode: faultfs.Mode{Ordered: seed%2 == 0, Sectors: seed%3 == 0}}
	if seed%4 == 1 {
		o.size = 50
	}
	o.root = filepath.Join(fastDir(t), "life0")
	defer os.RemoveAll(filepath.Dir(o.root))
	must(t, os.Mkdir(o.root, 0o755))
	for range 4 {
		o.live(Options{
			SegmentBytes: minSegmentBytes << rng.IntN(4), Precreate: precreate,
			ManualRoll: !precreate && rng.IntN(4) == 0, Meta: bytes.Repeat([]byte("m"), rng.IntN(MaxMeta)),
		})
		o.check()
	}
}
