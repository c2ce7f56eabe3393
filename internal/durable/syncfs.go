package durable

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Disk is a file system that can be synced as a whole, with one system call for
// any number of files and names.
//
// One Disk should be kept for as long as the files on it are written to: each sees
// every failure to write back that there was since it was opened, also those that
// the kernel met on its own in between.
type Disk struct {
	dir *os.File
}

// OpenDisk opens the file system that has the directory dir. An error that is
// errors.ErrUnsupported means that its files have to be synced one by one: the
// kernel, or that kind of file system, does not tell all failures to syncfs(2).
func OpenDisk(dir string) (*Disk, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open file system: %w", err)
	}
	var st unix.Statfs_t
	if err = unix.Fstatfs(int(f.Fd()), &st); err == nil && !(kernelTells() && tellsFailures(int64(st.Type))) {
		err = errors.ErrUnsupported
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open file system of %s: %w", dir, err), f.Close())
	}
	return &Disk{dir: f}, nil
}

// tellsFailures knows the kinds of file systems whose syncfs waits for the data and
// the journal, has the device flush its cache, and returns the errors of all that.
// FUSE and overlays, for one, do not.
func tellsFailures(kind int64) bool {
	switch kind {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// kernelTells tells whether the kernel is Linux 5.17 or newer. syncfs(2) returns the
// errors of writing data since 5.8, and those of the file system's journal since 5.17.
var kernelTells = sync.OnceValue(func() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 5 || major == 5 && minor >= 17)
})

// Sync writes everything on the file system to the device: what was written to any
// of its files, by whatever process, and all changes of names. After an error
// nothing is known of any file that was not on the device before: mark what was
// written as changed ([Dirty]) and sync file by file.
func (d *Disk) Sync() error {
	return do(Op{Kind: OpSyncFS, Path: d.dir.Name()}, func() error {
		return os.NewSyscallError("syncfs", unix.Syncfs(int(d.dir.Fd())))
	})
}

// Close ends the use of the file system.
func (d *Disk) Close() error { return d.dir.Close() }
