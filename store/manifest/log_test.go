package manifest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronicle/internal/filelock"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
)

func open(t testing.TB, dir, name string, opts manifest.WriterOptions) *manifest.Writer {
	t.Helper()
	if opts.Now == nil {
		opts.Now = func() time.Time { return time.Unix(0, manifesttest.Epoch) }
	}
	w, err := manifest.OpenWriter(context.Background(), dir, name, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func commit(t testing.TB, w *manifest.Writer, ops ...manifest.Op) uint64 {
	t.Helper()
	n, err := w.Commit(ops...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// threeCommits writes a log of three commits of two segments each and gives its folder.
func threeCommits(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	w := open(t, dir, "main", manifest.WriterOptions{})
	ops := manifesttest.Adds(manifesttest.Fake(btc, 6, manifesttest.Epoch))
	for i := 0; i < 6; i += 2 {
		if n := commit(t, w, ops[i:i+2]...); n != uint64(i/2+1) {
			t.Fatalf("commit number %d", n)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReplay(t *testing.T) {
	dir := threeCommits(t)
	f, err := manifest.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	rows := f.State().Stream(btc)
	if len(rows) != 6 || f.State().Len() != 6 || f.Commits()["main"] != 3 {
		t.Fatalf("%d rows, commits %v", len(rows), f.Commits())
	}
	for i, want := range manifesttest.Fake(btc, 6, manifesttest.Epoch) {
		if rows[i].Ref() != want.Ref() || !rows[i].SameContent(&want) || rows[i].Writer != "main" || !rows[i].Committed || rows[i].Alt != nil {
			t.Errorf("row %d is %+v", i, rows[i])
		}
	}
}

func TestMissingManifestIsEmpty(t *testing.T) {
	f, err := manifest.Load(t.Context(), filepath.Join(t.TempDir(), "none"))
	if err != nil || f.State().Len() != 0 {
		t.Errorf("%d segments, %v", f.State().Len(), err)
	}
}

// TestDamagedLog: every kind of damage is loud and names the file.
func TestDamagedLog(t *testing.T) {
	second := filepath.Join("main", "000000000002.json")
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		names  string
	}{
		"hole":          {func(t *testing.T, dir string) { remove(t, dir, second) }, second},
		"first missing": {func(t *testing.T, dir string) { remove(t, dir, "main/000000000001.json") }, "main/000000000001.json"},
		"flipped bit": {func(t *testing.T, dir string) {
			rewrite(t, dir, second, func(b []byte) []byte { b[100] ^= 1; return b })
		}, second},
		"truncated":       {func(t *testing.T, dir string) { rewrite(t, dir, second, func(b []byte) []byte { return b[:50] }) }, second},
		"empty":           {func(t *testing.T, dir string) { rewrite(t, dir, second, func([]byte) []byte { return nil }) }, second},
		"last is damaged": {func(t *testing.T, dir string) { rewrite(t, dir, "main/000000000003.json", zero) }, "main/000000000003.json"},
		"other's commit": {func(t *testing.T, dir string) {
			other := threeCommits(t)
			rewrite(t, dir, second, func([]byte) []byte { return read(t, other, "main/000000000003.json") })
		}, second},
		"replaced first": {func(t *testing.T, dir string) {
			w := open(t, t.TempDir(), "main", manifest.WriterOptions{})
			rewrite(t, dir, "main/000000000001.json", func([]byte) []byte { return anotherFirst(t, w) })
		}, second},
		"foreign file":   {func(t *testing.T, dir string) { write(t, dir, "main/000000000002.json.bak", nil) }, "000000000002.json.bak"},
		"short name":     {func(t *testing.T, dir string) { write(t, dir, "main/4.json", nil) }, "main/4.json"},
		"foreign folder": {func(t *testing.T, dir string) { write(t, dir, "notes.txt", nil) }, "notes.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := threeCommits(t)
			c.damage(t, dir)
			_, err := manifest.Load(t.Context(), dir)
			if !errors.Is(err, manifest.ErrCorrupt) || !strings.Contains(err.Error(), filepath.FromSlash(c.names)) {
				t.Errorf("reader's error: %v", err)
			}
			_, err = manifest.OpenWriter(t.Context(), dir, "main", manifest.WriterOptions{})
			if !errors.Is(err, manifest.ErrCorrupt) {
				t.Errorf("writer's error: %v", err)
			}
		})
	}
}

// anotherFirst gives a valid first commit that differs from threeCommits' one.
func anotherFirst(t *testing.T, w *manifest.Writer) []byte {
	t.Helper()
	c := &manifest.Commit{Version: manifest.Version, Writer: "main", N: 1, Ops: manifesttest.Adds(manifesttest.Fake(btc, 1, manifesttest.Epoch))}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func zero(b []byte) []byte { clear(b); return b }

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func rewrite(t *testing.T, dir, name string, change func([]byte) []byte) {
	t.Helper()
	b := change(read(t, dir, name))
	remove(t, dir, name)
	write(t, dir, name, b)
}

func TestTemporaryFilesAreIgnored(t *testing.T) {
	dir := threeCommits(t)
	write(t, dir, "main/.000000000004.json.tmp-123", []byte("torn"))
	f, err := manifest.Load(t.Context(), dir)
	if err != nil || f.State().Len() != 6 {
		t.Errorf("%d segments, %v", f.State().Len(), err)
	}
	temps, err := manifest.Temps(dir)
	if err != nil || len(temps) != 1 {
		t.Errorf("temps are %v, %v", temps, err)
	}
	w := open(t, dir, "main", manifest.WriterOptions{})
	more := manifesttest.Adds(manifesttest.Fake(btc, 7, manifesttest.Epoch))
	if n := commit(t, w, more[6]); n != 4 {
		t.Errorf("commit number %d", n)
	}
}

func TestFollowing(t *testing.T) {
	dir := t.TempDir()
	f := manifest.NewFollower(dir)
	refresh := func(want int) {
		t.Helper()
		if n, err := f.Refresh(t.Context()); err != nil || n != want {
			t.Fatalf("%d new commits, %v; want %d", n, err, want)
		}
	}
	refresh(0)
	a, b := open(t, dir, "a", manifest.WriterOptions{}), open(t, dir, "b", manifest.WriterOptions{})
	refresh(0)
	eth := manifest.StreamID{Venue: "kraken", Symbol: "eth_usd", Stream: "trade"}
	rows, others := manifesttest.Adds(manifesttest.Fake(btc, 3, manifesttest.Epoch)), manifesttest.Adds(manifesttest.Fake(eth, 2, manifesttest.Epoch))
	commit(t, a, rows[0])
	refresh(1)
	commit(t, b, others[0])
	commit(t, a, rows[1:]...)
	refresh(2)
	refresh(0)
	commit(t, b, others[1])
	refresh(1)
	if got := f.State().Streams(); len(got) != 2 || len(f.State().Stream(btc)) != 3 || len(f.State().Stream(eth)) != 2 {
		t.Errorf("streams %v", got)
	}
	// A writer sees what others have committed once it refreshes.
	if a.State().Len() != 3 {
		t.Errorf("writer a holds %d segments", a.State().Len())
	}
	if err := a.Refresh(t.Context()); err != nil || a.State().Len() != 5 {
		t.Errorf("writer a holds %d segments, %v", a.State().Len(), err)
	}
	if _, err := a.Commit(others[0]); !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), "belongs to writer b") {
		t.Errorf("adding another writer's segment: %v", err)
	}
}

func TestVanishedLogIsLoud(t *testing.T) {
	dir := threeCommits(t)
	f, err := manifest.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "main")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(t.Context()); !errors.Is(err, manifest.ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, "main", manifest.WriterOptions{})
	_, err := manifest.OpenWriter(t.Context(), dir, "main", manifest.WriterOptions{})
	if !errors.Is(err, filelock.ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("a second writer: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, "main", manifest.WriterOptions{})
	if _, err := w.Commit(); !errors.Is(err, manifest.ErrClosed) {
		t.Errorf("commit after close: %v", err)
	}
	for _, name := range []string{"", "../x", "A", ".hidden", strings.Repeat("x", 200)} {
		if _, err := manifest.OpenWriter(t.Context(), dir, name, manifest.WriterOptions{}); !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("writer name %q: %v", name, err)
		}
	}
}

var errFault = errors.New("the disk said no")

// TestCommitFaults: a step that fails, was applied or not, and a caller that
// repeats, goes on with something else, or starts anew.
func TestCommitFaults(t *testing.T) {
	rows := manifesttest.Adds(manifesttest.Fake(btc, 2, manifesttest.Epoch))
	for _, c := range []struct {
		step    string
		applied bool
	}{{"commit", false}, {"commit done", true}} {
		t.Run(c.step, func(t *testing.T) {
			dir := t.TempDir()
			armed := true
			fault := func(step string) error {
				if armed && step == c.step {
					armed = false
					return errFault
				}
				return nil
			}
			now := manifesttest.Epoch
			clock := func() time.Time { now++; return time.Unix(0, now) } // never the same time twice
			w := open(t, dir, "main", manifest.WriterOptions{Fault: fault, Now: clock})
			n, err := w.Commit(rows[0])
			if c.applied && (err != nil || n != 1) {
				t.Fatalf("a commit that was applied: %d, %v", n, err)
			}
			if !c.applied && !errors.Is(err, errFault) {
				t.Fatalf("error is %v", err)
			}
			if !c.applied {
				commit(t, w, rows[0])
			}
			if n := commit(t, w, rows[1]); n != 2 {
				t.Errorf("the next commit has number %d", n)
			}
			f, err := manifest.Load(t.Context(), dir)
			if err != nil || f.State().Len() != 2 || f.Commits()["main"] != 2 {
				t.Errorf("%d segments, commits %v, %v", f.State().Len(), f.Commits(), err)
			}
		})
	}
}

// TestUncertainCommit: the file is there but cannot be read back at once. Either
// the caller repeats the commit, or it refreshes.
func TestUncertainCommit(t *testing.T) {
	t.Run("repeat", func(t *testing.T) { uncertainCommit(t, false) })
	t.Run("refresh", func(t *testing.T) { uncertainCommit(t, true) })
}

func uncertainCommit(t *testing.T, refresh bool) {
	rows := manifesttest.Adds(manifesttest.Fake(btc, 2, manifesttest.Epoch))
	dir := t.TempDir()
	path := filepath.Join(dir, "main", "000000000001.json")
	armed := true
	w := open(t, dir, "main", manifest.WriterOptions{Fault: func(step string) error {
		if !armed || step != "commit done" {
			return nil
		}
		armed = false
		// A folder of that name is a file that cannot be read.
		return errors.Join(errFault, os.Rename(path, path+".away"), os.Mkdir(path, 0o755))
	}})
	if _, err := w.Commit(rows[0]); !errors.Is(err, errFault) {
		t.Fatalf("error is %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(rows[1]); !errors.Is(err, manifest.ErrUncertain) {
		t.Errorf("another commit: %v", err)
	}
	if refresh {
		if err := w.Refresh(t.Context()); err != nil || w.State().Len() != 1 {
			t.Errorf("refresh: %d segments, %v", w.State().Len(), err)
		}
	} else if n := commit(t, w, rows[0]); n != 1 {
		t.Errorf("the repeated commit has number %d", n)
	}
	if n := commit(t, w, rows[1]); n != 2 {
		t.Errorf("the next commit has number %d", n)
	}
}

func TestSomebodyElseCommits(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, "main", manifest.WriterOptions{})
	write(t, dir, "main/000000000001.json", anotherFirst(t, w))
	ops := manifesttest.Adds(manifesttest.Fake(btc, 2, manifesttest.Epoch))
	if _, err := w.Commit(ops[1]); !errors.Is(err, manifest.ErrConflict) {
		t.Errorf("error is %v", err)
	}
}
