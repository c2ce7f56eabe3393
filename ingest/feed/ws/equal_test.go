package ws

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed/emit"
	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

// The guard calls a book good when, and only when, the ETL does: whatever was
// written, an event that follows comes out of the ETL without a flag if the guard
// says good, and is held or flagged if it does not.
func TestGuardAgreesWithTheETL(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		w, err := queue.OpenWriter(filepath.Join(dir, "raw.q"), queue.Options{SegmentBytes: 1 << 20, NoSync: true})
		if err != nil {
			rt.Fatal(err)
		}
		chained := rapid.Bool().Draw(rt, "chained")
		g := newGuard(time.Second, backoff{min: 1, max: 1, random: func() float64 { return 0 }})
		conn := &connection{Connection: Connection{Name: "ws.1", Books: []string{"S"}}}
		book := &watched{guard: g, native: "S", conn: conn}
		g.books, g.byNative = []*watched{book}, map[string]*watched{"S": book}
		e := emit.New(g.queue(w), &emit.Counters{}, emit.Options{Venue: "v"})

		now, at := int64(1), uint64(100)
		write := func(kind market.Kind, seq, prev uint64) {
			now++
			id := e.Define(now, now, market.Definition{ID: 1, Symbol: "s", Native: "S", BookType: market.L2, Chained: chained, Channel: "ws.1"})
			e.Book(kind, id, now, now, &market.BookEvent{Seq: seq, PrevSeq: prev, Flags: market.FlagLast})
		}
		near := func(label string) uint64 { return at + rapid.Uint64Range(0, 6).Draw(rt, label) - 3 }
		write(market.KindBook, at, at-1)
		for range rapid.IntRange(0, 30).Draw(rt, "steps") {
			switch now++; rapid.IntRange(0, 19).Draw(rt, "step") {
			default:
				write(market.KindBook, at+3, at)
				at += 3
			case 1, 2, 3:
				write(market.KindBook, near("seq"), near("prev"))
			case 4, 5, 6, 7, 8:
				write(market.KindSnapshot, near("snapshot"), 0)
			case 9, 10, 11:
				write(market.KindBook, at, at-3) // again
			case 12:
				e.Gap(now, market.Gap{
					Channel: rapid.SampledFrom([]string{"", "ws.1", "ws.2"}).Draw(rt, "channel"), Symbol: rapid.SampledFrom([]string{"", "s", "x"}).Draw(rt, "symbol"),
					Recovered: rapid.Bool().Draw(rt, "recovered"), Cause: market.GapSource,
				})
			case 13:
				e.Connect(now, "ws.1", "addr")
				g.connected(conn, time.Now())
			case 14:
				e.Connect(now, "ws.2", "addr")
			}
		}
		good := book.good
		if chained {
			at = book.seq
		}
		write(market.KindBook, at+1, at)
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		if got := calledGood(t, rt, dir, now); got != good {
			rt.Errorf("the guard says good %v, the ETL %v (chained %v)", good, got, chained)
		}
	})
}

// calledGood tells whether the event of a time came out of the ETL without a flag.
func calledGood(t *testing.T, rt *rapid.T, dir string, at int64) (good bool) {
	cfg := etl.Config{RawDir: filepath.Join(dir, "raw.q"), CleanDir: filepath.Join(dir, "clean"), StateDir: filepath.Join(dir, "etl"), NoSync: true}
	e, err := etl.Open(t.Context(), cfg)
	if err != nil {
		rt.Fatal(err)
	}
	if err := e.CatchUp(t.Context()); err != nil {
		rt.Fatal(err)
	}
	if err := e.Close(); err != nil {
		rt.Fatal(err)
	}
	stream := etl.StreamDir(cfg.CleanDir, "v", "s", market.StreamBook)
	if _, err := os.Stat(stream); err != nil {
		return false // every event is held
	}
	queuetest.Each(t, stream, func(rec *queue.Record) {
		var ev market.BookEvent
		if kind := market.Kind(rec.Kind); kind == market.KindBook && rec.Time == at {
			if err := ev.Decode(rec.Body, kind); err != nil {
				rt.Fatal(err)
			}
			good = ev.Flags&market.FlagMaybeBadBook == 0
		}
	})
	return good
}
