package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"chronicle/store/queue"
)

// The hot path between processes: the writer appends at a steady rate while
// readers of other processes, which are this program started again, follow it.

const (
	readerEnv    = "CHRONICLE_BENCH_READER" // directory of the queue to follow
	readerBusy   = "CHRONICLE_BENCH_BUSY"   // set: spin, never sleep
	hotRate      = 500_000                  // records a second
	hotRecords   = 3_000_000
	lastRecord   = 0xffff // kind of the record that ends a run
	longestDelay = int64(10 * time.Second)
)

func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longestDelay, 3) }

// hot measures single appends at a steady rate with readers attached, and the
// time from before the append to the reader's hands.
func hot(ctx context.Context, dir string) ([]row, error) {
	base, err := hotDir(dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(base)
	spinning, err := hotRun(ctx, filepath.Join(base, "spin.q"), true)
	if err != nil {
		return nil, err
	}
	sleeping, err := hotRun(ctx, filepath.Join(base, "sleep.q"), false)
	if err != nil {
		return nil, err
	}
	clock := clockCost()
	quantiles := func(h *hdrhistogram.Histogram) string {
		return fmt.Sprintf("p50 %d, p99 %d, p99.9 %d, p99.99 %d, max %d ns",
			h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9), h.ValueAtQuantile(99.99), h.Max())
	}
	what := fmt.Sprintf("%d k appends/s, 64-byte body", hotRate/1000)
	limit := fmt.Sprintf("%.0f ns (reading the clock, included)", clock)
	ratio := func(v int64) string { return fmt.Sprintf("%.1fx at p50", float64(v)/clock) }
	return []row{
		{what + ", 1 spinning reader attached", quantiles(spinning.appends), limit, ratio(spinning.appends.ValueAtQuantile(50))},
		{what + ", 2 sleeping readers attached", quantiles(sleeping.appends), limit, ratio(sleeping.appends.ValueAtQuantile(50))},
		{"writer to reader, another process, spinning", quantiles(spinning.arrivals), limit, ratio(spinning.arrivals.ValueAtQuantile(50))},
		{"writer to reader, another process, spin, yield, sleep", quantiles(sleeping.arrivals), limit, ratio(sleeping.arrivals.ValueAtQuantile(50))},
	}, nil
}

// hotDir makes a directory on tmpfs, where a hot queue lies, or else below dir.
func hotDir(dir string) (string, error) {
	if shm, err := os.MkdirTemp("/dev/shm", "chronicle-bench-"); err == nil {
		return shm, nil
	}
	return os.MkdirTemp(dir, "hot-")
}

type hotResult struct{ appends, arrivals *hdrhistogram.Histogram }

// hotRun appends at the rate with readers attached: one that spins, or two that do not.
func hotRun(ctx context.Context, dir string, busy bool) (hotResult, error) {
	w, err := queue.OpenWriter(dir, queue.Options{SegmentBytes: 128 << 20, Precreate: true, NoSync: true})
	if err != nil {
		return hotResult{}, err
	}
	defer w.Close()
	readers := 2
	if busy {
		readers = 1
	}
	var attached []*reader
	for range readers {
		r, err := startReader(ctx, dir, busy)
		if err != nil {
			return hotResult{}, err
		}
		attached = append(attached, r)
	}
	h, err := paced(ctx, w)
	result := hotResult{appends: h, arrivals: histogram()}
	for _, r := range attached {
		arrivals, e := r.wait()
		if err = errors.Join(err, e); e == nil {
			result.arrivals.Merge(arrivals)
		}
	}
	return result, err
}

// paced appends at the rate, spinning between, and times each append.
func paced(ctx context.Context, w *queue.Writer) (*hdrhistogram.Histogram, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, body := histogram(), make([]byte, 64)
	start := time.Now()
	for i := range hotRecords {
		due := start.Add(time.Duration(i) * time.Second / hotRate)
		now := time.Now()
		for now.Before(due) {
			now = time.Now()
		}
		if _, err := w.Append(queue.Record{Time: now.UnixNano(), Kind: 2, Body: body}); err != nil {
			return nil, err
		}
		_ = h.RecordValue(min(int64(time.Since(now)), longestDelay))
		if i%hotRate == 0 && ctx.Err() != nil {
			break
		}
	}
	_, err := w.Append(queue.Record{Kind: lastRecord})
	return h, err
}

// clockCost gives the time that two readings of the clock take, in ns.
func clockCost() float64 {
	const n = 1_000_000
	start := time.Now()
	for range n {
		_ = time.Since(time.Now())
	}
	return float64(time.Since(start)) / n
}

// reader is an attached process.
type reader struct {
	cmd *exec.Cmd
	out io.Reader
}

func startReader(ctx context.Context, dir string, busy bool) (*reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Stderr, cmd.Env = os.Stderr, append(os.Environ(), readerEnv+"="+dir)
	if busy {
		cmd.Env = append(cmd.Env, readerBusy+"=1")
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	var ready [1]byte
	_, err = io.ReadFull(out, ready[:])
	return &reader{cmd, out}, err
}

// wait gives the arrivals that the reader has seen.
func (r *reader) wait() (*hdrhistogram.Histogram, error) {
	var s hdrhistogram.Snapshot
	if err := errors.Join(json.NewDecoder(r.out).Decode(&s), r.cmd.Wait()); err != nil {
		return nil, fmt.Errorf("reader: %w", err)
	}
	return hdrhistogram.Import(&s), nil
}

// follow is the reader's process: it follows the queue to the run's last record
// and prints the histogram of the times that records took to arrive.
func follow(ctx context.Context, dir string, out io.Writer) error {
	t, err := queue.OpenTailerOptions(dir, 1, queue.TailerOptions{Busy: os.Getenv(readerBusy) != ""})
	if err != nil {
		return err
	}
	defer t.Close()
	if _, err := out.Write([]byte("\n")); err != nil {
		return err
	}
	h := histogram()
	for {
		r, ok, err := t.Next()
		switch {
		case err != nil:
			return err
		case !ok:
			if err := t.Wait(ctx); err != nil {
				return err
			}
		case r.Kind == lastRecord:
			return json.NewEncoder(out).Encode(h.Export())
		default:
			_ = h.RecordValue(min(max(time.Now().UnixNano()-r.Time, 1), longestDelay))
		}
	}
}
