package manifest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
)

// locateDir writes a log of 20,000 segments: 10,000 of one stream, 1,000 of each
// of ten others.
func locateDir(b *testing.B) string {
	dir := b.TempDir()
	w := open(b, dir, "main", manifest.WriterOptions{})
	for i := range 11 {
		id, n := btc, 10000
		if i < 10 {
			id.Symbol, n = fmt.Sprintf("sym%d", i), 1000
		}
		for _, chunk := range manifest.Chunks(manifesttest.Adds(manifesttest.Fake(id, n, manifesttest.Epoch))) {
			commit(b, w, chunk...)
		}
	}
	return dir
}

// BenchmarkLocate measures how one segment among many is found: by the map in
// memory, which serves planning, and by SQL, which serves listings. And what a
// refresh costs when nothing is new.
func BenchmarkLocate(b *testing.B) {
	x := openIndex(b, locateDir(b), "")
	ctx := context.Background()
	at := func(id manifest.StreamID, t int64) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				rows, err := x.Segments(ctx, manifest.Filter{Venue: id.Venue, Symbol: id.Symbol, Stream: id.Stream, Start: t, End: t + 1e9})
				if err != nil || len(rows) != 1 {
					b.Fatal(len(rows), err)
				}
			}
		}
	}
	small := btc
	small.Symbol = "sym7"
	t := manifesttest.Epoch + 543210e9
	b.Run("map/1000", at(small, manifesttest.Epoch+54321e9))
	b.Run("map/10000", at(btc, t))
	b.Run("at/10000", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := x.At(ctx, btc, manifest.ByTime, t); err != nil || !ok {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("sql/20000", func(b *testing.B) { locateBySQL(b, x, t) })
	b.Run("refresh", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Refresh(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func locateBySQL(b *testing.B, x *manifest.Index, t int64) {
	db, err := x.SQL(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var key string
		err := db.QueryRowContext(b.Context(), `SELECT key FROM segments WHERE venue = ? AND symbol = ? AND stream = ? AND last_time >= ? AND first_time < ?
			ORDER BY first_seq`, btc.Venue, btc.Symbol, btc.Stream, t, t+1e9).Scan(&key)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen measures a start with 20,000 segments: from the log alone, and
// from an index file.
func BenchmarkOpen(b *testing.B) {
	dir := locateDir(b)
	b.Run("replay", func(b *testing.B) {
		for b.Loop() {
			if _, err := manifest.Load(context.Background(), dir); err != nil {
				b.Fatal(err)
			}
		}
	})
	db := filepath.Join(b.TempDir(), "index.duckdb")
	if err := openIndex(b, dir, db).Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("file", func(b *testing.B) {
		for b.Loop() {
			if err := openIndex(b, dir, db).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
