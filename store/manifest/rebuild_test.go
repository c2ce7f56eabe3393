package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"chronicle/internal/filelock"
	"chronicle/market"
	"chronicle/store/blob"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/queue"
)

// archive is a root whose segments lie in tiers, and a log that says so.
type archive struct {
	manifesttest.Root
	warm, cold *blob.Dir
	rows       []manifest.Segment
}

func (a *archive) tiers() []blob.Tier {
	return []blob.Tier{{Name: "warm", Store: a.warm}, {Name: "cold", Store: a.cold}}
}

// newArchive makes one of two streams, with a gap that both tell of, and their
// first segments in cold.
func newArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{Root: manifesttest.NewRoot(t, t.TempDir())}
	a.warm, a.cold = blob.NewDir(a.Archive, "warm"), blob.NewDir(filepath.Join(a.Dir, "cold"), "cold")
	if err := errors.Join(a.warm.Create(t.Context()), a.cold.Create(t.Context())); err != nil {
		t.Fatal(err)
	}
	w := open(t, a.Manifest, "old", manifest.WriterOptions{})
	for _, s := range []manifesttest.Stream{
		{Venue: "sim", Symbol: "a_usd", Stream: market.StreamBook, Segments: 3, GapIn: 2},
		{Venue: "sim", Symbol: "a_usd", Stream: market.StreamTrade, Segments: 2, GapIn: 2},
	} {
		paths := manifesttest.Write(t, a.Clean, s)
		for i, row := range manifesttest.Rows(t, "warm", paths) {
			store := a.warm
			if i == 0 {
				row.Tier, store = "cold", a.cold
			}
			a.put(t, store, row.Key, paths[i])
			if i == 1 {
				g := manifest.Gap{Venue: "sim", Symbol: "a_usd", Channel: "c1", FirstSeq: 7, LastSeq: 9, Cause: "sequence", Detail: "three packets <lost>"}
				g.End = row.FirstTime + 4e9
				g.Start = g.End - 1e9
				commit(t, w, manifest.Op{Op: manifest.OpGap, Gap: &g})
			}
			commit(t, w, manifest.Op{Op: manifest.OpAdd, Segment: &row})
			a.rows = append(a.rows, row)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *archive) put(t *testing.T, store *blob.Dir, key, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum, err := blob.SumOf(f)
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err == nil {
		err = store.Put(t.Context(), key, f, sum)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir string) facts {
	t.Helper()
	f, err := manifest.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return factsOf(f.State())
}

// sameRows compares what two logs say, whoever wrote them.
func sameRows(t *testing.T, got, want facts) {
	t.Helper()
	for _, f := range []*facts{&got, &want} {
		for i := range f.rows {
			f.rows[i].Writer = ""
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the new log says\n%+v\nthe old one said\n%+v", got, want)
	}
}

func TestRebuild(t *testing.T) {
	a := newArchive(t)
	before := load(t, a.Manifest)
	if len(before.rows) != 5 || len(before.gaps) != 1 {
		t.Fatalf("%d rows, %d gaps to begin with", len(before.rows), len(before.gaps))
	}
	x := openIndex(t, a.Manifest, filepath.Join(a.Dir, "cache", "index.duckdb"))
	seen := 0
	r, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{Progress: func(n int) { seen = n }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Segments != 5 || r.Records != 40 || r.Gaps != 1 || len(r.Problems) != 0 || seen != 5 || filepath.Base(r.Replaced) != ".replaced-1" {
		t.Errorf("result %+v, progress %d", r, seen)
	}
	sameRows(t, load(t, a.Manifest), before)
	if _, err := os.Stat(filepath.Join(r.Replaced, "old", "000000000001.json")); err != nil {
		t.Errorf("the old log is not kept: %v", err)
	}
	if _, err := x.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	compareIndex(t, x, a.Manifest) // an open index notices
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	compareIndex(t, openIndex(t, a.Manifest, filepath.Join(a.Dir, "cache", "index.duckdb")), a.Manifest)
	if r, err = manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{}); err != nil || filepath.Base(r.Replaced) != ".replaced-2" {
		t.Errorf("a second rebuild: %+v, %v", r, err)
	}
}

// TestRebuildOfALostLog: the folder is gone, and an index that knew it notices.
func TestRebuildOfALostLog(t *testing.T) {
	a := newArchive(t)
	before := load(t, a.Manifest)
	x := openIndex(t, a.Manifest, "")
	if err := os.RemoveAll(a.Manifest); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	sameRows(t, load(t, a.Manifest), before)
	if _, err := x.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	compareIndex(t, x, a.Manifest)
}

func TestRebuildOfADamagedLog(t *testing.T) {
	a := newArchive(t)
	before := load(t, a.Manifest)
	rewrite(t, a.Manifest, "old/000000000002.json", zero)
	write(t, a.Manifest, "stray.txt", nil)
	if _, err := manifest.Rebuild(t.Context(), a.Manifest, "old", a.tiers(), manifest.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	sameRows(t, load(t, a.Manifest), before)
}

func TestRebuildNeedsTheLocks(t *testing.T) {
	a := newArchive(t)
	open(t, a.Manifest, "old", manifest.WriterOptions{})
	before := load(t, a.Manifest)
	if _, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{}); !errors.Is(err, filelock.ErrLocked) {
		t.Errorf("error is %v", err)
	}
	if got := load(t, a.Manifest); !reflect.DeepEqual(got, before) {
		t.Error("the log was changed")
	}
}

func TestRebuildReportsProblems(t *testing.T) {
	a := newArchive(t)
	for key, text := range map[string]string{"sim/a_usd/book/2024-08-08/00000000000000000099.q": "no segment", "notes.txt": "hello"} {
		sum, err := blob.SumOf(strings.NewReader(text))
		if err == nil {
			err = a.warm.Put(t.Context(), key, strings.NewReader(text), sum)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// A segment at a place that is not its own.
	path, err := a.warm.LocalPath(a.rows[1].Key)
	if err != nil {
		t.Fatal(err)
	}
	a.put(t, a.warm, "sim/b_usd/book/2024-08-08/00000000000000000009.q", path)
	r, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{})
	if err != nil || len(r.Problems) != 3 || r.Segments != 5 {
		t.Errorf("result %+v, %v", r, err)
	}
}

// TestRebuildOfCopies: a move was interrupted between copying and deleting.
func TestRebuildOfCopies(t *testing.T) {
	a := newArchive(t)
	path, err := a.cold.LocalPath(a.rows[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	a.put(t, a.warm, a.rows[0].Key, path)
	if _, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	got := load(t, a.Manifest)
	if len(got.rows) != 5 || got.rows[0].Tier != "cold" || len(got.leftovers) != 1 || got.leftovers[0].At.Tier != "warm" {
		t.Errorf("rows %+v, leftovers %+v", got.rows[0], got.leftovers)
	}
}

// TestRebuildNeedsItsTiers: a tier that is away is an error, not an empty one.
func TestRebuildNeedsItsTiers(t *testing.T) {
	a := newArchive(t)
	before := load(t, a.Manifest)
	if err := os.Rename(filepath.Join(a.Dir, "cold"), filepath.Join(a.Dir, "unmounted")); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{}); !errors.Is(err, blob.ErrNoTier) {
		t.Errorf("error is %v", err)
	}
	if got := load(t, a.Manifest); !reflect.DeepEqual(got, before) {
		t.Error("the log was changed")
	}
}

// TestInterruptedSwap puts a rebuild back to each point at which a crash can
// leave it, and finishes it.
func TestInterruptedSwap(t *testing.T) {
	for name, undo := range map[string]func(t *testing.T, dir string){
		"nothing moved yet": func(t *testing.T, dir string) {
			rename(t, dir, "main", ".rebuild/main")
			rename(t, dir, ".replaced-1/old", "old")
			rename(t, dir, ".replaced-1", ".rebuild/.x")
		},
		"old log aside": func(t *testing.T, dir string) { rename(t, dir, "main", ".rebuild/main") },
		"all in place":  func(*testing.T, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			before := load(t, a.Manifest)
			if _, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(a.Manifest, ".rebuild"), 0o755); err != nil {
				t.Fatal(err)
			}
			undo(t, a.Manifest)
			if _, err := manifest.Load(t.Context(), a.Manifest); !errors.Is(err, manifest.ErrRebuilding) {
				t.Errorf("a reader in between: %v", err)
			}
			if _, err := manifest.OpenWriter(t.Context(), a.Manifest, "main", manifest.WriterOptions{}); !errors.Is(err, manifest.ErrRebuilding) {
				t.Errorf("a writer in between: %v", err)
			}
			// Another writer's name must not lose the log that is in the making.
			if _, err := manifest.Rebuild(t.Context(), a.Manifest, "third", nil, manifest.RebuildOptions{}); err != nil {
				t.Fatal(err)
			}
			sameRows(t, load(t, a.Manifest), before)
		})
	}
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

// TestInterruptedBuild: what was written below .building counts for nothing.
func TestInterruptedBuild(t *testing.T) {
	a := newArchive(t)
	before := load(t, a.Manifest)
	if err := os.MkdirAll(filepath.Join(a.Manifest, ".building", "main"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, a.Manifest, ".building/main/000000000001.json", []byte("torn"))
	if got := load(t, a.Manifest); !reflect.DeepEqual(got, before) {
		t.Error("readers see a log in the making")
	}
	if temps, err := manifest.Temps(a.Manifest); err != nil || len(temps) != 1 {
		t.Errorf("temps %v, %v", temps, err)
	}
	if _, err := manifest.Rebuild(t.Context(), a.Manifest, "main", a.tiers(), manifest.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	sameRows(t, load(t, a.Manifest), before)
}

func TestDescribeRefuses(t *testing.T) {
	r := manifesttest.NewRoot(t, t.TempDir())
	manifesttest.Write(t, r.Clean, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: "trade", Live: true})
	manifesttest.WriteRaw(t, r.Raw, 2)
	for _, dir := range []string{r.Raw, filepath.Join(r.Clean, "sim", "a_usd", "trade.q")} {
		seg := firstSegment(t, dir)
		if row, err := manifest.Describe(seg.Info(), manifest.Location{Tier: "warm", Key: "k"}); !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("%s described as %+v, %v", dir, row, err)
		}
		_ = seg.Close()
	}
}

func firstSegment(t *testing.T, dir string) *queue.Segment {
	t.Helper()
	files, err := queue.ListSegments(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d segments, %v", len(files), err)
	}
	seg, err := queue.OpenSegment(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	return seg
}
