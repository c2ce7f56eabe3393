package feed

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/internal/testdata"
	"chronicle/market"
	"chronicle/store/queue"
)

// openRaw opens a raw queue in a folder of its own.
func openRaw(t *testing.T) (*queue.Writer, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "raw_main.q")
	return reopen(t, dir), dir
}

func reopen(t *testing.T, dir string) *queue.Writer {
	t.Helper()
	w, err := queue.OpenWriter(dir, queue.Options{SegmentBytes: 4 << 20, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// replayed is what a replay left behind.
type replayed struct {
	stats   Stats
	records []queue.Record
}

// replayFile replays a file into an empty queue and reads the queue back.
func replayFile(t *testing.T, opts ReplayOptions) replayed {
	t.Helper()
	w, dir := openRaw(t)
	stats, err := Replay(context.Background(), w, dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out := replayed{stats, readAll(t, dir)}
	if uint64(len(out.records)) != stats.Records {
		t.Fatalf("%d records in the queue, Stats say %d", len(out.records), stats.Records)
	}
	checkOrder(t, out.records)
	return out
}

// recordings holds what the real recordings gave: several tests look at each.
var recordings sync.Map // format and path -> func() replayed

// recorded replays a real recording, once for all tests. Nobody may change what
// it gives.
func recorded(t *testing.T, format, name string) replayed {
	t.Helper()
	path := testdata.Path(t, name)
	once, _ := recordings.LoadOrStore(format+" "+name, sync.OnceValue(func() replayed {
		return replayFile(t, ReplayOptions{Format: format, Path: path})
	}))
	return once.(func() replayed)()
}

// readAll reads a queue's records with bodies of their own.
func readAll(t *testing.T, dir string) []queue.Record {
	t.Helper()
	tail, err := queue.OpenTailer(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	var out []queue.Record
	for {
		rec, ok, err := tail.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		rec.Body = slices.Clone(rec.Body)
		out = append(out, rec)
	}
}

// checkOrder holds what every reader of the raw queue relies on: source_begin
// comes first, a definition precedes its instrument's records, every body
// decodes.
func checkOrder(t *testing.T, records []queue.Record) {
	t.Helper()
	defined := map[uint32]bool{0: true}
	for i, rec := range records {
		if i == 0 && market.Kind(rec.Kind) != market.KindSession {
			t.Fatalf("the first record is a %v, want the source_begin", market.Kind(rec.Kind))
		}
		if market.Kind(rec.Kind) == market.KindDefinition {
			defined[rec.Tag] = true
		}
		if !defined[rec.Tag] {
			t.Fatalf("record %d is of instrument %d, which is not defined yet", rec.Seq, rec.Tag)
		}
		if err := emittest.Decodable(rec); err != nil {
			t.Fatalf("record %d: %v", rec.Seq, err)
		}
	}
}

// kinds counts records by kind.
func (r replayed) kinds() map[string]int {
	out := make(map[string]int)
	for _, rec := range r.records {
		out[market.Kind(rec.Kind).String()]++
	}
	return out
}

// definitions gives the last definition of each symbol.
func (r replayed) definitions(t *testing.T) map[string]market.Definition {
	out := make(map[string]market.Definition)
	for _, rec := range r.records {
		if market.Kind(rec.Kind) == market.KindDefinition {
			d, err := market.DecodeJSON[market.Definition](rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			out[d.Symbol] = *d
		}
	}
	return out
}

func (r replayed) gaps(t *testing.T) (out []market.Gap) {
	for _, rec := range r.records {
		if market.Kind(rec.Kind) == market.KindGap {
			g, err := market.DecodeJSON[market.Gap](rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, *g)
		}
	}
	return out
}

func (r replayed) sessions(t *testing.T) (out []string) {
	for _, rec := range r.records {
		if market.Kind(rec.Kind) == market.KindSession {
			s, err := market.DecodeJSON[market.Session](rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(s.Event))
		}
	}
	return out
}

func wantCounts(t *testing.T, got, want map[string]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("records by kind are %v, want %v", got, want)
	}
}

// writeFile writes a recording of the test's own.
func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
