package main

import (
	"sync"
	"time"

	"chronicle/internal/telemetry"
	"chronicle/store/tier"
)

// tierView is what a tier agent has done so far.
type tierView struct {
	moved, bytes, finished, undone, deleted, failed uint64
	waiting, problems                               int // of the last run
	last                                            time.Time
}

// tierCounts adds up the runs of a tier agent.
type tierCounts struct {
	mu  sync.Mutex
	sum tierView // guarded by mu
}

// add counts a run; see tier.Options.Observe.
func (c *tierCounts) add(r *tier.Result, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.sum
	s.moved += uint64(len(r.Moved))
	s.bytes += uint64(r.Bytes)
	s.finished += uint64(r.Finished)
	s.undone += uint64(r.Undone)
	s.deleted += uint64(r.Deleted)
	s.waiting, s.problems, s.last = r.Waiting, len(r.Problems), time.Now()
	if err != nil {
		s.failed++
	}
}

func (c *tierCounts) view() tierView {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sum
}

var tierMetrics = []telemetry.Metric[tierView]{
	telemetry.Counter("chronicle_tier_moved_segments_total", "Segments moved and committed.", func(v tierView) float64 { return float64(v.moved) }),
	telemetry.Counter("chronicle_tier_moved_bytes_total", "Their size.", func(v tierView) float64 { return float64(v.bytes) }),
	telemetry.Counter("chronicle_tier_finished_moves_total", "Moves of an earlier run that were committed.", func(v tierView) float64 { return float64(v.finished) }),
	telemetry.Counter("chronicle_tier_undone_moves_total", "Moves of an earlier run that were taken back.", func(v tierView) float64 { return float64(v.undone) }),
	telemetry.Counter("chronicle_tier_deleted_files_total", "Sources and superfluous copies deleted.", func(v tierView) float64 { return float64(v.deleted) }),
	telemetry.Counter("chronicle_tier_failed_runs_total", "Runs that ended early.", func(v tierView) float64 { return float64(v.failed) }),
	telemetry.Gauge("chronicle_tier_problems", "Segments that the last run could not deal with.", func(v tierView) float64 { return float64(v.problems) }),
	telemetry.Gauge("chronicle_tier_waiting_segments", "Sealed segments that are too young to move.", func(v tierView) float64 { return float64(v.waiting) }),
	telemetry.Gauge("chronicle_tier_last_run_timestamp_seconds", "When the last run ended; 0 before the first.", func(v tierView) float64 {
		if v.last.IsZero() {
			return 0
		}
		return float64(v.last.UnixNano()) / 1e9
	}),
}
