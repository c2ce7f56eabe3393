package main

import (
	"time"

	"chronicle/ingest/etl"
)

// report is what the ETL's process saw.
type report struct {
	Periods     []period
	Checkpoints int
	Checkpoint  time.Duration // the longest
	Queues      int
	Open        int
	Reopened    int64
	Close       time.Duration
	Files       int
}

// period is a part of the run. A standstill is a time in which the ETL's count of
// records did not move; it moves every 1,024 records.
type period struct {
	Name    string
	Records uint64
	Took    time.Duration
	Stall   time.Duration
	Quiet   time.Duration // the longest standstill without a checkpoint in it
}

// The periods.
const (
	building = iota
	trading
	rolling
	after
)

// observer looks at an ETL from beside it.
type observer struct {
	task    *task
	r       report
	last    uint64 // raw record seen last, and when
	at      time.Time
	marked  uint64 // its latest checkpoint
	sealing bool   // midnight has passed and what was cut is not all sealed
}

func newObserver(t *task) *observer {
	return &observer{task: t, r: report{Periods: []period{
		{Name: "building the books"}, {Name: "trading"}, {Name: "midnight: all streams cut, begun anew and sealed"}, {Name: "afterwards"},
	}}}
}

// observe looks every 100 µs until the last record is processed.
func (o *observer) observe(e *etl.ETL, done chan<- struct{}) {
	defer close(done)
	o.at = time.Now()
	for o.last < o.task.Last {
		time.Sleep(100 * time.Microsecond)
		o.look(e.Stats(), time.Now())
	}
}

func (o *observer) look(s etl.Stats, now time.Time) {
	o.r.Open = max(o.r.Open, s.Streams.Open)
	if s.RawSeq == o.last {
		return
	}
	p, stood := &o.r.Periods[o.period(s)], now.Sub(o.at)
	p.Records += s.RawSeq - o.last
	p.Took += stood
	p.Stall = max(p.Stall, stood)
	if s.Checkpoint == o.marked {
		p.Quiet = max(p.Quiet, stood)
	} else {
		o.r.Checkpoints++
		o.r.Checkpoint = max(o.r.Checkpoint, s.CheckpointTook)
	}
	o.last, o.at, o.marked = s.RawSeq, now, s.Checkpoint
}

// period tells where the record lies. What midnight cuts is sealed after the next
// checkpoint; until none is pending any more it is midnight still.
func (o *observer) period(s etl.Stats) int {
	switch {
	case s.RawSeq < o.task.Opened:
		return building
	case s.RawSeq < o.task.Midnight:
		return trading
	case o.last < o.task.Midnight:
		o.sealing = true
	case s.Checkpoint >= o.task.Midnight && s.Streams.Pending == 0:
		o.sealing = false
	}
	if o.sealing {
		return rolling
	}
	return after
}

func (o *observer) report() *report { return &o.r }

// stats takes over what the ETL counts itself.
func (r *report) stats(s etl.Stats) {
	r.Queues, r.Reopened = s.Streams.Members, s.Streams.Reopened
}
