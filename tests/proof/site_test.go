package proof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/ingest/etl"
	"chronicle/store/blob"
	"chronicle/store/fsck"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

// site is an archive's root.
type site struct{ root string }

func (s site) raw() string   { return filepath.Join(s.root, "queues", "raw_main.q") }
func (s site) clean() string { return filepath.Join(s.root, "queues", "clean") }
func (s site) state() string { return filepath.Join(s.root, "queues", "etl") }

// config gives an ETL with small segments, many snapshots and many checkpoints.
func (s site) config() etl.Config {
	return etl.Config{
		RawDir: s.raw(), CleanDir: s.clean(), StateDir: s.state(), NoSync: true, CheckpointEvery: 2000,
		Policy: etl.Policy{RollInterval: 20 * time.Second, RollMinBytes: 1, SnapshotInterval: 3 * time.Second, ReplayBudget: 150, RollBytes: 60_000},
	}
}

// refine runs an ETL over what the raw queue holds.
func refine(t testing.TB, cfg etl.Config) etl.Stats {
	t.Helper()
	e, err := etl.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return e.Stats()
}

// openRaw opens the raw queue for writing.
func (s site) openRaw(t testing.TB, opts queue.Options) *queue.Writer {
	t.Helper()
	w, err := queue.OpenWriter(s.raw(), opts)
	must(t, err)
	return w
}

// rawRecords reads the raw queue.
func (s site) rawRecords(t testing.TB) (out []queue.Record) {
	t.Helper()
	queuetest.Each(t, s.raw(), func(r *queue.Record) { out = append(out, clone(r)) })
	return out
}

func clone(r *queue.Record) queue.Record {
	k := *r
	k.Body = bytes.Clone(r.Body)
	return k
}

// streams gives all clean records, hot and archived, by "venue/symbol/stream".
func (s site) streams(t testing.TB) map[string][]queue.Record {
	t.Helper()
	hot, err := filepath.Glob(filepath.Join(s.clean(), "*", "*", "*.q", "*.q"))
	must(t, err)
	cold, err := filepath.Glob(filepath.Join(s.root, "archive", "*", "*", "*", "*", "*.q"))
	must(t, err)
	files := map[string]map[string]string{} // by stream and segment's name
	add := func(stream, file string) {
		if files[stream] == nil {
			files[stream] = map[string]string{}
		}
		files[stream][filepath.Base(file)] = file
	}
	for _, file := range cold {
		rel, _ := filepath.Rel(filepath.Join(s.root, "archive"), file)
		add(filepath.Dir(filepath.Dir(rel)), file)
	}
	for _, file := range hot {
		rel, _ := filepath.Rel(s.clean(), filepath.Dir(file))
		if _, archived := files[strings.TrimSuffix(rel, ".q")][filepath.Base(file)]; !archived {
			add(strings.TrimSuffix(rel, ".q"), file)
		}
	}
	out := map[string][]queue.Record{}
	for stream, byName := range files {
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			out[stream] = append(out[stream], segmentRecords(t, byName[name])...)
		}
	}
	return out
}

func segmentRecords(t testing.TB, path string) (out []queue.Record) {
	t.Helper()
	s, err := queue.OpenSegment(path)
	must(t, err)
	defer s.Close()
	for c := s.Cursor(); ; {
		r, err := c.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s after %d records: %v", path, len(out), err)
		}
		out = append(out, clone(&r))
	}
}

// text gives one record in full.
func text(r *queue.Record) string {
	return fmt.Sprintf("%d %d %d %d %d %x", r.Seq, r.Time, r.EventTime, r.Kind, r.Flags, r.Body)
}

func same(a, b *queue.Record) bool {
	return a.Seq == b.Seq && a.Time == b.Time && a.EventTime == b.EventTime && a.Kind == b.Kind && a.Flags == b.Flags && bytes.Equal(a.Body, b.Body)
}

// wantSame compares all clean records.
func wantSame(t testing.TB, what string, got, want map[string][]queue.Record) {
	t.Helper()
	if len(want) == 0 {
		t.Fatalf("%s: there is nothing to compare with", what)
	}
	for stream, w := range want {
		g := got[stream]
		for i := range min(len(g), len(w)) {
			if !same(&g[i], &w[i]) {
				t.Fatalf("%s: %s record %d of %d and %d:\n got %.300s\nwant %.300s", what, stream, i+1, len(g), len(w), text(&g[i]), text(&w[i]))
			}
		}
		if len(g) != len(w) {
			t.Fatalf("%s: %s has %d records, want %d", what, stream, len(g), len(w))
		}
	}
	for stream := range got {
		if want[stream] == nil {
			t.Fatalf("%s: there is a stream %s", what, stream)
		}
	}
}

// wantSound runs fsck over all there is.
func (s site) wantSound(t testing.TB, what string) {
	t.Helper()
	report, err := fsck.Check(t.Context(), fsck.Options{Root: s.root, Deep: true, Tiers: s.tiers()})
	must(t, err)
	if !report.OK() {
		t.Fatalf("%s: fsck: %v", what, report)
	}
}

func (s site) tiers() []blob.Tier {
	return []blob.Tier{{Name: "warm", Store: blob.NewDir(filepath.Join(s.root, "archive"), "warm")}}
}
