package tier_test

import (
	"path/filepath"
	"testing"

	"chronicle/store/blob"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/queue"
	"chronicle/store/tier"
)

// BenchmarkMove measures what a move costs per byte, everything included: the
// source verified, the bytes copied, fsynced and read back, the commits.
func BenchmarkMove(b *testing.B) {
	for name, hot := range map[string]func(testing.TB) string{"rename": func(b testing.TB) string { return b.TempDir() }, "copy": memory} {
		b.Run(name, func(b *testing.B) {
			r := manifesttest.NewRoot(b, hot(b))
			opts := tier.Options{Clean: r.Clean, Manifest: r.Manifest, Tiers: []tier.Policy{
				{Tier: blob.Tier{Name: "warm", Store: blob.NewDir(filepath.Join(b.TempDir(), "warm"), "warm")}},
			}}
			a, err := tier.Open(b.Context(), opts)
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				paths := manifesttest.Write(b, r.Clean, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: "trade", Segments: 4, Records: 300_000, Step: 1})
				seg, err := queue.OpenSegment(paths[0])
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(4 * seg.Info().Bytes)
				_ = seg.Close()
				b.StartTimer()
				res, err := a.Once(b.Context(), now, tier.OnceOptions{All: true})
				if err != nil || len(res.Moved) != 4 {
					b.Fatal(res, err)
				}
			}
		})
	}
}
