package query

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"chronicle/market"
)

// busy writes a book stream as a busy venue sends it: depth levels a side, a
// snapshot every 2,000 deltas.
func busy(b *testing.B, r *root, deltas, depth int) *stream {
	b.Helper()
	s := r.stream(bookID("sim", "btc_usdt"), l2Def)
	rng := rand.New(rand.NewPCG(1, 2))
	now := int64(1_700_000_000_000_000_000)
	var all []market.Entry
	for i := range depth {
		all = append(all, market.Entry{Side: market.Bid, Price: int64(100_000 - i), Size: 5, Action: market.Add},
			market.Entry{Side: market.Ask, Price: int64(100_001 + i), Size: 5, Action: market.Add})
	}
	s.event(market.KindSnapshot, now, now, all...)
	for i := range deltas {
		now += 10_000_000
		if i%2000 == 1999 {
			s.inject(now, now)
		}
		var entries [4]market.Entry
		for j := range entries {
			entries[j] = all[rng.IntN(len(all))]
			entries[j].Action, entries[j].Size = market.Modify, 1+rng.Int64N(1000)
		}
		s.event(market.KindBook, now, now-1000, entries[:]...)
		s.records = nil
	}
	return s
}

// BenchmarkBookAt: one book at a random time, everything cached by the system.
func BenchmarkBookAt(b *testing.B) {
	for _, tier := range []string{"live", "sealed", "warm"} {
		b.Run(tier, func(b *testing.B) {
			r := newRoot(b, tempDir(b))
			s := busy(b, r, 100_000, 1000)
			first := int64(1_700_000_000_000_000_000)
			if tier != "live" {
				s.roll()
			}
			if tier == "warm" {
				m := r.mover()
				m.move(s.sealed()[0], stepDone)
				m.close()
			}
			defer s.close()
			a := r.open()
			defer a.Close()
			rng := rand.New(rand.NewPCG(3, 4))
			b.ReportAllocs()
			deltas := 0
			for b.Loop() {
				ans, err := a.BookAt(context.Background(), BookRequest{Symbol: "sim:btc_usdt", At: first + rng.Int64N(100_000*10_000_000), Depth: 10})
				check(b, err)
				deltas += ans.Proof.Deltas
			}
			b.ReportMetric(float64(deltas)/float64(b.N), "deltas/op")
		})
	}
}

// BenchmarkRange: rows per second of a scan.
func BenchmarkRange(b *testing.B) {
	for _, schema := range []string{SchemaTrades, SchemaMBO, "mbp-1", "mbp-10"} {
		b.Run(schema, func(b *testing.B) {
			r := newRoot(b, tempDir(b))
			s := scanStream(b, r, schema)
			s.roll()
			defer s.close()
			a := r.open()
			defer a.Close()
			var rows int64
			b.ReportAllocs()
			for b.Loop() {
				st, err := a.Range(context.Background(), RangeRequest{Schema: schema, Symbols: []string{"sim:btc_usdt"}})
				check(b, err)
				for st.Next() {
				}
				check(b, st.Err())
				rows += st.Stats().Rows
				st.Release()
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

func scanStream(b *testing.B, r *root, schema string) *stream {
	if schema != SchemaTrades {
		return busy(b, r, 100_000, 1000)
	}
	s := r.stream(streamID{market.SymbolID{Venue: "sim", Symbol: "btc_usdt"}, market.StreamTrade}, l2Def)
	for i := range int64(500_000) {
		now := 1_700_000_000_000_000_000 + i*1_000_000
		s.trade(now, now-1000, 6_000_000+i%1000, 1+i%77)
		s.records = s.records[:0]
	}
	return s
}

// BenchmarkSmallRange: a short range out of a long segment.
func BenchmarkSmallRange(b *testing.B) {
	r := newRoot(b, tempDir(b))
	s := scanStream(b, r, SchemaTrades)
	s.roll()
	defer s.close()
	a := r.open()
	defer a.Close()
	for b.Loop() {
		const start = 1_700_000_000_000_000_000 + 100_000*1_000_000
		st, err := a.Range(context.Background(), RangeRequest{Schema: SchemaTrades, Symbols: []string{"sim:btc_usdt"}, Start: start, End: start + 1_000_000_000})
		check(b, err)
		for st.Next() {
		}
		if st.Stats().Rows != 1000 || st.Err() != nil {
			b.Fatalf("%+v, %v", st.Stats(), st.Err())
		}
		st.Release()
	}
}

// BenchmarkPlan: what it costs to find the segments of a stream that has 200 hot
// and 200 warm ones.
func BenchmarkPlan(b *testing.B) {
	r := newRoot(b, tempDir(b))
	s := r.stream(bookID("sim", "btc_usdt"), l2Def)
	for i := range int64(401) {
		s.event(market.KindBook, i+1, i+1)
		if i < 400 {
			s.roll()
		}
	}
	defer s.close()
	m := r.mover()
	for _, f := range s.sealed()[:200] {
		m.move(f, stepDone)
	}
	m.close()
	a := r.open()
	defer a.Close()
	past := time.Now().Add(-time.Minute)
	check(b, os.Chtimes(s.dir(), past, past)) // as if nothing had been sealed for a while
	for b.Loop() {
		p, err := a.plan(context.Background(), s.id)
		check(b, err)
		if len(p.segs) != 401 {
			b.Fatal(len(p.segs))
		}
		p.close()
	}
}
