package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"chronicle/bench/flow"
)

const (
	latencyRecords = 2_000_000
	latencySymbols = 100
	latencyOrders  = 200_000
)

// refineryLatency measures how long a raw record takes to its clean ones: from its
// commit in the raw queue, by a writer that keeps to a rate, to the moment at which
// the ETL that follows it counts it as processed, which is after the commit of its
// clean records. The writer looks at that count whenever it waits for its next
// record, about ten times a microsecond. The ETL runs beside on another core.
func refineryLatency(ctx context.Context, dir string) ([]row, error) {
	dir, err := os.MkdirTemp(dir, "latency-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c, err := newCourse(ctx, dir, flow.NewL3(latencySymbols, latencyOrders, refinerySeed))
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.etl.Run(following) }()
	h, appends, err := c.paced(ctx)
	stop()
	if err = errors.Join(err, <-ended, c.close()); err != nil {
		return nil, err
	}
	quantiles := func(h *hdrhistogram.Histogram) string {
		return fmt.Sprintf("p50 %.1f, p99 %.1f, p99.9 %.1f, max %.0f µs", float64(h.ValueAtQuantile(50))/1e3, float64(h.ValueAtQuantile(99))/1e3,
			float64(h.ValueAtQuantile(99.9))/1e3, float64(h.Max())/1e3)
	}
	return []row{{fmt.Sprintf("raw commit to clean commit, L3, %d symbols, %s messages/s", latencySymbols, quantity(flowRate)), quantiles(h),
		quantiles(appends) + " (making the event and appending it)", fmt.Sprintf("%.0fx at p50", float64(h.ValueAtQuantile(50))/float64(appends.ValueAtQuantile(50)))}}, nil
}

// paced appends at the rate and gives the times to the clean commit, and those of the appends.
func (c *course) paced(ctx context.Context) (clean, appends *hdrhistogram.Histogram, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	clean, appends = histogram(), histogram()
	committed := make([]int64, latencyRecords) // when, ns after start
	first := c.etl.Stats().RawSeq + 1
	start, passed := time.Now(), 0
	look := func() int64 {
		now := int64(time.Since(start))
		for seen := int(c.etl.Stats().RawSeq + 1 - first); passed < seen; passed++ {
			_ = clean.RecordValue(min(max(now-committed[passed], 1), longestDelay))
		}
		return now
	}
	for i := range committed {
		due, now := int64(i)*int64(time.Second)/flowRate, look()
		for now < due {
			now = look()
		}
		if err := c.raw.Append(c.flow, 1); err != nil {
			return nil, nil, err
		}
		committed[i] = int64(time.Since(start))
		_ = appends.RecordValue(min(committed[i]-now, longestDelay))
		if i%flowRate == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
	for end := time.Now().Add(10 * time.Second); passed < latencyRecords; {
		if look(); time.Now().After(end) {
			return nil, nil, fmt.Errorf("the ETL has passed %d of %d records", passed, latencyRecords)
		}
	}
	return clean, appends, nil
}
