package coinbase

import (
	"strconv"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/store/queue"
)

// nowhere is a queue that keeps nothing.
type nowhere struct{ body [4096]byte }

func (n *nowhere) Reserve(size int) ([]byte, error)         { return n.body[:size], nil }
func (n *nowhere) Commit(queue.Record, int) (uint64, error) { return 0, nil }

// steady gives a session that knows its instruments, and rounds of frames for it
// with the numbers that come next.
func steady() (s *Session, round func()) {
	s = New(emit.New(&nowhere{}, &emit.Counters{}, emit.Options{Venue: "coinbase"}))
	s.Response(1, nil, []byte("/products"), []byte(products))
	conn := []byte("ws.1")
	s.Receive(1, conn, []byte(snapshot))
	var frames [][]byte
	for _, f := range []string{update, trades, ticker, heartbeat} {
		frames = append(frames, []byte(numbered(f, "1000000000")))
	}
	next := uint64(1000000000)
	var number [20]byte
	s.lines["ws.1"].next = next
	return s, func() {
		for _, f := range frames {
			text := strconv.AppendUint(number[:0], next, 10)
			at := numberAt(f)
			copy(f[at:], text)
			s.Receive(2, conn, f)
			next++
		}
	}
}

// numberAt finds a frame's number.
func numberAt(f []byte) int {
	const name = `"sequence_num":`
	for i := range f {
		if len(f)-i > len(name) && string(f[i:i+len(name)]) == name {
			return i + len(name)
		}
	}
	return -1
}

func TestNoAllocation(t *testing.T) {
	s, round := steady()
	if allocs := testing.AllocsPerRun(100, round); allocs != 0 {
		t.Errorf("%v allocations for four frames, want 0", allocs)
	}
	if s.symbols["ETH-USD"] == nil || s.symbols["BTC-USD"].trade == 0 {
		t.Error("the frames were not read")
	}
}

func BenchmarkReceive(b *testing.B) {
	_, round := steady()
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}
