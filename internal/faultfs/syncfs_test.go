package faultfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
)

// diskOf opens the file system of a directory, or skips where it cannot be synced whole.
func diskOf(t *testing.T, dir string) *durable.Disk {
	t.Helper()
	d, err := durable.OpenDisk(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// TestSyncOfTheFileSystem makes everything durable, names and bytes, wherever it is.
func TestSyncOfTheFileSystem(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	d := diskOf(t, root)
	_, err := durable.MakeDirs(filepath.Join(root, "a", "b"), 0o755)
	must(t, err)
	write(t, filepath.Join(root, "a", "b", "file"), "first")
	write(t, filepath.Join(root, "other"), "second")
	must(t, d.Sync())
	for name, want := range map[string]string{"a/b/file": "first", "other": "second"} {
		if got := outcomes(t, f, name); len(got) != 1 || got[want] == 0 {
			t.Errorf("%s: outcomes %v, want %q alone", name, got, want)
		}
	}
}

// TestSyncOfTheFileSystemFails: then what it should have written is taken for clean. Each
// of its files says so once, and is written only when it has been changed again.
func TestSyncOfTheFileSystemFails(t *testing.T) {
	root := tempDir(t)
	f := faultfs.New(t, root)
	d := diskOf(t, root)
	path := filepath.Join(root, "file")
	write(t, path, "content")
	must(t, durable.SyncDir(root))
	f.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSyncFS}})
	if err := d.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v, want EIO", err)
	}
	if err := durable.SyncFile(path); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync of the file: %v, want EIO", err)
	}
	must(t, durable.SyncFile(path))
	must(t, d.Sync())
	if got := outcomes(t, f, "file"); len(got) < 2 {
		t.Errorf("outcomes %v: what a failed sync has lost cannot be there for certain", got)
	}
	write(t, path, "content")
	must(t, durable.SyncFile(path))
	if got := outcomes(t, f, "file"); len(got) != 1 || got["content"] == 0 {
		t.Errorf("outcomes %v", got)
	}
}

// write makes a file by single operations, without a sync.
func write(t *testing.T, path, content string) {
	t.Helper()
	file, err := durable.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	must(t, durable.WriteAt(file, []byte(content), 0))
	must(t, file.Close())
}
