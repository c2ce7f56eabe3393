package faultfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"chronicle/internal/durable"
	"chronicle/internal/faultfs"

	"golang.org/x/sys/unix"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "faultfs-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var modes = []faultfs.Mode{{}, {Ordered: true}, {Sectors: true}, {Ordered: true, Sectors: true}}

// crashes takes n crashes and gives the images to check, each in every mode.
func crashes(t *testing.T, f *faultfs.FS, n int, check func(image string)) {
	t.Helper()
	images := tempDir(t)
	for seed := range n {
		for i, mode := range modes {
			image := filepath.Join(images, fmt.Sprint(seed, "-", i))
			must(t, f.Crash(image, rand.New(rand.NewPCG(uint64(seed), 1)), mode))
			check(image)
			must(t, os.RemoveAll(image))
		}
	}
}

// outcomes counts the different contents that path has after crashes.
func outcomes(t *testing.T, f *faultfs.FS, name string) map[string]int {
	t.Helper()
	got := map[string]int{}
	crashes(t, f, 50, func(image string) {
		b, err := os.ReadFile(filepath.Join(image, name))
		if err != nil {
			b = []byte("absent")
		}
		got[string(b)]++
	})
	return got
}

func only(t *testing.T, got map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("no crash leaves %.20q", w)
		}
		delete(got, w)
	}
	for g, n := range got {
		t.Errorf("%d crashes leave %.20q (%d bytes)", n, g, len(g))
	}
}

var (
	before = string(bytes.Repeat([]byte("old."), 3000))
	after  = string(bytes.Repeat([]byte("new!"), 4000))
)

// replaceUnsafely is the classic mistake: a rename of what was never synced.
func replaceUnsafely(path, data string) error {
	f, err := durable.OpenFile(path+".new", os.O_RDWR|os.O_CREATE, 0o644)
	if err == nil {
		err = errors.Join(durable.WriteAt(f, []byte(data), 0), f.Close())
	}
	if err == nil {
		err = durable.Rename(path+".new", path)
	}
	return err
}

// TestUnsafeWriterIsCaught: without a sync before the rename, the new name can
// have a file with nothing, with a part, or with holes in it.
func TestUnsafeWriterIsCaught(t *testing.T) {
	root := tempDir(t)
	path := filepath.Join(root, "state")
	must(t, os.WriteFile(path, []byte(before), 0o644))
	f := faultfs.New(t, root)
	must(t, replaceUnsafely(path, after))
	got := outcomes(t, f, "state")
	if got[""] == 0 || got[after] == 0 || len(got) < 5 {
		t.Errorf("the outcomes are %d, %d of them empty, %d whole: want all sorts", len(got), got[""], got[after])
	}
}

func TestSafeWriterIsNot(t *testing.T) {
	root := tempDir(t)
	path := filepath.Join(root, "state")
	must(t, os.WriteFile(path, []byte(before), 0o644))
	f := faultfs.New(t, root)
	during := map[string]int{}
	f.Watch(func(durable.Op) {
		for got, n := range outcomes(t, f, "state") {
			during[got] += n
		}
	})
	must(t, durable.WriteFile(path, []byte(after), 0o644))
	f.Watch(nil)
	only(t, during, before, after)
	only(t, outcomes(t, f, "state"), after)
}

// TestCreateIsOnce: exactly one of two names, never a half file, and nothing but
// the file once the call has returned.
func TestCreateIsOnce(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	path := filepath.Join(root, "1.json")
	during := map[string]int{}
	f.Watch(func(durable.Op) {
		for got, n := range outcomes(t, f, "1.json") {
			during[got] += n
		}
	})
	must(t, durable.Create(path, []byte(after), 0o644))
	f.Watch(nil)
	only(t, during, "absent", after)
	only(t, outcomes(t, f, "1.json"), after)
	if err := durable.Create(path, []byte(before), 0o644); !errors.Is(err, os.ErrExist) {
		t.Fatalf("second create: %v", err)
	}
	only(t, outcomes(t, f, "1.json"), after)
}

func TestUnsyncedNamesComeAndGo(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	must(t, durable.MkdirAll(filepath.Join(root, "synced"), 0o755))
	_, err := durable.MakeDirs(filepath.Join(root, "a", "b"), 0o755)
	must(t, err)
	must(t, durable.WriteFile(filepath.Join(root, "a", "b", "file"), []byte("x"), 0o644))
	must(t, durable.WriteFile(filepath.Join(root, "synced", "file"), []byte("x"), 0o644))
	only(t, outcomes(t, f, "synced/file"), "x")
	only(t, outcomes(t, f, "a/b/file"), "absent", "x")
	must(t, durable.SyncDir(filepath.Join(root, "a")))
	only(t, outcomes(t, f, "a/b/file"), "absent", "x")
	must(t, durable.SyncDir(root))
	only(t, outcomes(t, f, "a/b/file"), "x")
	must(t, durable.Unlink(filepath.Join(root, "a/b/file")))
	only(t, outcomes(t, f, "a/b/file"), "absent", "x")
	must(t, durable.SyncDir(filepath.Join(root, "a/b")))
	only(t, outcomes(t, f, "a/b/file"), "absent")
}

// TestRenameAcrossDirectories: synced on one side only, the file may have both
// names or none; within a directory it always has exactly one.
func TestRenameAcrossDirectories(t *testing.T) {
	root := tempDir(t)
	for _, dir := range []string{"from", "to"} {
		must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(root, "from/f"), []byte("x"), 0o644))
	f := faultfs.New(t, root)
	count := func(names ...string) map[int]int {
		got := map[int]int{}
		crashes(t, f, 50, func(image string) {
			n := 0
			for _, name := range names {
				if _, err := os.Stat(filepath.Join(image, name)); err == nil {
					n++
				}
			}
			got[n]++
		})
		return got
	}
	must(t, durable.Move(filepath.Join(root, "from/f"), filepath.Join(root, "from/g")))
	if got := count("from/f", "from/g"); len(got) != 1 || got[1] == 0 {
		t.Errorf("renamed within a directory, names there by crashes: %v", got)
	}
	must(t, durable.SyncDir(filepath.Join(root, "from")))
	must(t, durable.Move(filepath.Join(root, "from/g"), filepath.Join(root, "to/f")))
	must(t, durable.SyncDir(filepath.Join(root, "to")))
	if got := count("from/g", "to/f"); len(got) != 2 || got[1] == 0 || got[2] == 0 {
		t.Errorf("the new directory synced, names there by crashes: %v", got)
	}
	must(t, durable.SyncDir(filepath.Join(root, "from")))
	if got := count("from/g", "to/f"); len(got) != 1 || got[1] == 0 {
		t.Errorf("both synced, names there by crashes: %v", got)
	}
}

// TestOrdered: on an ordered disk a later name says that the earlier ones are there.
func TestOrdered(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	for i := range 6 {
		file, err := durable.OpenFile(filepath.Join(root, fmt.Sprint(i)), os.O_CREATE|os.O_RDWR, 0o644)
		must(t, err)
		must(t, file.Close())
	}
	images, holes := tempDir(t), map[bool]int{}
	for seed := range 60 {
		mode := faultfs.Mode{Ordered: seed%2 == 0}
		image := filepath.Join(images, fmt.Sprint(seed))
		must(t, f.Crash(image, rand.New(rand.NewPCG(uint64(seed), 3)), mode))
		entries, err := os.ReadDir(image)
		must(t, err)
		if n := len(entries); n > 0 && entries[n-1].Name() != fmt.Sprint(n-1) {
			holes[mode.Ordered]++
		}
	}
	if holes[true] != 0 || holes[false] == 0 {
		t.Errorf("holes in the names: %d on ordered disks, %d on others", holes[true], holes[false])
	}
}

// mapped makes a file of n bytes and maps it.
func mapped(t *testing.T, path string, n int) []byte {
	t.Helper()
	file, err := durable.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	defer file.Close()
	must(t, durable.Allocate(file, 0, int64(n)))
	mem, err := unix.Mmap(int(file.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	t.Cleanup(func() { unix.Munmap(mem) })
	return mem
}

// TestMappedPages: stores are seen without a call, page by page or sector by
// sector, and a synced range stays.
func TestMappedPages(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	mem := mapped(t, filepath.Join(root, "m"), 4*4096)
	for i := range mem {
		mem[i] = 1
	}
	must(t, durable.SyncDir(root))
	must(t, durable.SyncRange(filepath.Join(root, "m"), mem[:2*4096]))
	torn := map[int]bool{}
	crashes(t, f, 50, func(image string) {
		b, err := os.ReadFile(filepath.Join(image, "m"))
		must(t, err)
		if len(b) < 2*4096 || bytes.Count(b[:2*4096], []byte{1}) != 2*4096 {
			t.Fatalf("%d bytes, the synced part is not whole", len(b))
		}
		torn[bytes.Count(b, []byte{1})%4096] = true
	})
	if len(torn) < 3 || !torn[0] {
		t.Errorf("page remainders %v: want whole pages and sectors", torn)
	}
}

func TestWritebackReachesTheDisk(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	mem := mapped(t, filepath.Join(root, "m"), 4096)
	rng := rand.New(rand.NewPCG(5, 6))
	mem[0] = 1
	for range 50 {
		must(t, f.Writeback(rng))
	}
	mem[0] = 2
	seen := map[byte]bool{}
	crashes(t, f, 50, func(image string) {
		b, err := os.ReadFile(filepath.Join(image, "m"))
		must(t, err)
		seen[b[0]] = true
	})
	if seen[0] || !seen[1] || !seen[2] {
		t.Errorf("first bytes after crashes: %v, want 1 and 2", seen)
	}
}

// TestFailedSyncIsNotRepeated: what a failed sync did not write, a later one does
// not either, unless it is dirtied.
func TestFailedSyncIsNotRepeated(t *testing.T) {
	root := tempDir(t)
	path := filepath.Join(root, "m")
	f := faultfs.New(t, root)
	mem := mapped(t, path, 2*4096)
	must(t, durable.SyncDir(root))
	must(t, durable.SyncRange(path, mem))
	for i := range mem {
		mem[i] = 1
	}
	bad := f.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSyncRange}})
	if err := durable.SyncRange(path, mem); !errors.Is(err, syscall.EIO) || bad.Hits() != 1 {
		t.Fatalf("sync: %v, %d hits", err, bad.Hits())
	}
	mem[4096] = 2 // this page is written by the next one
	lost := func() map[int]bool {
		got := map[int]bool{}
		crashes(t, f, 30, func(image string) {
			b, err := os.ReadFile(filepath.Join(image, "m"))
			must(t, err)
			got[bytes.Count(b[:4096], []byte{0})] = true
			if b[4096] != 2 {
				t.Fatal("a page changed after the failed sync is not on disk")
			}
		})
		return got
	}
	must(t, durable.SyncRange(path, mem))
	if got := lost(); !got[4096] {
		t.Errorf("zeros in the first page by crashes %v: a second sync made the page durable", got)
	}
	must(t, durable.Dirty(path, mem))
	must(t, durable.SyncRange(path, mem))
	if got := lost(); len(got) != 1 || !got[0] {
		t.Errorf("zeros in the first page by crashes %v: dirtied and synced, it must be on disk", got)
	}
}

func TestFaults(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	path := filepath.Join(root, "x")
	write := func(data string) error { return durable.WriteFile(path, []byte(data), 0o644) }
	must(t, write("first"))

	full := f.Full()
	if err := write("second"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	full.Stop()

	f.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpWrite}, Half: true, Name: ".x.*", Err: syscall.EDQUOT})
	if err := write("second"); !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("half written: %v", err)
	}
	renamed := f.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpRename}, Skip: 1, Applied: true})
	must(t, write("third"))
	if err := write("fourth"); !errors.Is(err, syscall.EIO) || renamed.Hits() != 1 {
		t.Errorf("renamed, but said to have failed: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "fourth" {
		t.Errorf("content %q: the rename was not done", b)
	}
	entries, err := os.ReadDir(root)
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("leftovers: %v", entries)
	}
	must(t, write("fifth"))
}

// TestOutsideIsLeftAlone: operations outside the root go through, and so do all
// of them after Close.
func TestOutsideIsLeftAlone(t *testing.T) {
	root, other := tempDir(t), tempDir(t)
	f := faultfs.New(t, root)
	f.Full()
	must(t, durable.WriteFile(filepath.Join(other, "x"), nil, 0o644))
	if err := durable.WriteFile(filepath.Join(root, "x"), nil, 0o644); err == nil {
		t.Error("the fault does not bite")
	}
	f.Close()
	must(t, durable.WriteFile(filepath.Join(root, "x"), nil, 0o644))
}

// TestBehindItsBack: what is done without package durable is found, and is owed to
// nobody.
func TestBehindItsBack(t *testing.T) {
	root := tempDir(t)
	must(t, os.WriteFile(filepath.Join(root, "old"), []byte("x"), 0o644))
	f := faultfs.New(t, root)
	must(t, os.Rename(filepath.Join(root, "old"), filepath.Join(root, "renamed")))
	must(t, os.WriteFile(filepath.Join(root, "new"), []byte("y"), 0o644))
	only(t, outcomes(t, f, "old"), "absent", "x")
	only(t, outcomes(t, f, "renamed"), "absent", "x")
	got := outcomes(t, f, "new")
	delete(got, "\x00") // its length was written, the byte was not
	only(t, got, "absent", "", "y")
	must(t, durable.SyncDir(root))
	must(t, durable.SyncFile(filepath.Join(root, "new")))
	only(t, outcomes(t, f, "old"), "absent")
	only(t, outcomes(t, f, "new"), "y")
}
