package kraken

import (
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/recording"
	"chronicle/ingest/feed/recording/recordingtest"
)

const recorded = "crypto/KRAKEN.jsonl.zst"

func session(e *emit.Emitter) recording.Session { return New(e) }

func BenchmarkReceive(b *testing.B) { recordingtest.Benchmark(b, recorded, session) }

func TestReceiveDoesNotAllocate(t *testing.T) { recordingtest.NoAllocation(t, recorded, session) }
