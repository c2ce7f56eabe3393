package etl

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/ingest/feed"
	"chronicle/ingest/feed/udp"
	"chronicle/ingest/sim"
	"chronicle/market"
	"chronicle/store/queue"
)

var simSymbols = []string{"AAA", "BBB", "CCC"}

// sent is a packet of the simulated market and the true books after it.
type sent struct {
	data    []byte
	session int
	seq     uint64
	books   map[string][2][]book.Level // by symbol: bids and asks
}

// line is a network that delivers what it was given, at one packet a millisecond,
// and then ends the feed.
type line struct {
	packets []sent
	next    int
	start   time.Time
	end     context.CancelFunc
}

func (l *line) Receive(time.Duration) ([]udp.Datagram, int64, error) {
	if l.next == len(l.packets) {
		l.end()
		return nil, 0, os.ErrDeadlineExceeded
	}
	l.next++
	return []udp.Datagram{{Recv: l.now().UnixNano(), Data: l.packets[l.next-1].data}}, 0, nil
}

func (l *line) now() time.Time         { return l.at(l.next - 1) }
func (l *line) at(i int) time.Time     { return l.start.Add(time.Duration(i) * time.Millisecond) }
func (l *line) Send(int, []byte) error { return os.ErrInvalid }
func (l *line) Name(int) string        { return "line" }
func (l *line) Dropped(int) uint64     { return 0 }
func (l *line) Wake()                  {}
func (l *line) Close() error           { return nil }

// TestGoodBooksAreTrue sends simulated sessions over a line that loses, repeats and
// swaps packets. Wherever the ETL calls a book good it must be the simulator's own.
func TestGoodBooksAreTrue(t *testing.T) {
	seeds := uint64(8)
	if os.Getenv("CHRONICLE_SOAK") != "" {
		seeds = 50
	}
	good, bad := 0, 0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			l := &line{start: time.Unix(1_790_000_000, 0)}
			for session := range 4 {
				l.packets = append(l.packets, damage(rng, simulate(t, seed*10, session, l.start), seed%4 == 0)...)
			}
			cfg := refine(t, l)
			for _, symbol := range simSymbols {
				g, b := compareWithTruth(t, cfg, symbol, l)
				good, bad = good+g, bad+b
			}
		})
	}
	if good < 1000 || bad < 1000 {
		t.Errorf("%d books called good, %d not: the test says too little", good, bad)
	}
}

// simulate makes one session and notes the true books after each packet.
func simulate(t *testing.T, seed uint64, session int, at time.Time) (out []sent) {
	t.Helper()
	s, err := sim.New(sim.Options{Seed: seed + uint64(session), Symbols: simSymbols, Session: fmt.Sprintf("S%d", session)})
	if err != nil {
		t.Fatal(err)
	}
	for range 150 {
		p := sent{session: session, data: bytes.Clone(s.NextPacket(at)), seq: s.Seq(), books: map[string][2][]book.Level{}}
		for _, symbol := range simSymbols {
			p.books[symbol] = [2][]book.Level{levels(s, symbol, market.Bid), levels(s, symbol, market.Ask)}
		}
		out = append(out, p)
	}
	return out
}

func levels(s *sim.Sim, symbol string, side market.Side) (out []book.Level) {
	for _, l := range s.Levels(symbol, side, 0) {
		out = append(out, book.Level{Price: l.Price, Size: l.Size, Count: uint32(l.Count)})
	}
	return out
}

// damage loses, repeats and swaps packets of a session; a clean line does nothing.
func damage(rng *rand.Rand, in []sent, clean bool) (out []sent) {
	if clean {
		return in
	}
	for _, p := range in {
		switch rng.IntN(300) {
		case 0: // lost
		case 1, 2, 3:
			out = append(out, p, p)
		case 4:
			out = append(out, p)
			if n := len(out); n > 1 {
				out[n-1], out[n-2] = out[n-2], out[n-1]
			}
		default:
			out = append(out, p)
		}
	}
	return out
}

// refine brings the line's packets through feed and ETL.
func refine(t *testing.T, l *line) Config {
	t.Helper()
	dir := t.TempDir()
	cfg := config(dir, dir)
	w, err := queue.OpenWriter(cfg.RawDir, queue.Options{SegmentBytes: 16 << 20, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.end = cancel
	var counters feed.Counters
	err = feed.Live(ctx, w, feed.LiveOptions{Format: "itch", Venue: "sim", Packets: feed.PacketOptions{Sockets: l, ReorderWindow: -1}, Now: l.now}, &counters)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	runAll(t, cfg)
	return cfg
}

// compareWithTruth replays a clean stream and looks at the book after each packet
// that was received.
func compareWithTruth(t *testing.T, cfg Config, symbol string, l *line) (good, bad int) {
	t.Helper()
	recs := records(t, cfg, "sim", strings.ToLower(symbol), market.StreamBook)
	b := book.New(market.L3)
	var ev market.BookEvent
	trusted, at := false, 0
	var latest *sent // of the packets received: the newest of the newest session
	for i := range l.packets {
		p := &l.packets[i]
		if latest == nil || p.session > latest.session || p.session == latest.session && p.seq > latest.seq {
			latest = p
		}
		for ; at < len(recs) && recs[at].Time <= l.at(i).UnixNano(); at++ {
			kind := market.Kind(recs[at].Kind)
			if kind == market.KindGap {
				trusted = false
				continue
			}
			if err := ev.Decode(recs[at].Body, kind); err != nil {
				t.Fatal(err)
			}
			b.Apply(&ev, kind)
			trusted = ev.Flags&market.FlagMaybeBadBook == 0
		}
		if !trusted {
			bad++
			continue
		}
		good++
		want := latest.books[symbol]
		if bids, asks := b.Levels(market.Bid, 0, nil), b.Levels(market.Ask, 0, nil); !slices.Equal(bids, want[0]) || !slices.Equal(asks, want[1]) {
			t.Fatalf("%s after packet %d (session %d, message %d) is called good and is wrong:\n got %v %v\nwant %v %v",
				symbol, i, latest.session, latest.seq, bids, asks, want[0], want[1])
		}
	}
	return good, bad
}
