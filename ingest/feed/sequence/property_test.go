package sequence_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/sequence"
	"chronicle/market"
)

// network carries packets to a receiver, each after a delay of its own.
type network struct {
	now  int64
	wait map[int64][]delivery
	last int64 // when the last of them comes
}

type delivery struct {
	line int
	data []byte
}

func (n *network) send(line int, at int64, data []byte) {
	n.wait[at] = append(n.wait[at], delivery{line, data})
	n.last = max(n.last, at)
}

// server answers requests badly: it loses them, answers in part, in pieces, twice, late.
type server struct {
	t      *rapid.T
	net    *network
	line   int
	last   uint64 // of the stream
	atMost int
	loss   int // of 100
	delay  int64
}

func (s *server) ask(_ int, p []byte) error {
	first, count := binary.BigEndian.Uint64(p[10:]), uint64(binary.BigEndian.Uint16(p[18:]))
	if count == 0 || first == 0 {
		s.t.Fatalf("a request for %d messages from %d on", count, first)
	}
	for pieces := rapid.IntRange(1, 3).Draw(s.t, "pieces"); pieces > 0 && count > 0 && first <= s.last; pieces-- {
		n := min(count, uint64(s.atMost), s.last-first+1)
		if rapid.IntRange(0, 99).Draw(s.t, "answer") >= s.loss {
			at := s.net.now + rapid.Int64Range(1, s.delay).Draw(s.t, "delay")
			s.net.send(s.line, at, packet("S", first, int(n)))
		}
		first, count = first+n, count-n
	}
	return nil
}

// world is one random run: a stream, its lines, its server and the receiver.
type world struct {
	t      *rapid.T
	net    *network
	last   uint64
	opts   sequence.Options
	beats  bool
	q      emittest.Queue
	h      heard
	server *server
}

func drawWorld(t *rapid.T) *world {
	w := &world{t: t, net: &network{wait: make(map[int64][]delivery)}}
	w.opts = sequence.Options{
		Channel: "c", Lines: []string{"A", "B"}[:rapid.IntRange(1, 2).Draw(t, "lines")],
		Window:      rapid.SampledFrom([]int{0, 1, 4, 32, 256}).Draw(t, "window"),
		WindowBytes: rapid.SampledFrom([]int{6, 40, 4096}).Draw(t, "bytes"),
		ReorderTime: time.Duration(rapid.IntRange(1, 20).Draw(t, "reorder")), RecoveryTime: time.Duration(rapid.IntRange(16, 200).Draw(t, "recovery")),
	}
	if rapid.Bool().Draw(t, "server") {
		w.opts.Servers = []string{"s", "t"}[:rapid.IntRange(1, 2).Draw(t, "servers")]
		w.opts.JoinFromStart = rapid.Bool().Draw(t, "join")
	}
	w.beats = rapid.Bool().Draw(t, "heartbeats")
	w.sendStream()
	w.server = &server{
		t: t, net: w.net, line: len(w.opts.Lines), last: w.last, atMost: rapid.IntRange(1, 40).Draw(t, "at most"),
		loss: rapid.SampledFrom([]int{0, 0, 30, 100}).Draw(t, "answers lost"), delay: rapid.Int64Range(1, 60).Draw(t, "server's delay"),
	}
	w.opts.Ask = w.server.ask
	return w
}

// sendStream puts the stream on the lines.
func (w *world) sendStream() {
	loss := rapid.SampledFrom([]int{0, 5, 30, 90}).Draw(w.t, "loss")
	jitter := rapid.Int64Range(1, 30).Draw(w.t, "jitter")
	seq, at := uint64(1), int64(1)
	for range rapid.IntRange(1, 60).Draw(w.t, "packets") {
		n := rapid.IntRange(1, 5).Draw(w.t, "messages")
		for line := range w.opts.Lines {
			first, count := seq, n
			if rapid.IntRange(0, 9).Draw(w.t, "overlap") == 0 && seq > 3 { // packets need not be cut alike
				first, count = seq-2, n+2
			}
			for range 1 + rapid.IntRange(0, 9).Draw(w.t, "twice")/9 {
				if rapid.IntRange(0, 99).Draw(w.t, "lost") >= loss {
					w.net.send(line, at+rapid.Int64Range(0, jitter).Draw(w.t, "jitter"), packet("S", first, count))
				}
			}
			if w.beats && rapid.IntRange(0, 9).Draw(w.t, "heartbeat") == 0 {
				w.net.send(line, at, packet("S", seq+uint64(n), 0))
			}
		}
		seq += uint64(n)
		at += rapid.Int64Range(1, 10).Draw(w.t, "pause")
	}
	w.last = seq - 1
	w.net.send(0, at+30, packet("S", seq, endOfSession))
}

// run delivers everything, with a look at the clock now and then.
func (w *world) run(r *sequence.Receiver) {
	for ; w.net.now <= w.net.last || r.Due() != math.MaxInt64; w.net.now++ {
		for _, d := range w.net.wait[w.net.now] {
			r.Packet(d.line, w.net.now, d.data)
			if err := r.Check(); err != nil {
				w.t.Fatal(err)
			}
		}
		if rapid.Bool().Draw(w.t, "tick") || r.Due() <= w.net.now {
			r.Tick(w.net.now)
		}
	}
	r.Finish(w.net.now, "over")
}

// check holds what was handed on against what was sent.
func (w *world) check() {
	missing := make(map[uint64]bool)
	var before market.Gap
	gaps, err := emittest.JSON[market.Gap](&w.q)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, g := range gaps {
		if g.FirstSeq > g.LastSeq || g.FirstSeq <= before.LastSeq || g.Start > g.End {
			w.t.Fatalf("gap %+v after %+v", g, before)
		}
		if g.FirstSeq == before.LastSeq+1 && before.LastSeq > 0 && !w.beats {
			w.t.Fatalf("gaps %+v and %+v are one", before, g)
		}
		for seq := g.FirstSeq; seq <= g.LastSeq; seq++ {
			missing[seq] = true
		}
		before = g
	}
	at := 0
	for seq := uint64(1); seq <= w.last; seq++ {
		if missing[seq] {
			continue
		}
		if at == len(w.h.seqs) || w.h.seqs[at] != seq {
			w.t.Fatalf("message %d is missing: handed on were %s, gaps %+v", seq, ranges(w.h.seqs), gaps)
		}
		at++
	}
	if at != len(w.h.seqs) {
		w.t.Fatalf("messages were handed on more than once or out of order: %s", ranges(w.h.seqs))
	}
	if w.opts.Window >= 256 && w.opts.WindowBytes >= 4096 && len(w.opts.Servers) > 0 && w.opts.JoinFromStart && w.server.loss == 0 &&
		w.server.delay < int64(w.opts.RecoveryTime) && len(gaps) > 0 {
		w.t.Fatalf("gaps %+v although the server answers", gaps)
	}
}

// TestOutputIsTheStreamButItsGaps is what the package promises.
func TestOutputIsTheStreamButItsGaps(t *testing.T) {
	for range soak() {
		rapid.Check(t, func(t *rapid.T) {
			w := drawWorld(t)
			r := newReceiver(&w.q, &w.h, w.opts)
			w.run(r)
			w.check()
		})
	}
}

// soak says how many times the usual number of rounds to make.
func soak() int {
	n, err := strconv.Atoi(os.Getenv("CHRONICLE_SOAK"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// silent takes messages and looks only at their order.
type silent struct{ last uint64 }

func (s *silent) Message(_ int64, seq uint64, _ []byte) {
	if seq != 0 && seq <= s.last {
		panic(fmt.Sprintf("sequence %d after %d", seq, s.last))
	}
	s.last = max(s.last, seq)
}
func (s *silent) NewSession() { s.last = 0 }

// FuzzReceiver takes one input as a series of packets, each behind a byte for its
// line and time and one for its length.
func FuzzReceiver(f *testing.F) {
	join := func(packets ...[]byte) (out []byte) {
		for i, p := range packets {
			out = append(append(out, byte(i*37), byte(len(p))), p...)
		}
		return out
	}
	f.Add(join(packet("A", 1, 2), packet("A", 5, 1), packet("A", 5, endOfSession)), byte(0))
	f.Add(join(packet("A", 4, 3), packet("B", 1, 1), packet("", 0, 1), packet("A", 1<<64-1, 9)), byte(3))
	f.Add(join(packet("A", 1, 3), packet("A", 9, 3), packet("A", 7, 2), packet("A", 1<<50, 1), packet("A", 4, 2)), byte(7))
	f.Fuzz(func(t *testing.T, b []byte, mode byte) {
		opts := sequence.Options{Lines: []string{"A", "B"}, Window: int(mode&3) * 8, ReorderTime: 50, RecoveryTime: 500, JoinFromStart: mode&4 != 0}
		if mode&4 != 0 && opts.Window > 0 {
			opts.Servers, opts.Ask = []string{"s"}, func(int, []byte) error { return nil }
		}
		q := &emittest.Queue{}
		r := newReceiver(q, &silent{}, opts)
		now := int64(1)
		for len(b) > 1 {
			n := min(int(b[1]), len(b)-2)
			now += int64(b[0]) * 7
			line := int(b[0]) % 3
			if line == 2 && opts.Servers == nil {
				line = 0
			}
			r.Packet(line, now, b[2:2+n])
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			b = b[2+n:]
		}
		r.Finish(1<<40, "over")
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
