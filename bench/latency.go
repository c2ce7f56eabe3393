package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"chronicle/bench/flow"
	"chronicle/ingest/etl"
	"chronicle/market"
	"chronicle/store/queue"
)

const (
	latencyRecords = 5_000_000 // 25 s: two checkpoints
	latencySymbols = 100
	latencyOrders  = 200_000
)

// refineryLatency measures how long a raw record takes to its clean one: from its
// commit in the raw queue, by a writer that keeps to a rate, to the moment at which
// a reader of the clean queue has it. The raw queue is in memory and the clean ones
// are on disk, as in production. The ETL follows the raw queue on a core of its
// own. The reader follows the book of the busiest symbol, a fifth of all records,
// and is the writer's own thread, which looks whenever it waits for its next record:
// every few dozen ns.
func refineryLatency(ctx context.Context, dir string) ([]row, error) {
	return latency(ctx, dir, latencyRecords, flow.NewL3(latencySymbols, latencyOrders, refinerySeed))
}

func latency(ctx context.Context, dir string, records int, f flow.Flow) ([]row, error) {
	dir, err := os.MkdirTemp(dir, "latency-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	hot, err := hotDir(dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(hot)
	c, err := newCourse(ctx, hot, dir, f)
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.etl.Run(following) }()
	p := &pacer{c: c, clean: histogram(), appends: histogram(), committed: make([]int64, records)}
	err = p.run(ctx)
	stop()
	if err = errors.Join(err, <-ended, c.close()); err != nil {
		return nil, err
	}
	quantiles := func(h *hdrhistogram.Histogram) string {
		return fmt.Sprintf("p50 %.1f, p99 %.1f, p99.9 %.1f, max %.0f µs", float64(h.ValueAtQuantile(50))/1e3, float64(h.ValueAtQuantile(99))/1e3,
			float64(h.ValueAtQuantile(99.9))/1e3, float64(h.Max())/1e3)
	}
	return []row{{fmt.Sprintf("raw commit to clean reader, L3, %d symbols, %smessages/s", f.Instruments(), quantity(flowRate)), quantiles(p.clean),
		quantiles(p.appends) + " (making the event and appending it)", fmt.Sprintf("%.0fx at p50", float64(p.clean.ValueAtQuantile(50))/float64(p.appends.ValueAtQuantile(50)))}}, nil
}

// pacer writes at the rate and reads what becomes of it.
type pacer struct {
	c              *course
	clean, appends *hdrhistogram.Histogram
	start          time.Time
	first          uint64  // raw sequence of the first record
	committed      []int64 // when each record was, ns after start
	reader         *queue.Tailer
}

func (p *pacer) run(ctx context.Context) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir := etl.StreamDir(p.c.clean, flow.Venue, flow.SymbolOf(1), market.StreamBook)
	_, next, err := queue.Bounds(dir)
	if err != nil {
		return err
	}
	if p.reader, err = queue.OpenTailer(dir, next); err != nil {
		return err
	}
	defer p.reader.Close()
	p.first, p.start = p.c.raw.Queue.NextSeq(), time.Now()
	for i := range p.committed {
		due, now := int64(i)*int64(time.Second)/flowRate, int64(0)
		for now < due || now == 0 {
			if now, err = p.look(); err != nil {
				return err
			}
		}
		if err := p.c.raw.Append(p.c.flow, 1); err != nil {
			return err
		}
		p.committed[i] = int64(time.Since(p.start))
		_ = p.appends.RecordValue(min(p.committed[i]-now, longestDelay))
		if i%flowRate == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return p.drain()
}

// look reads what has come and gives the time, in ns after the start.
func (p *pacer) look() (now int64, err error) {
	for {
		r, ok, err := p.reader.Next()
		now = int64(time.Since(p.start))
		if err != nil || !ok {
			return now, err
		}
		if market.Kind(r.Kind) != market.KindBook {
			continue // a snapshot, which no raw record waits for
		}
		raw := binary.LittleEndian.Uint64(r.Body) // the raw sequence comes first, see market/codec.go
		_ = p.clean.RecordValue(min(max(now-p.committed[raw-p.first], 1), longestDelay))
	}
}

// drain reads on until the ETL has processed everything.
func (p *pacer) drain() error {
	last := p.first + uint64(len(p.committed)) - 1
	for end := time.Now().Add(10 * time.Second); ; {
		over := p.c.etl.Stats().RawSeq >= last
		if _, err := p.look(); over || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the ETL has not come to raw record %d", last)
		}
	}
}
