package proof

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"chronicle/ingest/etl"
	"chronicle/market"
	"chronicle/store/queue"
)

// TestSameInputSameOutput makes the clean streams of one raw input in several ways:
// straight through; in pieces, with restarts, older checkpoints and other bounds;
// and in shards. They are the same, record for record.
func TestSameInputSameOutput(t *testing.T) {
	for seed := range uint64(rounds(4, 60)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sameOutput(t, seed) })
	}
}

func sameOutput(t *testing.T, seed uint64) {
	wd := drawWorld(seed)
	wd.Series.Sessions, wd.Series.Least, wd.Series.Most = 3, 700, 1000
	in := site{fastDir(t)}
	w := newWire(t, wd)
	rng := rand.New(rand.NewPCG(seed, 0x5a3e))
	for !w.over() { // a few lives of the feed
		raw := in.openRaw(t, queue.Options{SegmentBytes: 64 << 10, NoSync: true})
		w.listen(raw, w.now+1+rng.Int64N(w.length()))
		must(t, raw.Close())
		w.skip(w.now + rng.Int64N(second))
	}
	straight := site{fastDir(t)}
	policy := straight.crashConfig()
	policy.RawDir, policy.NoSync = in.raw(), true
	stats := refine(t, policy)
	want := straight.streams(t)
	if len(want) < 8 || stats.Gaps == 0 || stats.Snapshots < 50 {
		t.Fatalf("%d streams, %+v: too little to say anything", len(want), stats)
	}
	t.Run("in pieces", func(t *testing.T) { wantSame(t, "in pieces", inPieces(t, in, rng).streams(t), want) })
	t.Run("in shards", func(t *testing.T) { wantSame(t, "in shards", inShards(t, in, wd, rng).streams(t), want) })
}

// inPieces lets a raw queue grow by a random number of records at a time, and
// has an ETL take them in that is started anew each time: from its checkpoint, from
// an older one, as after a crash, or from none.
func inPieces(t *testing.T, in site, rng *rand.Rand) site {
	t.Helper()
	s := site{fastDir(t)}
	records := in.rawRecords(t)
	old := filepath.Join(s.root, "old-state")
	for len(records) > 0 {
		n := 1 + rng.IntN(min(len(records), 1500))
		w := s.openRaw(t, queue.Options{SegmentBytes: 8<<10 + rng.Int64N(200<<10), NoSync: true})
		begins := false
		for i := range records[:n] {
			_, err := w.Append(records[i])
			must(t, err)
			begins = begins || bytes.Contains(records[i].Body, []byte(market.SessionSourceBegin))
		}
		must(t, w.Close())
		records = records[n:]
		if begins { // an ETL checkpoints before it: an older state is none that a crash can leave
			must(t, os.RemoveAll(old))
		}
		cfg := s.crashConfig()
		cfg.NoSync, cfg.CheckpointEvery, cfg.MaxOpen = true, 1+rng.Uint64N(400), 3+rng.IntN(40)
		refine(t, cfg)
		switch _, err := os.Stat(old); {
		case rng.IntN(5) == 0: // it is lost
			must(t, os.RemoveAll(s.state()))
			must(t, os.RemoveAll(old))
		case err != nil && rng.IntN(2) == 0: // remember this one
			must(t, os.CopyFS(old, os.DirFS(s.state())))
		case err == nil && rng.IntN(2) == 0: // what was done since was done without a checkpoint
			must(t, os.RemoveAll(s.state()))
			must(t, os.Rename(old, s.state()))
		}
	}
	cfg := s.crashConfig()
	cfg.NoSync = true
	refine(t, cfg)
	return s
}

// inShards divides the instruments at random.
func inShards(t *testing.T, in site, wd world, rng *rand.Rand) site {
	t.Helper()
	s := site{fastDir(t)}
	shards := []etl.Shard{{Name: "a"}, {Name: "b"}, {Name: "rest", Symbols: []string{"_*", "locate-*"}}}
	for _, symbol := range wd.Symbols {
		i := rng.IntN(2)
		shards[i].Symbols = append(shards[i].Symbols, market.CanonicalSymbol(symbol))
	}
	for i := range shards {
		if len(shards[i].Symbols) == 0 {
			shards[i].Symbols = []string{"none"}
		}
	}
	for _, shard := range shards {
		cfg := s.crashConfig()
		cfg.RawDir, cfg.NoSync, cfg.CheckpointEvery = in.raw(), true, 1+rng.Uint64N(900)
		cfg.Shards, cfg.Shard = shards, shard.Name
		cfg.StateDir, cfg.Consumer = filepath.Join(s.state(), shard.Name), "etl-"+shard.Name
		refine(t, cfg)
	}
	return s
}
