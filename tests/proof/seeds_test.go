package proof

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/ingest/sim"
	"chronicle/market"
	"chronicle/query"
	"chronicle/store/queue"
)

// TestGoodBooksAreTrue has a simulated exchange, which breaks off, comes back under
// the same name and under another, send over lines that lose, repeat and reorder,
// to feeds that are stopped and started again, with a re-request server and
// without. At every event boundary that the ETL calls good the book must be the
// simulator's, order by order; and most of what can be good must be.
func TestGoodBooksAreTrue(t *testing.T) {
	var all, recovered tally
	seeds := rounds(8, 50)
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWire(t, drawWorld(seed))
			got := goodBooks(t, w)
			t.Logf("%d lines, recovery %v: %v", w.world.Lines, w.world.Recovery, &got)
			all.add(got)
			if w.world.Recovery {
				recovered.add(got)
			}
		})
	}
	t.Logf("%d seeds: %v; with recovery: %v", seeds, &all, &recovered)
	if all.events < seeds*3000 || all.compared < seeds*3000 || all.markers < seeds || all.answers < seeds*5 {
		t.Errorf("%v: that is too little to prove anything", &all)
	}
	if seeds >= 8 && (all.share() < 0.4 || all.share() > 0.98 || recovered.share() < 0.7) {
		t.Errorf("%v called good, with recovery %v: books are distrusted too much, or too little went wrong", &all, &recovered)
	}
}

func goodBooks(t *testing.T, w *wire) tally {
	t.Helper()
	s := site{fastDir(t)}
	rng := rand.New(rand.NewPCG(w.world.Seed, 0x9e5))
	restarts := int(w.world.Seed) % 3
	behind := uint64(0)
	for !w.over() {
		until := w.now + 10*w.length()
		if restarts > 0 {
			until = w.now + rng.Int64N(w.length()/2)
			restarts--
		}
		raw := s.openRaw(t, queue.Options{SegmentBytes: 64 << 10, NoSync: true})
		w.listen(raw, min(until, w.now+w.length()*2))
		must(t, raw.Close())
		behind += refine(t, s.config()).Behind
		w.skip(w.now + rng.Int64N(second))
	}
	if behind != 0 {
		t.Fatalf("%d records were left out", behind)
	}
	streams := s.streams(t)
	got := auditBooks(t, w, streams)
	auditRecords(t, s.rawRecords(t), streams)
	got.answers = auditAnswers(t, w, s, rng)
	return got
}

// auditAnswers asks query for books at random moments: those called available must
// be true at the sequence that they are said to be of. It gives their number.
func auditAnswers(t *testing.T, w *wire, s site, rng *rand.Rand) int {
	t.Helper()
	a, err := query.Open(t.Context(), query.Config{Root: s.root})
	must(t, err)
	defer a.Close()
	moments, available := slices.Sorted(maps.Keys(w.epochAt)), 0
	for range 60 {
		symbol := w.world.Symbols[rng.IntN(len(w.world.Symbols))]
		at := moments[rng.IntN(len(moments))] + rng.Int64N(3) - 1 // at a receipt, just before and just after
		b, err := a.BookAt(t.Context(), query.BookRequest{Symbol: "sim:" + symbol, At: at, Depth: 1000})
		if err != nil || b.Condition != query.ConditionAvailable {
			continue
		}
		available++
		epoch, known := w.epochAt[b.TsRecv]
		want, ok := w.series.Book(epoch, symbol, b.Sequence)
		if !known || !ok {
			t.Fatalf("%s at %v: answered for message %d received at %d, which never was", symbol, time.Unix(0, at), b.Sequence, b.TsRecv)
		}
		wantLevels(t, b, &want)
	}
	return available
}

// wantLevels compares an answer with the true book.
func wantLevels(t *testing.T, b *query.BookAnswer, want *sim.Book) {
	t.Helper()
	for _, side := range []market.Side{market.Bid, market.Ask} {
		got, truth := b.Bids, want.Levels(side, 0)
		if side == market.Ask {
			got = b.Asks
		}
		if !slices.EqualFunc(got, truth, func(g book.Level, w sim.Level) bool {
			return g.Price == w.Price && g.Size == w.Size && int(g.Count) == w.Count
		}) {
			t.Fatalf("%s at %d, message %d: %c is called available and is\n%v\nwant\n%v", b.Symbol, b.At, b.Sequence, side, got, truth)
		}
	}
}
