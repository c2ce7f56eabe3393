package main

import (
	"context"
	"fmt"
	"log/slog"

	"chronicle/ingest/etl"
	"chronicle/query"
	"chronicle/store/queue"
)

// liveRaw gives the options of a live feed's raw queue: the feed must not wait for
// a new segment, so one is made and touched ahead of it.
func (c *Config) liveRaw() queue.Options {
	return queue.Options{SegmentBytes: c.Feed.SegmentBytes, Precreate: true, SyncInterval: c.Feed.SyncInterval}
}

// replayRaw are the options of the raw queue when a recording comes in, which has time.
var replayRaw = queue.Options{SegmentBytes: 64 << 20}

// openRaw opens the raw queue for writing.
func openRaw(cfg *Config, opts queue.Options) (*queue.Writer, error) {
	w, err := queue.OpenWriter(cfg.rawDir(), opts)
	if err != nil {
		return nil, fmt.Errorf("raw queue: %w", err)
	}
	if rec := w.Recovery(); rec.CutBytes > 0 {
		cfg.logger().Warn("raw queue had a torn tail, now cut", "bytes", rec.CutBytes, "last_seq", w.NextSeq()-1)
	}
	return w, nil
}

func (c *Config) etlConfig(log *slog.Logger) etl.Config {
	return etl.Config{
		RawDir: c.rawDir(), CleanDir: c.cleanDir(), StateDir: c.stateDir(),
		Policy: c.policy(), CheckpointEvery: c.ETL.CheckpointEvery, Log: log,
	}
}

// openArchive opens the archive below the root for reading.
func openArchive(ctx context.Context, cfg *Config) (*query.Archive, error) {
	qc := query.Config{Root: cfg.Root, IndexPath: cfg.Serve.Index, Log: cfg.logger()}
	if cfg.Tier.ColdDir != "" {
		qc.Tiers = map[string]string{"cold": cfg.Tier.ColdDir}
	}
	return query.Open(ctx, qc)
}
