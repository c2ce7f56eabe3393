package main

import (
	"testing"
	"time"

	"chronicle/ingest/etl"
	"chronicle/store/queue"
)

func TestLag(t *testing.T) {
	h := head{seq: 100, time: 5_000}
	for _, c := range []struct {
		seq  uint64
		at   int64
		want lag
	}{
		{100, 4_000, lag{}},
		{101, 9_000, lag{}}, // the machine has crashed, and the queue lost records
		{90, 4_000, lag{10, 1_000}},
		{90, 6_000, lag{10, 0}}, // late records have lower times
		{90, 0, lag{10, 0}},     // it does not tell the time
	} {
		if got := h.behind(c.seq, c.at); got != c.want {
			t.Errorf("behind(%d, %d) = %+v, want %+v", c.seq, c.at, got, c.want)
		}
	}
}

func TestHeadAndTimeOf(t *testing.T) {
	_, dir := rawRoot(t) // 30 records, one a second
	if h, err := headOf(dir); err != nil || h != (head{30, 30e9}) {
		t.Errorf("head %+v, %v", h, err)
	}
	for seq, want := range map[uint64]int64{1: 1e9, 17: 17e9, 30: 30e9, 31: 0} {
		if at, ok, err := timeOf(dir, seq); err != nil || at != want || ok != (want > 0) {
			t.Errorf("time of %d: %d, %v, %v", seq, at, ok, err)
		}
	}
	if _, err := queue.RemoveOldest(dir, 11); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := timeOf(dir, 5); ok || err != nil {
		t.Errorf("time of a record that is gone: %v, %v", ok, err)
	}
	empty := t.TempDir()
	w, err := queue.OpenWriter(empty, queue.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if h, err := headOf(empty); err != nil || h != (head{}) {
		t.Errorf("head of an empty queue: %+v, %v", h, err)
	}
}

// What is shown of an ETL that stands still: records that wait, and for how long.
func TestViewETL(t *testing.T) {
	cfg := marketRoot(t, "btc_usd")
	e, err := etl.Open(t.Context(), cfg.etlConfig(cfg.logger(), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	v, err := viewETL(cfg.rawDir(), e)
	if err != nil || v.lag.Records != 12 || v.oldest < time.Since(time.Unix(2, 0)) || v.oldest > time.Since(time.Unix(0, 0)) {
		t.Errorf("before the first record: %+v, %v", v, err)
	}
	if err := e.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := viewETL(cfg.rawDir(), e); err != nil || v.lag != (lag{}) || v.oldest != 0 || v.RawSeq != 12 {
		t.Errorf("caught up: %+v, %v", v, err)
	}
}

func TestAddStats(t *testing.T) {
	a := etl.Stats{RawSeq: 10, RawTime: 100, Records: 5, Written: 1, Gaps: 2, Instruments: 3, Checkpoint: 9, CheckpointTime: 90, CheckpointTook: 4, Streams: queue.GroupStats{Open: 1, Sealed: 2}}
	b := etl.Stats{RawSeq: 8, RawTime: 110, Records: 6, Written: 10, Gaps: 20, Instruments: 30, Checkpoint: 7, CheckpointTime: 95, CheckpointTook: 6, Streams: queue.GroupStats{Open: 10, Sealed: 20}}
	want := etl.Stats{RawSeq: 8, RawTime: 100, Records: 5, Written: 11, Gaps: 22, Instruments: 33, Checkpoint: 7, CheckpointTime: 90, CheckpointTook: 6, Streams: queue.GroupStats{Open: 11, Sealed: 22}}
	if got := addStats(a, b); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}
