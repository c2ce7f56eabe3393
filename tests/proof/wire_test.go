package proof

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"chronicle/ingest/feed"
	"chronicle/ingest/feed/udp"
	"chronicle/ingest/sim"
	"chronicle/store/queue"
)

const (
	millisecond = int64(time.Millisecond)
	second      = int64(time.Second)
)

// wire is a network in virtual time: a simulated venue sends a series of sessions
// over lines that fail, a re-request server answers, and a feed receives. It tells
// of each moment of receipt which session the packet was of, so that the true book
// is known for every record that a feed makes of it.
type wire struct {
	t      testing.TB
	rng    *rand.Rand
	world  world
	series *sim.Series
	lines  *sim.Lines
	server *sim.Recovery // nil: nobody answers

	now     int64
	epoch   int      // of the venue's next packet
	told    int      // of its last one
	venue   *sim.Sim // of the epoch; nil when the last one is over
	due     int64    // when the venue sends next
	left    int      // packets to come that end the session
	flight  flight
	epochOf map[string]int // of the packets sent
	epochAt map[int64]int  // by time of receipt
	stop    int64          // when the feed ends
	end     func()
	each    func() // called before each receipt, by the feed's goroutine
}

// world is what a seed decides of a wire.
type world struct {
	Seed     uint64
	Symbols  []string
	Lines    int
	Recovery bool
	Faults   sim.Faults
	Answers  float64 // probability that an answer is lost
	Join     bool    // a feed asks for what it has missed of a session
	Window   int     // as of feed.PacketOptions
	Series   sim.SeriesOptions
}

// drawWorld draws one of the venues and networks that there are.
func drawWorld(seed uint64) world {
	rng := rand.New(rand.NewPCG(seed, 0x3041d))
	pick := func(p ...float64) float64 { return p[rng.IntN(len(p))] }
	w := world{
		Seed: seed, Symbols: sim.Symbols(4), Lines: 1 + int(seed%2), Recovery: seed%4 < 2,
		Faults: sim.Faults{
			Loss: pick(0.001, 0.004, 0.02), Burst: pick(0, 0.0005), BurstLength: 4,
			Duplicate: pick(0, 0.01, 0.1), Reorder: pick(0.005, 0.05),
		},
		Answers: pick(0, 0, 0.2), Join: rng.IntN(2) == 0,
	}
	if w.Lines == 1 && !w.Recovery {
		w.Faults.Loss, w.Faults.Burst = pick(0.0005, 0.001, 0.003), 0
		w.Window = int(pick(0, 0, -1))
	}
	w.Series = sim.SeriesOptions{
		Options: sim.Options{Seed: seed, Symbols: w.Symbols}, Sessions: 4, Least: 1800, Most: 2600,
		LeastPause: 250 * time.Millisecond, MostPause: 2 * time.Second,
	}
	return w
}

// interval is the mean time between two packets of a session: a session outlasts
// the time in which a receiver must notice that it has begun anew.
const interval = 6 * millisecond

func newWire(t testing.TB, w world) *wire {
	t.Helper()
	n := &wire{
		t: t, world: w, rng: rand.New(rand.NewPCG(w.Seed, 0x3142e)), now: 1_790_000_000 * second,
		epochOf: map[string]int{}, epochAt: map[int64]int{}, each: func() {}, end: func() {},
	}
	series, err := sim.NewSeries(w.Series)
	must(t, err)
	n.series = series
	opts := sim.LinesOptions{Seed: w.Seed, A: sim.LineOptions{Writer: tap{n, 0}, Faults: w.Faults}}
	if w.Lines == 2 {
		opts.B = &sim.LineOptions{Writer: tap{n, 1}, Faults: w.Faults}
	}
	if n.lines, err = sim.NewLines(opts); err != nil {
		t.Fatal(err)
	}
	if w.Recovery {
		n.server, err = sim.NewRecovery(sim.RecoveryOptions{Loss: w.Answers, Seed: w.Seed})
		must(t, err)
	}
	n.venue, err = series.Session(0)
	must(t, err)
	n.due = n.now + millisecond
	return n
}

// packet is a datagram on its way.
type packet struct {
	at   int64
	line int
	data []byte
}

// flight is a heap of what is under way.
type flight []packet

func (f flight) Len() int           { return len(f) }
func (f flight) Less(i, j int) bool { return f[i].at < f[j].at }
func (f flight) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)        { *f = append(*f, x.(packet)) }
func (f *flight) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

func (f flight) next() int64 {
	if len(f) == 0 {
		return math.MaxInt64
	}
	return f[0].at
}

// tap is where a line's packets come out.
type tap struct {
	w    *wire
	line int
}

func (p tap) Write(b []byte) (int, error) {
	epoch, ok := p.w.epochOf[string(b)]
	if !ok {
		epoch = p.w.told // without messages
	}
	if e := p.w.series.Epochs(); epoch != p.w.told && e[epoch].Session == e[p.w.told].Session {
		return len(b), nil // held back until after a reset: nothing could tell it from what is new
	}
	p.w.post(p.line, p.w.due+20_000+p.w.rng.Int64N(2*millisecond), epoch, b)
	return len(b), nil
}

// post has a packet arrive at a moment that no other arrives at.
func (w *wire) post(line int, at int64, epoch int, b []byte) {
	for _, taken := w.epochAt[at]; taken; _, taken = w.epochAt[at] {
		at++
	}
	w.epochAt[at] = epoch
	heap.Push(&w.flight, packet{at, line, bytes.Clone(b)})
}

// Send implements feed.PacketSource: a request to the server, which answers.
func (w *wire) Send(_ int, request []byte) error {
	if answer := w.server.Answer(nil, request); answer != nil {
		epoch := w.told // or one before, which the server still remembers
		for e := w.series.Epochs(); epoch > 0 && fmt.Sprintf("%-10s", e[epoch].Session) != string(answer[:10]); {
			epoch--
		}
		w.post(w.world.Lines, w.now+100_000+w.rng.Int64N(10*millisecond), epoch, answer)
	}
	return nil
}

// act has the venue do what it does at w.due.
func (w *wire) act() {
	e := w.series.Epochs()[w.epoch]
	switch {
	case w.left > 0:
		w.left--
		w.send(w.venue.EndOfSession())
		w.due += 30 * millisecond
		if w.left == 0 {
			w.change(e)
		}
	case w.venue.Seq() >= e.Length && e.End == sim.EndOrderly:
		w.left = 3
	case w.venue.Seq() >= e.Length:
		w.change(e)
	default:
		w.send(w.venue.NextPacket(time.Unix(0, w.due)))
		w.due += 1000 + w.rng.Int64N(2*interval)
		if w.rng.IntN(400) == 0 { // a quiet moment, with the heartbeat that ends it
			w.due += w.rng.Int64N(second)
			w.send(w.venue.Heartbeat())
		}
	}
}

// change begins the next session.
func (w *wire) change(e sim.Epoch) {
	w.due += int64(e.Pause)
	if w.epoch+1 == len(w.series.Epochs()) {
		w.venue, w.due = nil, math.MaxInt64
		return
	}
	next, err := w.series.Session(w.epoch + 1)
	must(w.t, err)
	w.epoch, w.venue = w.epoch+1, next
}

func (w *wire) send(b []byte) {
	w.told = w.epoch
	if count := binary.BigEndian.Uint16(b[18:]); count > 0 && count < 0xffff {
		w.epochOf[string(b)] = w.epoch
	}
	out := io.Writer(w.lines)
	if w.server != nil {
		out = io.MultiWriter(w.server, w.lines)
	}
	_, err := out.Write(b)
	must(w.t, err)
}

// over tells whether the venue has ended and nothing is under way.
func (w *wire) over() bool { return w.venue == nil && len(w.flight) == 0 }

// Receive implements feed.PacketSource.
func (w *wire) Receive(wait time.Duration) ([]udp.Datagram, int64, error) {
	w.each()
	until := w.now + int64(wait)
	for w.due <= min(until, w.flight.next()) {
		w.act()
	}
	if min(until, w.flight.next()) >= w.stop {
		w.now = max(w.now, w.stop)
		w.end()
		return nil, 0, os.ErrDeadlineExceeded
	}
	if w.flight.next() > until {
		w.now = until
		return nil, until, nil
	}
	p := heap.Pop(&w.flight).(packet)
	w.now = p.at
	return []udp.Datagram{{Line: p.line, Recv: p.at, Data: p.data}}, 0, nil
}

func (w *wire) Name(line int) string { return fmt.Sprint("line ", line) }
func (w *wire) Dropped(int) uint64   { return 0 }
func (w *wire) Wake()                {}
func (w *wire) Close() error         { return nil }

// skip lets time pass while nobody listens.
func (w *wire) skip(to int64) {
	for w.due <= to {
		w.act()
	}
	for w.flight.next() <= to {
		heap.Pop(&w.flight)
	}
	w.now = max(w.now, to)
}

// listen runs a feed that receives until the given moment.
func (w *wire) listen(q *queue.Writer, until int64) feed.Stats {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	w.stop, w.end = until, cancel
	opts := feed.LiveOptions{Format: "itch", Venue: "sim", Now: func() time.Time { return time.Unix(0, w.now) }, Packets: feed.PacketOptions{
		Sockets: w, Lines: make([]feed.Line, w.world.Lines), ReorderWindow: w.world.Window, Silence: -1,
	}}
	if w.world.Recovery {
		opts.Packets.Recovery, opts.Packets.JoinFromStart = []string{"server"}, w.world.Join
	}
	var counters feed.Counters
	if err := feed.Live(ctx, q, opts, &counters); err != nil {
		w.t.Fatalf("seed %d: feed: %v", w.world.Seed, err)
	}
	return counters.Stats()
}

// length is about how long the series takes.
func (w *wire) length() int64 {
	messages := uint64(0)
	for _, e := range w.series.Epochs() {
		messages += e.Length
	}
	return cmp.Or(int64(messages)*interval*2/3, second)
}
