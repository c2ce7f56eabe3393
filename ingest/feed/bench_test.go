package feed

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/sim"
	"chronicle/internal/testdata"
	"chronicle/store/queue"
)

func benchQueue(b *testing.B) (*queue.Writer, string) {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "raw_main.q")
	w, err := queue.OpenWriter(dir, queue.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.Close() })
	return w, dir
}

func BenchmarkReplay(b *testing.B) {
	for format, name := range map[string]string{
		"binance-usdm": "binance/usdm-btcusdt-20240808.gz", "kraken": "crypto/KRAKEN.jsonl.zst", "itch": "itch/ex20101224.TEST_ITCH_50.gz",
	} {
		b.Run(format, func(b *testing.B) {
			path := filepath.Join(testdata.Dir(), name)
			var messages uint64
			for b.Loop() {
				w, dir := benchQueue(b)
				stats, err := Replay(context.Background(), w, dir, ReplayOptions{Format: format, Path: path})
				if err != nil {
					b.Skip(err)
				}
				messages += stats.Messages
			}
			b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// endless is a source that never waits.
type endless struct {
	s   *sim.Sim
	n   int
	now time.Time
}

func (e *endless) Next() ([]byte, int64, error) {
	if e.n--; e.n < 0 {
		return nil, 0, context.Canceled
	}
	return e.s.NextPacket(e.now), e.now.UnixNano(), nil
}

// BenchmarkPump is the whole way of a datagram but the socket: sequence,
// decoding, appending. It contains the simulator's share, see its own benchmark.
func BenchmarkPump(b *testing.B) {
	w, _ := benchQueue(b)
	s, err := sim.New(sim.Options{Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	_ = pump(context.Background(), &endless{s, b.N, time.Now()}, emit.New(w, &Counters{}, emit.Options{Venue: "sim"}))
	b.ReportMetric(float64(s.Seq())/b.Elapsed().Seconds(), "messages/s")
}
