package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenDisk(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := OpenDisk("/proc"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of a file system that has nothing to sync: %v, want errors.ErrUnsupported", err)
	}
	d, err := OpenDisk(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		t.Error(err)
	}
	if err := d.Sync(); !errors.Is(err, unix.EBADF) {
		t.Errorf("sync after close: %v, want EBADF", err)
	}
}

func TestTellsFailures(t *testing.T) {
	for kind, want := range map[int64]bool{
		unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.TMPFS_MAGIC: true,
		unix.OVERLAYFS_SUPER_MAGIC: false, unix.NFS_SUPER_MAGIC: false, unix.FUSE_SUPER_MAGIC: false,
	} {
		if tellsFailures(kind) != want {
			t.Errorf("file system %x: %v, want %v", kind, !want, want)
		}
	}
}
