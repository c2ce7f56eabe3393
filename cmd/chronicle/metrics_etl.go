package main

import (
	"time"

	"chronicle/ingest/etl"
	"chronicle/ingest/etl/audit"
	"chronicle/internal/telemetry"
)

// etlView is an ETL, or a shard, and how far it is behind its raw queue.
type etlView struct {
	etl.Stats
	lag    lag
	oldest time.Duration // since the first record that is not processed was captured
	age    time.Duration // of the latest checkpoint, while there is something to checkpoint
}

func viewETL(rawDir string, e *etl.ETL) (etlView, error) {
	v, now := etlView{Stats: e.Stats()}, time.Now()
	head, err := headOf(rawDir)
	if err != nil {
		return v, err
	}
	v.lag = head.behind(v.RawSeq, v.RawTime)
	if v.lag.Records > 0 {
		at, ok, err := timeOf(rawDir, v.RawSeq+1)
		if err != nil {
			return v, err
		}
		if ok {
			v.oldest = max(now.Sub(time.Unix(0, at)), 0)
		}
	}
	if v.Checkpoint < v.RawSeq && v.CheckpointTime > 0 {
		v.age = max(now.Sub(time.Unix(0, v.CheckpointTime)), 0)
	}
	return v, nil
}

var etlMetrics = []telemetry.Metric[etlView]{
	telemetry.Gauge("chronicle_etl_raw_sequence", "Last raw record processed.", func(v etlView) float64 { return float64(v.RawSeq) }),
	telemetry.Counter("chronicle_etl_raw_records_total", "Raw records processed; its rate is the throughput.", func(v etlView) float64 { return float64(v.Records) }),
	telemetry.Gauge("chronicle_etl_lag_records", "Raw records that are not processed yet.", func(v etlView) float64 { return float64(v.lag.Records) }),
	telemetry.Gauge("chronicle_etl_lag_seconds", "Capture time from the last record processed to the newest one.", func(v etlView) float64 { return v.lag.Time.Seconds() }),
	telemetry.Gauge("chronicle_etl_oldest_unprocessed_seconds", "How long ago the oldest record that is not processed was captured; 0 when there is none.", func(v etlView) float64 { return v.oldest.Seconds() }),
	telemetry.Counter[etlView]("chronicle_etl_clean_records_total", "Clean records: written; repeated by a restart and there before; adopted although their raw records were lost.", nil).
		By("how", func(v etlView) map[string]float64 {
			return map[string]float64{"written": float64(v.Written), "repeated": float64(v.Repeated), "adopted": float64(v.Adopted)}
		}),
	telemetry.Counter("chronicle_etl_snapshots_total", "Snapshots among them.", func(v etlView) float64 { return float64(v.Snapshots) }),
	telemetry.Counter("chronicle_etl_gaps_total", "Gap markers among them; 'chronicle get --schema gap' has the causes.", func(v etlView) float64 { return float64(v.Gaps) }),
	telemetry.Counter[etlView]("chronicle_etl_checksums_total", "Venue checksums compared with the book.", nil).
		By("result", func(v etlView) map[string]float64 {
			return map[string]float64{"good": float64(v.ChecksumsGood), "bad": float64(v.ChecksumsBad)}
		}),
	telemetry.Counter("chronicle_etl_unknown_orders_total", "Messages that name an order which the book does not hold.", func(v etlView) float64 { return float64(v.UnknownOrders) }),
	telemetry.Counter("chronicle_etl_bad_entries_total", "Changes that a book refused.", func(v etlView) float64 { return float64(v.BadEntries) }),
	telemetry.Counter("chronicle_etl_crossed_events_total", "Events that left the best bid above the best ask.", func(v etlView) float64 { return float64(v.Crossed) }),
	telemetry.Counter("chronicle_etl_stale_events_total", "Repeated events and snapshots that are older than the book.", func(v etlView) float64 { return float64(v.Stale) }),
	telemetry.Counter("chronicle_etl_behind_records_total", "Records left out because their source is older than the stream.", func(v etlView) float64 { return float64(v.Behind) }),
	telemetry.Gauge("chronicle_etl_instruments", "Instruments.", func(v etlView) float64 { return float64(v.Instruments) }),
	telemetry.Gauge("chronicle_etl_streams", "Clean queues.", func(v etlView) float64 { return float64(v.Streams.Members) }),
	telemetry.Gauge("chronicle_etl_open_streams", "Clean queues that are open: mapped and locked.", func(v etlView) float64 { return float64(v.Streams.Open) }),
	telemetry.Counter("chronicle_etl_reopened_streams_total", "Times that a clean queue was opened again after it had made room for another.", func(v etlView) float64 { return float64(v.Streams.Reopened) }),
	telemetry.Gauge("chronicle_etl_unsealed_segments", "Segments that are cut and wait to be sealed.", func(v etlView) float64 { return float64(v.Streams.Pending) }),
	telemetry.Counter("chronicle_etl_sealed_segments_total", "Segments sealed.", func(v etlView) float64 { return float64(v.Streams.Sealed) }),
	telemetry.Gauge("chronicle_etl_checkpoint_age_seconds", "Age of the latest checkpoint; 0 when it has all that was processed.", func(v etlView) float64 { return v.age.Seconds() }),
	telemetry.Gauge("chronicle_etl_checkpoint_seconds", "How long the latest checkpoint held up the pipeline.", func(v etlView) float64 { return v.CheckpointTook.Seconds() }),
}

var auditMetrics = []telemetry.Metric[audit.Stats]{
	telemetry.Gauge("chronicle_etl_audit_streams", "Book streams that are audited.", func(s audit.Stats) float64 { return float64(s.Streams) }),
	telemetry.Counter("chronicle_etl_audit_snapshots_total", "Snapshots compared with the book that the records before them make.", func(s audit.Stats) float64 { return float64(s.Snapshots) }),
	telemetry.Counter("chronicle_etl_audit_records_total", "Records read for that.", func(s audit.Stats) float64 { return float64(s.Records) }),
	telemetry.Counter("chronicle_etl_audit_mismatches_total", "Findings for which a book may be wrong although it is called good.", func(s audit.Stats) float64 { return float64(s.Mismatches) }),
	telemetry.Counter("chronicle_etl_audit_unmarked_total", "Books that are called bad, and no gap marker says why.", func(s audit.Stats) float64 { return float64(s.Unmarked) }),
	telemetry.Counter("chronicle_etl_audit_skipped_total", "Snapshots that were passed over to keep up.", func(s audit.Stats) float64 { return float64(s.Skipped) }),
	telemetry.Counter("chronicle_etl_audit_moved_segments_total", "Segments that were moved away before all of them was proved.", func(s audit.Stats) float64 { return float64(s.Moved) }),
	telemetry.Counter("chronicle_etl_audit_unreadable_segments_total", "Segments that could not be read to their end.", func(s audit.Stats) float64 { return float64(s.Unreadable) }),
	telemetry.Gauge("chronicle_etl_audit_open_rows", "Rows of the ledger whose books are not proved again.", func(s audit.Stats) float64 { return float64(s.Open) }),
	telemetry.Gauge("chronicle_etl_audit_lag_seconds", "What was written longer ago than this has been looked at.", func(s audit.Stats) float64 { return s.Lag.Seconds() }),
}
