package audit

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed"
	"chronicle/internal/testdata"
	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

// recorded brings a recording into a raw queue.
func recorded(t testing.TB, dir, format, name string) string {
	t.Helper()
	raw := filepath.Join(dir, format+".q")
	w, err := queue.OpenWriter(raw, queue.Options{NoSync: true})
	must(t, err)
	opts := feed.ReplayOptions{Format: format, Path: testdata.Path(t, name)}
	if format == "itch" {
		opts.Date = "2010-12-24"
	}
	_, err = feed.Replay(t.Context(), w, raw, opts)
	must(t, err)
	must(t, w.Close())
	return raw
}

// each gives the records of all clean book streams to f.
func each(t testing.TB, clean string, f func(dir string, r *queue.Record)) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(clean, "*", "*", "book.q"))
	must(t, err)
	for _, dir := range dirs {
		queuetest.Each(t, dir, func(r *queue.Record) { f(dir, r) })
	}
}

// TestBesideTheETL audits what a pipeline writes while it writes it, with restarts
// of the pipeline in between: everything is proved, and nothing is found.
func TestBesideTheETL(t *testing.T) {
	for format, name := range map[string]string{"itch": "itch/ex20101224.TEST_ITCH_50.gz", "kraken": "crypto/KRAKEN.jsonl.zst", "bybit": "crypto/BYBIT.jsonl.zst"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			source := recorded(t, dir, format, name)
			cfg := etl.Config{RawDir: filepath.Join(dir, "raw.q"), CleanDir: filepath.Join(dir, "clean"), StateDir: filepath.Join(dir, "etl"), NoSync: true,
				MaxOpen: 2, Policy: etl.Policy{ReplayBudget: 100, RollBytes: 64 << 10}}
			a, err := New(Config{CleanDir: cfg.CleanDir, LedgerPath: filepath.Join(dir, "etl", "ledger.jsonl"), Interval: time.Millisecond, Share: 1})
			must(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- a.Run(ctx) }()
			copyAndRefine(t, source, cfg)
			cancel()
			must(t, <-ended)
			must(t, a.Once(t.Context()))
			wantWhole(t, a, cfg.CleanDir)
			if n := ledgerLines(t, dir); n != 0 {
				t.Errorf("%d rows in the ledger", n)
			}
		})
	}
}

// copyAndRefine copies a raw queue, record by record, and lets the ETL follow in steps.
func copyAndRefine(t *testing.T, source string, cfg etl.Config) {
	t.Helper()
	w, err := queue.OpenWriter(cfg.RawDir, queue.Options{NoSync: true})
	must(t, err)
	var e *etl.ETL
	n := 0
	step := func() {
		if e == nil {
			e, err = etl.Open(t.Context(), cfg)
			must(t, err)
		}
		must(t, e.CatchUp(t.Context()))
		if n%3000 == 0 {
			must(t, e.Close())
			e = nil
		}
	}
	queuetest.Each(t, source, func(r *queue.Record) {
		_, err := w.Append(queue.Record{Time: r.Time, EventTime: r.EventTime, Kind: r.Kind, Flags: r.Flags, Tag: r.Tag, Body: r.Body})
		must(t, err)
		if n++; n%500 == 0 {
			step()
		}
	})
	n = 0
	step()
	must(t, w.Close())
}

// wantWhole wants every synthetic snapshot compared, but for the first record of
// each stream, and nothing found.
func wantWhole(t *testing.T, a *Auditor, clean string) {
	t.Helper()
	synthetic, last := map[string]uint64{}, 0
	var ev market.BookEvent
	each(t, clean, func(dir string, r *queue.Record) {
		last++
		if market.Kind(r.Kind) != market.KindSnapshot {
			return
		}
		must(t, ev.Decode(r.Body, market.KindSnapshot))
		if ev.Attr&market.AttrSynthetic != 0 && r.Seq > 1 {
			synthetic[dir]++
		}
	})
	want := uint64(0)
	for _, n := range synthetic {
		want += n
	}
	st := a.Stats()
	if st.Snapshots != want || st.Mismatches+st.Unmarked+st.Skipped+st.Moved+st.Unreadable != 0 || st.Records < uint64(last)/2 {
		t.Errorf("%+v, want %d snapshots of %d records", st, want, last)
	}
}

// BenchmarkAudit tells how many records a second the audit proves with a whole
// processor: queue, decoding and book together.
func BenchmarkAudit(b *testing.B) {
	dir := b.TempDir()
	cfg := etl.Config{RawDir: recorded(b, dir, "itch", "itch/ex20101224.TEST_ITCH_50.gz"), CleanDir: filepath.Join(dir, "clean"), StateDir: filepath.Join(dir, "etl"), NoSync: true}
	e, err := etl.Open(b.Context(), cfg)
	must(b, err)
	must(b, e.CatchUp(b.Context()))
	must(b, e.Close())
	records := uint64(0)
	for b.Loop() {
		a, err := New(Config{CleanDir: cfg.CleanDir, LedgerPath: filepath.Join(dir, "ledger.jsonl"), Share: 1})
		must(b, err)
		must(b, a.Once(b.Context()))
		if st := a.Stats(); st.Mismatches > 0 {
			b.Fatalf("%+v", st)
		}
		records += a.Stats().Records
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkIdle tells what one look at a stream costs in which nothing is new.
func BenchmarkIdle(b *testing.B) {
	dir := b.TempDir()
	c := newClean(b, filepath.Join(dir, "clean"), "a_usd")
	c.rounds(100)
	a, err := New(Config{CleanDir: filepath.Join(dir, "clean"), LedgerPath: filepath.Join(dir, "ledger.jsonl"), Share: 1})
	must(b, err)
	must(b, a.Once(b.Context()))
	b.ReportAllocs()
	for b.Loop() {
		must(b, a.visit(b.Context(), a.sorted[0]))
	}
}
