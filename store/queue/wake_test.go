package queue

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkWakeUp reports how long after its commit a waiting tailer has a
// record, when one comes every 200 µs: long enough for the tailer to sleep.
func BenchmarkWakeUp(b *testing.B) {
	w, err := OpenWriter(benchDir(b), Options{NoSync: true})
	must(b, err)
	defer w.Close()
	done := make(chan error, 1)
	tailer := tail(b, w.dir, 0)
	ctx, cancel := timeout()
	defer cancel()
	go func() {
		due := time.Now()
		for range b.N {
			for due = due.Add(200 * time.Microsecond); time.Now().Before(due); {
			}
			if _, err := w.Append(Record{Time: time.Now().UnixNano()}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	took := make([]int64, 0, b.N)
	for len(took) < b.N {
		r, ok, err := tailer.Next()
		must(b, err)
		if !ok {
			must(b, tailer.Wait(ctx))
			continue
		}
		took = append(took, time.Now().UnixNano()-r.Time)
	}
	must(b, <-done)
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}
