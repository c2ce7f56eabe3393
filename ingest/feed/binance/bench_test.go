package binance

import (
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/recording/recordingtest"
)

var recorded = map[string]string{
	"spot":          "binance/spot-btcusdt-20240808.gz",
	"usdm":          "binance/usdm-btcusdt-20240808.gz",
	"usdm combined": "crypto/BINANCE_FUTURES.jsonl.zst",
}

func session(e *emit.Emitter) recording.Session { return New(e) }

func BenchmarkReceive(b *testing.B) {
	for name, path := range recorded {
		b.Run(name, func(b *testing.B) { recordingtest.Benchmark(b, path, session) })
	}
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	for name, path := range recorded {
		t.Run(name, func(t *testing.T) { recordingtest.NoAllocation(t, path, session) })
	}
}
