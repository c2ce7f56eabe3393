package bybit

import (
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/store/queue"
)

// nowhere is a queue that keeps nothing.
type nowhere struct {
	body    [4096]byte
	records int
}

func (n *nowhere) Reserve(size int) ([]byte, error) { return n.body[:size], nil }

func (n *nowhere) Commit(queue.Record, int) (uint64, error) {
	n.records++
	return 0, nil
}

// steady gives a session that knows its instruments, and rounds of frames for it.
func steady() (q *nowhere, round func()) {
	q = &nowhere{}
	s := New(emit.New(q, &emit.Counters{}, emit.Options{Venue: "bybit"}))
	s.Response(1, nil, []byte("/instruments-info"), []byte(linearList))
	conn := []byte("ws.1")
	s.Connect(1, conn, []byte(linearAddr))
	var frames [][]byte
	for _, f := range []string{snapshot, delta, trade, ticker, partTicker, kline, answer} {
		frames = append(frames, []byte(f))
	}
	s.Receive(1, conn, frames[0])
	frames = frames[1:]
	return q, func() {
		for _, f := range frames {
			s.Receive(2, conn, f)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	q, round := steady()
	round()
	before := q.records
	round()
	if n := q.records - before; n != 6 {
		t.Errorf("%d records a round, want 6", n)
	}
	if allocs := testing.AllocsPerRun(100, round); allocs != 0 {
		t.Errorf("%v allocations for six frames, want 0", allocs)
	}
}

func BenchmarkReceive(b *testing.B) {
	_, round := steady()
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}
