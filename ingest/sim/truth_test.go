package sim

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"chronicle/market"
)

// soak gives how many times more than usual to try.
func soak() int {
	if n, err := strconv.Atoi(os.Getenv("CHRONICLE_SOAK")); err == nil && n > 1 {
		return n
	}
	return 1
}

// question asks for one book.
type question struct {
	symbol string
	seq    uint64
}

// TestTruthIsWhatTheMessagesSay asks for a thousand books in any order and
// compares them with those that a listener made of the packets.
func TestTruthIsWhatTheMessagesSay(t *testing.T) {
	for round := range soak() {
		opts := Options{Seed: uint64(7 + round), Symbols: Symbols(40), Messages: 60_000}
		rng := rand.New(rand.NewPCG(opts.Seed, 1))
		truth, err := NewTruth(opts)
		if err != nil {
			t.Fatal(err)
		}
		bySeq := make(map[uint64][]question)
		for range 1000 {
			q := question{truth.Symbols()[rng.IntN(40)], rng.Uint64N(60_001)}
			bySeq[q.seq] = append(bySeq[q.seq], q)
		}
		want := make(map[question]Book)
		digests := make(map[uint64]Digest)
		l := newListener(t)
		note := func(seq uint64) {
			for _, q := range bySeq[seq] {
				want[q] = Book{q.symbol, seq, l.side(q.symbol, market.Bid), l.side(q.symbol, market.Ask)}
				digests[seq] = l.digest
			}
		}
		note(0)
		l.after = func() { note(l.next - 1) }
		for s := newSim(t, opts); !s.Done(); {
			l.packet(s.NextPacket(noon))
		}
		for q, w := range want { // in no order
			b, ok := truth.Book(q.symbol, q.seq)
			if !ok || !slices.Equal(b.Bids, w.Bids) || !slices.Equal(b.Asks, w.Asks) || b.Sequence != q.seq || b.Symbol != q.symbol {
				t.Fatalf("seed %d: the book of %s after %d is\n%v\nwant\n%v", opts.Seed, q.symbol, q.seq, b, w)
			}
			if d, ok := truth.Digest(q.seq); !ok || d != digests[q.seq] {
				t.Fatalf("seed %d: the digest after %d is %x, want %x", opts.Seed, q.seq, d, digests[q.seq])
			}
		}
	}
}

func TestTruthIsTheSimsOwn(t *testing.T) {
	opts := Options{Seed: 3, Symbols: Symbols(3)}
	truth, err := NewTruth(opts)
	if err != nil {
		t.Fatal(err)
	}
	s := newSim(t, opts)
	for _, seq := range []uint64{10, 11, 500, 20_000} {
		s.Advance(seq)
		b, ok := truth.Book("AMZN", seq)
		if !ok || s.Seq() != seq || !slices.Equal(b.Bids, s.Orders("AMZN", market.Bid)) || !slices.Equal(b.Levels(market.Ask, 4), s.Levels("AMZN", market.Ask, 4)) {
			t.Errorf("the book after %d is %v", seq, b)
		}
		bid, ask := b.BBO()
		if seq > 100 && (bid != b.Levels(market.Bid, 1)[0] || ask != b.Levels(market.Ask, 1)[0] || bid.Price >= ask.Price) {
			t.Errorf("best bid %v, best ask %v", bid, ask)
		}
	}
	if bid, ask := (&Book{}).BBO(); bid != (Level{}) || ask != (Level{}) {
		t.Error("an empty book has a best price")
	}
}

func TestTruthEndsWithTheSession(t *testing.T) {
	truth, err := NewTruth(Options{Messages: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := truth.Book("AAPL", 1001); ok {
		t.Error("a book after the session's end")
	}
	if _, ok := truth.Digest(1001); ok {
		t.Error("a digest after the session's end")
	}
	if _, ok := truth.Book("NONE", 5); ok {
		t.Error("a book of an unknown symbol")
	}
	if _, ok := truth.Book("AAPL", 1000); !ok {
		t.Error("no book at the session's end")
	}
}

func TestDigestLeavesOutTheTimeAlone(t *testing.T) {
	m := make([]byte, 19)
	for i := range m {
		other := slices.Clone(m)
		other[i]++
		if same := Digest(0).Add(m) == Digest(0).Add(other); same != (i >= 5 && i < 11) {
			t.Errorf("byte %d: same digest: %v", i, same)
		}
	}
}

func BenchmarkTruth(b *testing.B) {
	truth, err := NewTruth(Options{Seed: 1, Symbols: Symbols(9000)})
	if err != nil {
		b.Fatal(err)
	}
	const messages = 1_000_000
	truth.Digest(messages)
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		if _, ok := truth.Book(truth.Symbols()[rng.IntN(9000)], rng.Uint64N(messages)); !ok {
			b.Fatal("no book")
		}
	}
}
