package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed"
	"chronicle/internal/durable"
	"chronicle/store/queue"
	"chronicle/store/tier"
)

// How a child is told what to do, and where it tells how it ended.
const (
	killClassEnv = "CHRONICLE_PROOF_KILL_CLASS" // class of operations; empty: it is not to kill itself
	killAtEnv    = "CHRONICLE_PROOF_KILL_AT"    // its n-th operation of the class, from 1
	killAfterEnv = "CHRONICLE_PROOF_KILL_AFTER" // "1": when that is done, else before it
	killSpinEnv  = "CHRONICLE_PROOF_KILL_SPIN"  // of class anyMoment: so many ns later
	sourceEnv    = "CHRONICLE_PROOF_SOURCE"     // raw queue to copy, or capture to replay

	killedName = "killed" // beside the root: the operation at which it killed itself
	countsName = "counts" // beside the root: operations by class, of one that came to its end
)

// anyMoment is the class of the moments after some record has come to the raw queue.
const anyMoment = "any moment"

// classOf says at which stage of which part of the system an operation is.
func classOf(op durable.Op) string {
	path := op.Path
	if op.To != "" {
		path = op.To
	}
	where := "folder"
	switch base := filepath.Base(path); {
	case strings.Contains(path, "/etl/"):
		where = "state"
		if strings.Contains(path, ".q") {
			where = "carried book"
		}
	case strings.Contains(path, "/consumers"):
		where = "consumer"
	case strings.Contains(path, "/manifest"):
		where = "manifest"
	case strings.Contains(path, "/archive"):
		where = "archive"
	case strings.Contains(path, "raw_main.q"):
		where = "raw"
	case strings.Contains(base, "index.meta"):
		where = "clean table"
	case strings.Contains(path, "/clean/") && op.Kind != durable.OpMkdir && op.Kind != durable.OpSyncDir:
		where = "clean segment"
	}
	return op.Kind.String() + ", " + where
}

// suicide kills the process at the operation that the environment names. done
// writes what was counted.
func suicide(dir string) (done func() error) {
	class, after := os.Getenv(killClassEnv), os.Getenv(killAfterEnv) == "1"
	at, _ := strconv.Atoi(os.Getenv(killAtEnv))
	var mu sync.Mutex
	counts := map[string]int{}
	durable.SetHook(func(op durable.Op, apply func() error) error {
		mu.Lock()
		c := classOf(op)
		counts[c]++
		now := class == c && counts[c] == at
		mu.Unlock()
		if !now {
			return apply()
		}
		if after {
			_ = apply() // whether it went well makes no difference any more
		}
		die(dir, c)
		return nil
	})
	if class == anyMoment {
		go dieAfter(site{filepath.Join(dir, "root")}, dir, uint64(at))
	}
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		b, err := json.Marshal(counts)
		return errors.Join(err, os.WriteFile(filepath.Join(dir, countsName), b, 0o644))
	}
}

// die kills the process, and tells where.
func die(dir, class string) {
	_ = os.WriteFile(filepath.Join(dir, killedName), []byte(class), 0o644)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// dieAfter kills the process soon after the raw queue has had record seq.
func dieAfter(s site, dir string, seq uint64) {
	spin, _ := strconv.Atoi(os.Getenv(killSpinEnv))
	for {
		if _, next, err := queue.Bounds(s.raw()); err == nil && next > seq {
			break
		}
	}
	for began := time.Now(); time.Since(began) < time.Duration(spin); {
	}
	die(dir, anyMoment)
}

// child plays one part to its end and gives the exit status.
func child(dir string, part func(s site) error) int {
	done := suicide(dir)
	err := part(site{filepath.Join(dir, "root")})
	durable.SetHook(nil)
	if err = errors.Join(err, done()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// crashConfig gives an ETL that rolls, snapshots and checkpoints all the time.
func (s site) crashConfig() etl.Config {
	cfg := s.config()
	cfg.NoSync, cfg.CheckpointEvery = false, 120
	cfg.Policy = etl.Policy{RollInterval: 700 * time.Millisecond, RollMinBytes: 1, SnapshotInterval: 200 * time.Millisecond, ReplayBudget: 25, RollBytes: 16_000}
	return cfg
}

// childETL follows a raw queue that is written at the same time.
func childETL(s site) error {
	w, err := queue.OpenWriter(s.raw(), queue.Options{SegmentBytes: 32 << 10})
	if err != nil {
		return err
	}
	e, err := etl.Open(context.Background(), s.crashConfig())
	if err != nil {
		return err
	}
	source, err := queue.OpenTailer(os.Getenv(sourceEnv), w.NextSeq())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fed := make(chan error, 1)
	go func() { fed <- feedFrom(source, w, e.Stats, cancel) }()
	err = e.Run(ctx)
	return errors.Join(err, <-fed, e.CatchUp(context.Background()), e.Close(), source.Close(), w.Close())
}

// feedFrom copies records, in bursts, and ends the ETL at the last one.
func feedFrom(source *queue.Tailer, w *queue.Writer, stats func() etl.Stats, end func()) error {
	defer end()
	for n := 0; ; n++ {
		r, ok, err := source.Next()
		if err != nil || !ok {
			return err
		}
		if _, err := w.Append(r); err != nil {
			return err
		}
		if n%300 == 299 { // let it catch up, more or less
			for deadline := time.Now().Add(50 * time.Millisecond); stats().RawSeq+200 < r.Seq && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// childAll replays a capture through feed, ETL and tier agent, all at once.
func childAll(s site) error {
	w, err := queue.OpenWriter(s.raw(), queue.Options{SegmentBytes: 64 << 10, Precreate: true})
	if err != nil {
		return err
	}
	cfg := s.crashConfig()
	cfg.CheckpointEvery = 400
	e, err := etl.Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var ended atomic.Bool
	tiered := make(chan error, 1)
	go func() { tiered <- s.move(&ended) }()
	fed := make(chan error, 1)
	go func() {
		_, err := feed.Replay(ctx, w, s.raw(), feed.ReplayOptions{Format: "itch", Path: os.Getenv(sourceEnv)})
		if errors.Is(err, feed.ErrAlreadyReplayed) {
			err = nil
		}
		cancel()
		fed <- err
	}()
	err = e.Run(ctx)
	err = errors.Join(err, <-fed, e.CatchUp(context.Background()), e.Close(), w.Close())
	ended.Store(true)
	return errors.Join(err, <-tiered)
}

// move archives what is sealed, until everything has been.
func (s site) move(ended *atomic.Bool) error {
	a, err := tier.Open(context.Background(), tier.Options{
		Clean: s.clean(), Manifest: filepath.Join(s.root, "manifest"), Tiers: []tier.Policy{{Tier: s.tiers()[0]}}, Batch: 5,
	})
	if err != nil {
		return err
	}
	defer a.Close()
	for last := false; ; {
		res, err := a.Once(context.Background(), time.Now(), tier.OnceOptions{All: true})
		if err != nil {
			return err
		}
		if len(res.Problems) > 0 {
			return fmt.Errorf("tier agent: %v", res.Problems)
		}
		if last {
			return nil
		}
		if len(res.Moved) == 0 {
			last = ended.Load()
			time.Sleep(time.Millisecond)
		}
	}
}

// counted reads what a child that came to its end has counted.
func counted(dir string) (map[string]int, error) {
	f, err := os.Open(filepath.Join(dir, countsName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	return counts, json.Unmarshal(b, &counts)
}
