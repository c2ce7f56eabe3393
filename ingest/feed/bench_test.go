package feed

import (
	"context"
	"path/filepath"
	"testing"

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
