package main

import (
	"context"
	"fmt"
	"log/slog"

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
	tellRecovery(cfg.logger(), w.Recovery())
	return w, nil
}

// tellRecovery logs what an earlier writer left that is no longer there as it was.
func tellRecovery(log *slog.Logger, rec queue.Recovery) {
	if rec.CutBytes > 0 {
		log.Warn("raw queue had a torn tail, now cut", "segment", rec.Cut, "offset", rec.CutOffset, "bytes", rec.CutBytes, "cause", rec.CutCause, "last_seq", rec.LastSeq)
	}
	if rec.HeaderRebuilt {
		log.Warn("raw queue's last segment had lost its header, now made again", "last_seq", rec.LastSeq)
	}
	if rec.LostRecords > 0 || len(rec.SetAside) > 0 || len(rec.Lowered) > 0 {
		log.Error("a crash of the machine has cost the raw queue records", "records_after_the_loss", rec.LostRecords,
			"saved_to", rec.SavedTo, "segments_set_aside", rec.SetAside, "consumers_ahead", rec.Lowered, "last_seq", rec.LastSeq)
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
