package sequence_test

import (
	"encoding/binary"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/moldudp"
	"chronicle/ingest/feed/sequence"
	"chronicle/store/queue"
)

// counter counts messages.
type counter struct{ n int }

func (c *counter) Message(int64, uint64, []byte) { c.n++ }
func (c *counter) NewSession()                   {}

// sink is a raw queue that keeps nothing.
type sink [4096]byte

func (s *sink) Reserve(n int) ([]byte, error)            { return s[:n], nil }
func (s *sink) Commit(queue.Record, int) (uint64, error) { return 1, nil }

// Messages in order, copies of the second line, packets out of order and messages
// that wait: none of it costs an allocation.
func TestNothingIsAllocated(t *testing.T) {
	to := &counter{}
	e := emit.New(new(sink), &emit.Counters{}, emit.Options{})
	r := sequence.NewReceiver(e, moldudp.Protocol{}, to, sequence.Options{
		Lines: []string{"A", "B"}, Window: 256, Silence: time.Second, Servers: []string{"s"},
		Ask: func(int, []byte) error { return nil },
	})
	var packets [8][]byte
	for i := range packets {
		packets[i] = packet("S", 1000, 5) // of one length; numbered below
	}
	now, seq := int64(1e9), uint64(1)
	round := func() {
		for i := range packets {
			binary.BigEndian.PutUint64(packets[i][10:], seq)
			seq += 5
		}
		for _, x := range []struct{ line, packet int }{
			{0, 0}, {1, 0}, {0, 1}, {0, 3}, {0, 2}, {1, 1}, {1, 2}, {1, 4}, {1, 3}, {0, 6}, {0, 7}, {1, 5}, {1, 6}, {1, 7}, {0, 4}, {0, 4},
		} {
			now += 1000
			r.Packet(x.line, now, packets[x.packet])
		}
		r.Tick(now)
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations for 16 packets", n)
	}
	if to.n != int(seq-1) {
		t.Errorf("%d messages of %d", to.n, seq-1)
	}
}
