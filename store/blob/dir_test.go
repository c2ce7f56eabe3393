package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"chronicle/store/blob"
	"chronicle/store/blob/blobtest"
)

func TestDirConforms(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return newDir(t, filepath.Join(t.TempDir(), "warm")) })
}

func newDir(t *testing.T, root string) *blob.Dir {
	t.Helper()
	d := blob.NewDir(root, "warm")
	if err := d.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func put(d *blob.Dir, key, text string) error {
	want, err := blob.SumOf(strings.NewReader(text))
	return errors.Join(err, d.Put(context.Background(), key, strings.NewReader(text), want))
}

func TestCreateIsIdempotent(t *testing.T) {
	root := filepath.Join(t.TempDir(), "deep", "warm")
	newDir(t, root)
	d := newDir(t, root)
	if err := put(d, "k", "x"); err != nil {
		t.Fatal(err)
	}
	newDir(t, root)
}

func TestCreateRefusesAFolderInUse(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "thesis.doc"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := blob.NewDir(root, "warm").Create(t.Context())
	if err == nil || !strings.Contains(err.Error(), "thesis.doc") {
		t.Errorf("error is %v", err)
	}
}

// TestMissingTier is about the difference between a tier that is not mounted
// and one that is empty, at every call.
func TestMissingTier(t *testing.T) {
	root := filepath.Join(t.TempDir(), "warm")
	d := newDir(t, root)
	if err := put(d, "v/k", "x"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(file, []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	away := func(what string) {
		t.Helper()
		for name, err := range everyCall(d, file) {
			if !errors.Is(err, blob.ErrNoTier) || !strings.Contains(err.Error(), "tier warm: "+root) {
				t.Errorf("%s: %s answers %v", what, name, err)
			}
		}
	}
	if err := os.Rename(root, root+".unmounted"); err != nil {
		t.Fatal(err)
	}
	away("folder gone")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	away("empty mount point")
	if got, _ := os.ReadDir(root); len(got) != 0 {
		t.Errorf("something was written to the mount point: %v", got)
	}
}

func everyCall(d *blob.Dir, file string) map[string]error {
	ctx := context.Background()
	_, openErr := d.Open(ctx, "v/other")
	_, statErr := d.Stat(ctx, "v/other")
	var listErr, tempErr error
	for _, listErr = range d.List(ctx, "") {
	}
	for _, tempErr = range d.Temps(ctx) {
	}
	return map[string]error{
		"Check": d.Check(ctx), "Open": openErr, "Stat": statErr, "List": listErr, "Temps": tempErr,
		"Put": put(d, "v/new", "z"), "Delete": d.Delete(ctx, "v/k"),
		"MoveIn": d.MoveIn(ctx, file, "v/new"), "CleanTemps": d.CleanTemps(ctx, "v/new"),
	}
}

func TestWrongTier(t *testing.T) {
	root := t.TempDir()
	newDir(t, root)
	err := blob.NewDir(root, "cold").Check(t.Context())
	if !errors.Is(err, blob.ErrNoTier) || !strings.Contains(err.Error(), "holds tier warm") {
		t.Errorf("error is %v", err)
	}
	for _, content := range []string{"", "{", `{"format":9,"tier":"warm"}`} {
		if err := os.WriteFile(filepath.Join(root, blob.Marker), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := blob.NewDir(root, "warm").Check(t.Context()); !errors.Is(err, blob.ErrNoTier) {
			t.Errorf("marker %q: error is %v", content, err)
		}
	}
}

func TestMoveIn(t *testing.T) {
	base := t.TempDir()
	d := newDir(t, filepath.Join(base, "warm"))
	source := filepath.Join(base, "segment")
	write := func(text string) {
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	before, err := os.Stat(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.MoveIn(t.Context(), source, "v/s/k"); err != nil {
		t.Fatal(err)
	}
	path, _ := d.LocalPath("v/s/k")
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("not the same file: %v", err)
	}
	if _, err := os.Stat(source); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the source is still there: %v", err)
	}
	write("two")
	if err := d.MoveIn(t.Context(), source, "v/s/k"); !errors.Is(err, blob.ErrExist) {
		t.Errorf("moving onto an object: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "one" {
		t.Errorf("the object became %q", b)
	}
	if err := d.MoveIn(t.Context(), source+".none", "v/s/other"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("moving nothing: %v", err)
	}
	if err := d.MoveIn(t.Context(), source, "../out"); !errors.Is(err, blob.ErrBadKey) {
		t.Errorf("leaving the root: %v", err)
	}
}

func TestMoveInAcrossFileSystems(t *testing.T) {
	elsewhere, err := os.MkdirTemp("/dev/shm", "chronicle-test-")
	if err != nil {
		t.Skip("no second file system at /dev/shm:", err)
	}
	t.Cleanup(func() { os.RemoveAll(elsewhere) })
	here := t.TempDir()
	if device(t, elsewhere) == device(t, here) {
		t.Skipf("%s and %s are one file system", elsewhere, here)
	}
	d := newDir(t, filepath.Join(here, "warm"))
	source := filepath.Join(elsewhere, "segment")
	if err := os.WriteFile(source, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.MoveIn(t.Context(), source, "v/k"); !errors.Is(err, blob.ErrCrossDevice) {
		t.Errorf("error is %v", err)
	}
	if b, err := os.ReadFile(source); err != nil || string(b) != "x" {
		t.Errorf("the source was touched: %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(here, "warm", "v")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder stays: %v", err)
	}
}

func device(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Dev
}

// killer is a source that looks at what a crash in the middle of a Put leaves.
type killer struct {
	bytes.Reader
	look func()
}

func (k *killer) Read(p []byte) (int, error) {
	if k.Len() == 0 {
		return 0, io.EOF
	}
	k.look()
	return k.Reader.Read(p)
}

func TestTempsAreInvisible(t *testing.T) {
	d := newDir(t, t.TempDir())
	if err := put(d, "v/a", "x"); err != nil {
		t.Fatal(err)
	}
	path, _ := d.LocalPath("v/k")
	leftover := filepath.Join(filepath.Dir(path), ".k.tmp-123")
	k := &killer{look: func() {
		if got := temps(t, d); len(got) != 1 {
			t.Errorf("temporary files during a put: %v", got)
		}
		if _, err := d.Stat(t.Context(), "v/k"); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("visible before it is whole: %v", err)
		}
	}}
	k.Reset([]byte("text"))
	want, _ := blob.SumOf(strings.NewReader("text"))
	if err := d.Put(t.Context(), "v/k", k, want); err != nil {
		t.Fatal(err)
	}
	if got := temps(t, d); len(got) != 0 {
		t.Errorf("temporary files after a put: %v", got)
	}
	for _, name := range []string{leftover, filepath.Join(filepath.Dir(path), ".kk.tmp-1")} {
		if err := os.WriteFile(name, []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for info, err := range d.List(t.Context(), "") {
		if err != nil || !slices.Contains([]string{"v/a", "v/k"}, info.Key) {
			t.Errorf("listed %v, %v", info, err)
		}
	}
	if err := d.CleanTemps(t.Context(), "v/k"); err != nil {
		t.Fatal(err)
	}
	if got := temps(t, d); len(got) != 1 || filepath.Base(got[0]) != ".kk.tmp-1" {
		t.Errorf("after cleaning v/k: %v", got)
	}
	if err := d.CleanTemps(t.Context(), "w/none"); err != nil {
		t.Errorf("cleaning nothing: %v", err)
	}
}

func temps(t *testing.T, d *blob.Dir) []string {
	t.Helper()
	var all []string
	for path, err := range d.Temps(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, path)
	}
	return all
}

func TestDeleteRemovesEmptyFolders(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root)
	for _, key := range []string{"v/s/book/1", "v/s/trade/1"} {
		if err := put(d, key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Delete(t.Context(), "v/s/book/1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "v/s/book")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty folder stays: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "v/s/trade/1")); err != nil {
		t.Errorf("a neighbour went: %v", err)
	}
	if err := d.Delete(t.Context(), "v/s/trade/1"); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(t.Context()); err != nil {
		t.Errorf("the empty tier is gone: %v", err)
	}
}
