package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"chronicle/internal/durable"
)

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// names lists a directory, so that a test sees leftovers too.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	for _, want := range []string{"first", "second, longer", ""} {
		if err := durable.WriteFile(path, []byte(want), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != want {
			t.Errorf("content %q, want %q", got, want)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, want 0640", info.Mode())
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("leftovers: %v", got)
	}
}

func TestWriteFileErrorLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "child"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x"), 0o644); err == nil {
		t.Fatal("a directory was replaced by a file")
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("leftovers: %v", got)
	}
	if err := durable.WriteFile(filepath.Join(dir, "no", "such"), nil, 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v, want fs.ErrNotExist", err)
	}
}

func TestCreateOnlyOneWins(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "000000000001.json")
	var wins, losses atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			switch err := durable.Create(path, []byte{'a' + byte(i)}, 0o644); {
			case err == nil:
				wins.Add(1)
			case errors.Is(err, fs.ErrExist):
				losses.Add(1)
			default:
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if wins.Load() != 1 || losses.Load() != 15 {
		t.Errorf("%d winners and %d losers, want 1 and 15", wins.Load(), losses.Load())
	}
	if got := names(t, dir); len(got) != 1 || len(content(t, path)) != 1 {
		t.Errorf("directory %v, content %q", got, content(t, path))
	}
}

func TestRenameAndRemove(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "deep", "er", "b")
	if err := durable.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatalf("making it again: %v", err)
	}
	if err := durable.WriteFile(from, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := durable.SyncFile(from); err != nil {
		t.Fatal(err)
	}
	if err := durable.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if got := content(t, to); got != "x" {
		t.Errorf("content %q after the rename", got)
	}
	for range 2 {
		if err := durable.Remove(to); err != nil {
			t.Fatalf("remove (the second time it is gone already): %v", err)
		}
	}
	if err := durable.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename of nothing: %v, want fs.ErrNotExist", err)
	}
}

func TestMkdirAllThroughAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := durable.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(filepath.Join(file, "sub"), 0o755); err == nil {
		t.Error("a directory was made below a file")
	}
}

func TestIsTemp(t *testing.T) {
	for name, want := range map[string]bool{
		"dir/.checkpoint.tmp-123": true, "checkpoint": false, ".hidden": false, "a.tmp-1": false,
	} {
		if got := durable.IsTemp(name); got != want {
			t.Errorf("IsTemp(%q) = %v, want %v", name, got, want)
		}
	}
}

// TestTempNamesAreNew: names left behind by a process with the same pid are not in
// the way.
func TestTempNamesAreNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	var last string
	durable.SetHook(func(op durable.Op, apply func() error) error {
		if op.Kind == durable.OpCreate && last == "" {
			last = op.Path
			if err := os.WriteFile(op.Path, []byte("somebody else's"), 0o644); err != nil {
				return err
			}
		}
		return apply()
	})
	defer durable.SetHook(nil)
	if err := durable.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "mine" || content(t, last) != "somebody else's" || !durable.IsTemp(last) {
		t.Errorf("content %q, of the other %q", got, content(t, last))
	}
}

func TestMoveNew(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, path := range []string{from, to} {
		if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.MoveNew(from, to); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("onto a file: %v, want fs.ErrExist", err)
	}
	if err := durable.Unlink(to); err != nil {
		t.Fatal(err)
	}
	durable.SetHook(func(_ durable.Op, apply func() error) error {
		return errors.Join(apply(), syscall.EIO) // done, and said to have failed
	})
	defer durable.SetHook(nil)
	if err := durable.MoveNew(from, to); err != nil || content(t, to) != from {
		t.Errorf("%v, content %q", err, content(t, to))
	}
	if err := durable.MoveNew(from, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing, onto a file: %v", err)
	}
}

// TestEveryStepIsHooked: what the functions do is done by operations that a hook
// sees, in the order that makes it durable.
func TestEveryStepIsHooked(t *testing.T) {
	dir := t.TempDir()
	var steps []string
	durable.SetHook(func(op durable.Op, apply func() error) error {
		steps = append(steps, op.Kind.String())
		return apply()
	})
	defer durable.SetHook(nil)
	at := func(name string) string { return filepath.Join(dir, name) }
	for want, do := range map[string]func() error{
		"create, write, sync, rename, sync directory":       func() error { return durable.WriteFile(at("a"), []byte("x"), 0o644) },
		"create, write, sync, link, unlink, sync directory": func() error { return durable.Create(at("b"), nil, 0o644) },
		"mkdir, mkdir, sync directory, sync directory":      func() error { return durable.MkdirAll(at("c/d"), 0o755) },
	} {
		steps = nil
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("steps %q, want %q", got, want)
		}
	}
	steps = nil
	if err := errors.Join(durable.Rename(at("a"), at("c/a")), durable.Remove(at("c/a")), durable.SyncFile(at("b"))); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(steps, ", "); got != "rename, sync directory, sync directory, unlink, sync directory, sync" {
		t.Errorf("steps %q", got)
	}
	if s := durable.Kind(99).String(); s != "kind 99" {
		t.Errorf("unknown kind is %q", s)
	}
}
