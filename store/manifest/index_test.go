package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
)

func openIndex(t testing.TB, dir, db string) *manifest.Index {
	t.Helper()
	x, err := manifest.OpenIndex(context.Background(), dir, db, manifest.IndexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// compareIndex checks an index against a fresh replay: the segments it plans
// with, and what its tables hold.
func compareIndex(t *testing.T, x *manifest.Index, dir string) {
	t.Helper()
	f, err := manifest.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := x.Segments(t.Context(), manifest.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	want := factsOf(f.State())
	if !reflect.DeepEqual(rows, want.rows) {
		t.Fatalf("index plans with\n%+v\nwant\n%+v", rows, want.rows)
	}
	gaps, err := x.Gaps(t.Context(), manifest.Filter{})
	if err != nil || len(gaps)+len(want.gaps) > 0 && !reflect.DeepEqual(gaps, want.gaps) {
		t.Fatalf("index has gaps %+v, %v; want %+v", gaps, err, want.gaps)
	}
	db, err := x.SQL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text, wantText string
	const query = `SELECT coalesce(string_agg(concat_ws(' ', venue, symbol, stream, first_seq, last_seq, tier, key, hash, writer), ';' ORDER BY venue, symbol, stream, first_seq), '') FROM segments`
	if err := db.QueryRowContext(t.Context(), query).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range want.rows {
		if r.Committed {
			lines = append(lines, fmt.Sprint(r.Venue, " ", r.Symbol, " ", r.Stream, " ", r.FirstSeq, " ", r.LastSeq, " ", r.Tier, " ", r.Key, " ", r.Hash, " ", r.Writer))
		}
	}
	if wantText = strings.Join(lines, ";"); text != wantText {
		t.Fatalf("tables hold\n%s\nwant\n%s", text, wantText)
	}
}

// TestIndexFollows drives two writers at random. One index in memory and one in
// a file, which is closed and opened again now and then, must keep up.
func TestIndexFollows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir, db := t.TempDir(), filepath.Join(t.TempDir(), "cache", "index.duckdb")
	inMemory, inFile := openIndex(t, dir, ""), openIndex(t, dir, db)
	lives := []*life{newLife("a", 5), newLife("b", 5)}
	writers := []*manifest.Writer{open(t, dir, "a", manifest.WriterOptions{}), open(t, dir, "b", manifest.WriterOptions{})}
	for range 30 {
		i := rng.IntN(2)
		ops := lives[i].next(rng)
		if len(ops) == 0 {
			continue
		}
		commit(t, writers[i], ops...)
		switch rng.IntN(4) {
		case 0:
			if err := inFile.Close(); err != nil {
				t.Fatal(err)
			}
			inFile = openIndex(t, dir, db)
			compareIndex(t, inFile, dir)
		case 1:
			for _, x := range []*manifest.Index{inMemory, inFile} {
				if changed, err := x.Refresh(t.Context()); err != nil || !changed && x == inMemory {
					t.Fatalf("refresh: %v, %v", changed, err)
				}
				if changed, err := x.Refresh(t.Context()); err != nil || changed {
					t.Fatalf("second refresh: %v, %v", changed, err)
				}
				compareIndex(t, x, dir)
			}
		}
	}
}

func TestListings(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, "main", manifest.WriterOptions{})
	x := openIndex(t, dir, "")
	if got, err := x.Symbols(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("an empty archive has symbols %v, %v", got, err)
	}
	// Two segments of 100 s around midnight: the first reaches into the next day.
	midnight := manifesttest.Epoch + 24*3600e9
	book := manifesttest.Fake(btc, 2, midnight-50e9)
	trades := btc
	trades.Stream = "trade"
	ops := append(manifesttest.Adds(book), manifesttest.Adds(manifesttest.Fake(trades, 1, midnight-50e9))...)
	gap := manifest.Gap{Venue: btc.Venue, Symbol: btc.Symbol, Channel: "c", Start: midnight + 10e9, End: midnight + 11e9, FirstSeq: 5, LastSeq: 6, Cause: "sequence"}
	recovered := gap
	recovered.Start, recovered.End, recovered.Recovered = midnight-20e9, midnight-19e9, true
	ops = append(ops, manifest.Op{Op: manifest.OpGap, Gap: &gap}, manifest.Op{Op: manifest.OpGap, Gap: &recovered}, manifest.Op{Op: manifest.OpGap, Gap: &gap})
	commit(t, w, ops...)
	if _, err := x.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	symbols, err := x.Symbols(t.Context())
	want := manifest.SymbolInfo{
		Venue: btc.Venue, Symbol: btc.Symbol, Streams: []string{"book", "trade"}, FirstTime: midnight - 50e9, LastTime: midnight + 149e9,
		Segments: 3, Records: 300, Bytes: 3 << 20, Days: 2, Definition: book[0].Definition,
	}
	if err != nil || len(symbols) != 1 || !reflect.DeepEqual(symbols[0], want) {
		t.Errorf("symbols %+v, %v; want %+v", symbols, err, want)
	}
	coverage, err := x.Coverage(t.Context(), manifest.Filter{Stream: "book"})
	first := manifest.Coverage{
		Venue: btc.Venue, Symbol: btc.Symbol, Stream: "book", Date: "2024-08-08", FirstTime: midnight - 50e9, LastTime: midnight - 1,
		Segments: 1, Records: 100, Bytes: 1 << 20, Gaps: 1, Condition: manifest.Available,
	}
	second := first
	second.Date, second.FirstTime, second.LastTime, second.Segments, second.Condition = "2024-08-09", midnight, midnight+149e9, 2, manifest.Degraded
	if err != nil || !reflect.DeepEqual(coverage, []manifest.Coverage{first, second}) {
		t.Errorf("coverage %+v, %v; want %+v, %+v", coverage, err, first, second)
	}
	for name, c := range map[string]struct {
		f    manifest.Filter
		want int
	}{
		"both": {manifest.Filter{}, 2}, "other venue": {manifest.Filter{Venue: "okx"}, 0}, "later": {manifest.Filter{Start: midnight}, 1},
		"up to": {manifest.Filter{End: midnight}, 1}, "touching": {manifest.Filter{Start: midnight + 11e9, End: midnight + 12e9}, 1},
		"end is exclusive": {manifest.Filter{Start: midnight, End: midnight + 10e9}, 0},
	} {
		if got, err := x.Gaps(t.Context(), c.f); err != nil || len(got) != c.want {
			t.Errorf("gaps, %s: %+v, %v", name, got, err)
		}
	}
	if got, err := x.Coverage(t.Context(), manifest.Filter{Start: midnight, End: midnight + 1}); err != nil || len(got) != 2 || got[0].Date != "2024-08-09" {
		t.Errorf("coverage of one day: %+v, %v", got, err)
	}
}

// TestBadIndexFiles: whatever lies at the index's path, the answers are right.
func TestBadIndexFiles(t *testing.T) {
	dir := threeCommits(t)
	db := filepath.Join(t.TempDir(), "index.duckdb")
	if err := openIndex(t, dir, db).Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(path string){
		"deleted":    func(path string) { _ = os.Remove(path) },
		"intact":     func(string) {},
		"empty":      func(path string) { write(t, filepath.Dir(path), filepath.Base(path), nil) },
		"text":       func(path string) { write(t, filepath.Dir(path), filepath.Base(path), []byte("not a database at all")) },
		"cut short":  func(path string) { write(t, filepath.Dir(path), filepath.Base(path), good[:len(good)/3]) },
		"scrambled":  func(path string) { write(t, filepath.Dir(path), filepath.Base(path), scramble(good)) },
		"other form": func(path string) { execute(t, dir, path, "UPDATE chronicle_index SET format = 999") },
		"other log":  func(path string) { execute(t, dir, path, "UPDATE logs SET hash = 'sha256:00'") },
		"too far":    func(path string) { execute(t, dir, path, "UPDATE logs SET n = 77") },
		"bad row":    func(path string) { execute(t, dir, path, "UPDATE segments SET definition = '{'") },
		"bad extra":  func(path string) { execute(t, dir, path, "UPDATE chronicle_index SET extra = '{'") },
		"no table":   func(path string) { execute(t, dir, path, "DROP TABLE gaps") },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index.duckdb")
			if err := os.WriteFile(path, good, 0o644); err != nil {
				t.Fatal(err)
			}
			make(path)
			x := openIndex(t, dir, path)
			compareIndex(t, x, dir)
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			compareIndex(t, openIndex(t, dir, path), dir)
		})
	}
}

func scramble(b []byte) []byte {
	b = append([]byte(nil), b...)
	for i := 4096; i < len(b); i += 7 {
		b[i] ^= 0x55
	}
	return b
}

// execute opens the index and runs a statement on its tables. Close would sync
// nothing, for nothing has changed.
func execute(t *testing.T, dir, path, statement string) {
	t.Helper()
	x := openIndex(t, dir, path)
	db, err := x.SQL(t.Context())
	if err == nil {
		_, err = db.ExecContext(t.Context(), statement)
	}
	if err := errors.Join(err, x.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestForeignDatabaseIsLeftAlone(t *testing.T) {
	dir := threeCommits(t)
	path := filepath.Join(t.TempDir(), "theirs.duckdb")
	execute(t, dir, path, "DROP TABLE chronicle_index")
	_, err := manifest.OpenIndex(t.Context(), dir, path, manifest.IndexOptions{})
	if err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("error is %v", err)
	}
}

func TestIndexInAFolderThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), "file", nil)
	if _, err := manifest.OpenIndex(t.Context(), t.TempDir(), filepath.Join(file, "index"), manifest.IndexOptions{}); err == nil {
		t.Error("no error")
	}
}

// TestHelperProcess is another process: it opens the index it is told, says so,
// and waits for its input to end.
func TestHelperProcess(t *testing.T) {
	dir := os.Getenv("CHRONICLE_TEST_MANIFEST")
	if dir == "" {
		t.Skip("only as a helper of other tests")
	}
	x, err := manifest.OpenIndex(t.Context(), dir, os.Getenv("CHRONICLE_TEST_INDEX"), manifest.IndexOptions{})
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	rows, err := x.Segments(t.Context(), manifest.Filter{})
	fmt.Println("segments:", len(rows), err)
	_, _ = os.Stdin.Read(make([]byte, 1))
	_ = x.Close()
}

// otherProcess starts a helper process and gives its first line; stop ends it.
func otherProcess(t *testing.T, dir, db string) (line string, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), "CHRONICLE_TEST_MANIFEST="+dir, "CHRONICLE_TEST_INDEX="+db)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanf(out, "%q", &line); err != nil {
		b := make([]byte, 4096)
		n, _ := out.Read(b)
		line = string(b[:n])
	}
	stop = sync.OnceFunc(func() { _ = in.Close(); _ = cmd.Wait() })
	t.Cleanup(stop)
	return line, stop
}

func TestIndexFileOfAnotherProcess(t *testing.T) {
	dir := threeCommits(t)
	db := filepath.Join(t.TempDir(), "index.duckdb")
	line, stop := otherProcess(t, dir, db)
	if !strings.Contains(line, "egments: 6") {
		t.Fatalf("the other process says %q", line)
	}
	_, err := manifest.OpenIndex(t.Context(), dir, db, manifest.IndexOptions{})
	if !errors.Is(err, manifest.ErrIndexLocked) || !strings.Contains(err.Error(), "process ") || !strings.Contains(err.Error(), db) {
		t.Errorf("error is %v", err)
	}
	// Without that file, or with another, both work at once.
	compareIndex(t, openIndex(t, dir, ""), dir)
	compareIndex(t, openIndex(t, dir, db+"2"), dir)
	stop()
	compareIndex(t, openIndex(t, dir, db), dir)
	// The same within one process.
	if _, err := manifest.OpenIndex(t.Context(), dir, db, manifest.IndexOptions{}); !errors.Is(err, manifest.ErrIndexLocked) {
		t.Errorf("opened twice: %v", err)
	}
}

// TestConcurrentUse runs every question while a writer commits, for the race
// detector.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, "main", manifest.WriterOptions{})
	x := openIndex(t, dir, "")
	ops := manifesttest.Adds(manifesttest.Fake(btc, 40, manifesttest.Epoch))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range ops {
			if _, err := w.Commit(ops[i]); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for last := 0; last < len(ops); {
				_, err := x.Refresh(context.Background())
				rows, err2 := x.Segments(context.Background(), manifest.Filter{Venue: btc.Venue, Symbol: btc.Symbol, Stream: btc.Stream})
				_, _, err3 := x.At(context.Background(), btc, manifest.ByTime, manifesttest.Epoch)
				_, err4 := x.Symbols(context.Background())
				if err := errors.Join(err, err2, err3, err4); err != nil || len(rows) < last {
					t.Errorf("%d rows after %d, %v", len(rows), last, err)
					return
				}
				last = len(rows)
			}
		})
	}
	wg.Wait()
	compareIndex(t, x, dir)
}

func TestClosedIndex(t *testing.T) {
	x := openIndex(t, t.TempDir(), "")
	if err := errors.Join(x.Close(), x.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := x.Refresh(t.Context())
	_, err2 := x.Segments(t.Context(), manifest.Filter{})
	_, err3 := x.Symbols(t.Context())
	_, err4 := x.SQL(t.Context())
	for _, err := range []error{err, err2, err3, err4} {
		if !errors.Is(err, manifest.ErrClosed) {
			t.Errorf("error is %v", err)
		}
	}
}
