package moldudp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

// heard notes the messages that a receiver hands on.
type heard struct {
	seqs     []uint64
	sessions int
}

func (h *heard) Message(_ int64, seq uint64, msg []byte) {
	if string(msg) != fmt.Sprint("m", seq) && seq != 0 {
		panic("message " + string(msg) + " handed on as " + fmt.Sprint(seq))
	}
	h.seqs = append(h.seqs, seq)
}

func (h *heard) NewSession() { h.sessions++ }

// packet makes a packet of the messages "m<seq>" that follow seq.
func packet(session string, seq uint64, count int) []byte {
	b := append([]byte(fmt.Sprintf("%-10s", session)), make([]byte, 10)...)
	binary.BigEndian.PutUint64(b[10:], seq)
	binary.BigEndian.PutUint16(b[18:], uint16(count))
	for i := range count {
		if count == endOfSession {
			break
		}
		msg := fmt.Sprint("m", seq+uint64(i))
		b = binary.BigEndian.AppendUint16(b, uint16(len(msg)))
		b = append(b, msg...)
	}
	return b
}

// run feeds packets and says what came of them.
func run(t *testing.T, packets ...[]byte) (string, emit.Stats, *heard) {
	t.Helper()
	q, c, h := &emittest.Queue{}, &emit.Counters{}, &heard{}
	r := NewReceiver(emit.New(q, c, emit.Options{Venue: "xnas"}), "itch", h)
	for i, p := range packets {
		r.Packet(int64(1000+i), p)
	}
	r.Finish(2000)
	if err := q.Check(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, rec := range q.Records[min(1, len(q.Records)):] {
		switch market.Kind(rec.Kind) {
		case market.KindGap:
			g, _ := market.DecodeJSON[market.Gap](rec.Body)
			said = append(said, fmt.Sprintf("%s %d-%d", g.Cause, g.FirstSeq, g.LastSeq))
		case market.KindSession:
			s, _ := market.DecodeJSON[market.Session](rec.Body)
			said = append(said, fmt.Sprintf("%s %q", s.Event, s.Session))
		}
	}
	return strings.Join(said, "; "), c.Stats(), h
}

func TestReceiver(t *testing.T) {
	truncated := packet("A", 4, 3)
	truncated = truncated[:len(truncated)-1]
	for _, c := range []struct {
		name    string
		packets [][]byte
		said    string
		seqs    []uint64
		skipped map[string]uint64
	}{
		{"in order", [][]byte{packet("A", 1, 2), packet("A", 3, 0), packet("A", 3, 1)}, `new_session "A"`, []uint64{1, 2, 3}, nil},
		{"late join", [][]byte{packet("A", 5, 1)}, `new_session "A"; late_join 1-4`, []uint64{5}, nil},
		{"late join shown by a heartbeat", [][]byte{packet("A", 5, 0), packet("A", 5, 1)}, `new_session "A"; late_join 1-4`, []uint64{5}, nil},
		{"hole", [][]byte{packet("A", 1, 2), packet("A", 5, 1)}, `new_session "A"; sequence 3-4`, []uint64{1, 2, 5}, nil},
		{"hole shown by a heartbeat", [][]byte{packet("A", 1, 1), packet("A", 4, 0), packet("A", 4, 1)}, `new_session "A"; sequence 2-3`, []uint64{1, 4}, nil},
		{"hole shown by the end", [][]byte{packet("A", 1, 1), packet("A", 3, endOfSession), packet("A", 3, endOfSession)},
			`new_session "A"; sequence 2-2; end_session "A"`, []uint64{1}, nil},
		{"second line", [][]byte{packet("A", 1, 2), packet("A", 1, 2), packet("A", 3, 1), packet("A", 3, 1)},
			`new_session "A"`, []uint64{1, 2, 3}, map[string]uint64{"duplicate": 3}},
		{"overlap", [][]byte{packet("A", 1, 3), packet("A", 2, 4)}, `new_session "A"`, []uint64{1, 2, 3, 4, 5}, map[string]uint64{"duplicate": 2}},
		{"new session", [][]byte{packet("A", 1, 1), packet("B", 1, 1), packet("A", 2, 1), packet("B", 2, 1)},
			`new_session "A"; new_session "B"`, []uint64{1, 1, 2}, map[string]uint64{"old_session": 1}},
		{"short packet", [][]byte{packet("A", 1, 1), []byte("short"), packet("A", 2, 1)}, `new_session "A"`, []uint64{1, 2}, map[string]uint64{"bad_packet": 1}},
		{"absurd sequence", [][]byte{packet("A", 1, 1), packet("A", 1<<64-1, 0), packet("A", 2, 1)}, `new_session "A"`, []uint64{1, 2}, map[string]uint64{"bad_packet": 1}},
		{"truncated, filled by the other line", [][]byte{packet("A", 1, 3), truncated, packet("A", 4, 3)},
			`new_session "A"`, []uint64{1, 2, 3, 4, 5, 6}, map[string]uint64{"truncated_packet": 1, "duplicate": 2}},
		{"truncated, then on", [][]byte{packet("A", 1, 3), truncated, packet("A", 7, 1)},
			`new_session "A"; source 6-6`, []uint64{1, 2, 3, 4, 5, 7}, map[string]uint64{"truncated_packet": 1}},
		{"truncated at the end", [][]byte{packet("A", 1, 3), truncated}, `new_session "A"; source 6-6`, []uint64{1, 2, 3, 4, 5}, map[string]uint64{"truncated_packet": 1}},
		{"truncated, then a new session", [][]byte{packet("A", 1, 3), truncated, packet("B", 1, 1)},
			`new_session "A"; source 6-6; new_session "B"`, []uint64{1, 2, 3, 4, 5, 1}, map[string]uint64{"truncated_packet": 1}},
		{"trailing bytes", [][]byte{append(packet("A", 1, 1), 0, 0, 0)}, `new_session "A"`, []uint64{1}, map[string]uint64{"trailing_bytes": 1}},
		{"no sequence", [][]byte{packet("\x00", 0, 2), packet("\x00", 0, 0), packet("\x00", 0, 1)}, "unsequenced 0-0", []uint64{0, 0, 0}, nil},
		{"no sequence, truncated", [][]byte{packet("\x00", 0, 2)[:25]}, "unsequenced 0-0", []uint64{0}, map[string]uint64{"truncated_packet": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, stats, h := run(t, c.packets...)
			if said != c.said {
				t.Errorf("records say %s, want %s", said, c.said)
			}
			if !slices.Equal(h.seqs, c.seqs) {
				t.Errorf("messages %v were handed on, want %v", h.seqs, c.seqs)
			}
			for reason, n := range stats.SkippedBy {
				if c.skipped[reason] != n {
					t.Errorf("skipped by %s: %d, want %d", reason, n, c.skipped[reason])
				}
			}
			if len(stats.SkippedBy) != len(c.skipped) || stats.Packets != uint64(len(c.packets)) {
				t.Errorf("counts are %+v, want skips %v of %d packets", stats, c.skipped, len(c.packets))
			}
		})
	}
}

func TestGapTimesAreThoseAroundIt(t *testing.T) {
	q := &emittest.Queue{}
	e := emit.New(q, &emit.Counters{}, emit.Options{})
	id := e.Define(40, 40, market.Definition{Symbol: "a"})
	r := NewReceiver(e, "itch", &heard{})
	r.Packet(50, packet("A", 1, 1))
	e.Trade(id, 50, 50, &market.Trade{Side: market.Bid})
	r.Packet(70, packet("A", 3, 1))
	gaps, err := emittest.JSON[market.Gap](q)
	if err != nil || len(gaps) != 1 || gaps[0].Start != 50 || gaps[0].End != 70 {
		t.Errorf("gaps are %+v, %v, want one from 50 to 70", gaps, err)
	}
}

// silent takes messages without looking at them.
type silent struct{ last uint64 }

func (s *silent) Message(_ int64, seq uint64, _ []byte) {
	if seq != 0 && seq <= s.last {
		panic("a sequence came twice")
	}
	s.last = max(s.last, seq)
}
func (s *silent) NewSession() { s.last = 0 }

// FuzzReceiver takes one input as a series of packets, each after its length.
func FuzzReceiver(f *testing.F) {
	join := func(packets ...[]byte) (out []byte) {
		for _, p := range packets {
			out = append(append(out, byte(len(p))), p...)
		}
		return out
	}
	f.Add(join(packet("A", 1, 2), packet("A", 5, 1), packet("A", 5, endOfSession)))
	f.Add(join(packet("A", 4, 3), packet("B", 1, 1), packet("", 0, 1), packet("A", 1<<64-1, 9)))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, c := &emittest.Queue{}, &emit.Counters{}
		r := NewReceiver(emit.New(q, c, emit.Options{Venue: "xnas"}), "itch", &silent{})
		for at := int64(1); len(b) > 0; at++ {
			n := min(int(b[0]), len(b)-1)
			r.Packet(at, b[1:1+n])
			b = b[1+n:]
		}
		r.Finish(1 << 40)
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		gaps, _ := emittest.JSON[market.Gap](q)
		for _, g := range gaps {
			if g.FirstSeq > g.LastSeq || g.Start > g.End {
				t.Fatalf("gap %+v is upside down", g)
			}
		}
	})
}
