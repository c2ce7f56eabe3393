package durable

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The single operations. What they change does not survive a power loss before
// the file, or for names the directory, has been synced. Their errors are those
// of package os, without more text.

// OpenFile is os.OpenFile.
func OpenFile(path string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&os.O_CREATE == 0 {
		return os.OpenFile(path, flag, perm)
	}
	var f *os.File
	err := do(Op{Kind: OpCreate, Path: path}, func() (err error) {
		f, err = os.OpenFile(path, flag, perm)
		return err
	})
	if err != nil && f != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, err
}

// Move is os.Rename: it replaces what is at the new name.
func Move(from, to string) error {
	return do(Op{Kind: OpRename, Path: from, To: to}, func() error { return os.Rename(from, to) })
}

// MoveNew renames a file that nobody else renames, to a name that nothing has: a
// file that is there is fs.ErrExist. A rename that is reported as failed but was
// done is no error.
func MoveNew(from, to string) error {
	err := do(Op{Kind: OpRename, Path: from, To: to}, func() error { return moveNew(from, to) })
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, statErr := os.Lstat(from); errors.Is(statErr, fs.ErrNotExist) {
		if _, statErr = os.Lstat(to); statErr == nil {
			return nil // reported as failed, but done
		}
	}
	return err
}

func moveNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS { // the file system cannot: look first
		if _, statErr := os.Lstat(to); statErr == nil {
			err = unix.EEXIST
		} else if errors.Is(statErr, fs.ErrNotExist) {
			err = unix.Rename(from, to)
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Link is os.Link.
func Link(from, to string) error {
	return do(Op{Kind: OpLink, Path: from, To: to}, func() error { return os.Link(from, to) })
}

// Unlink is os.Remove.
func Unlink(path string) error {
	return do(Op{Kind: OpUnlink, Path: path}, func() error { return os.Remove(path) })
}

// WriteAt writes all of b to f at off.
func WriteAt(f *os.File, b []byte, off int64) error {
	return do(Op{Kind: OpWrite, Path: f.Name(), Off: off, Len: int64(len(b)), Data: b}, func() error {
		_, err := f.WriteAt(b, off)
		return err
	})
}

// Truncate gives f the length size.
func Truncate(f *os.File, size int64) error {
	return do(Op{Kind: OpTruncate, Path: f.Name(), Len: size}, func() error { return f.Truncate(size) })
}

// Allocate gives the bytes [from, to) of f blocks of their own and extends f as
// needed; what was not there before reads as zero. unix.EOPNOTSUPP or unix.ENOSYS
// says that the file system cannot.
func Allocate(f *os.File, from, to int64) error {
	return do(Op{Kind: OpAllocate, Path: f.Name(), Off: from, Len: to - from}, func() error {
		return fallocate(f, 0, from, to-from)
	})
}

// Punch makes the bytes [from, to) of f zero and takes their blocks away. Errors
// are as of Allocate.
func Punch(f *os.File, from, to int64) error {
	return do(Op{Kind: OpPunch, Path: f.Name(), Off: from, Len: to - from}, func() error {
		return fallocate(f, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	})
}

func fallocate(f *os.File, mode uint32, off, n int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), mode, off, n); err != unix.EINTR {
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// Sync fsyncs f: its bytes and its length, not its name.
func Sync(f *os.File) error {
	return do(Op{Kind: OpSync, Path: f.Name()}, f.Sync)
}

// SyncRange makes mem durable: the first bytes of the file at path, mapped
// shared. The file's length is durable then at least up to the end of mem.
//
// After a failure the kernel takes the pages for clean and will not write them
// again, whatever is synced later: call [Dirty] before the next try.
func SyncRange(path string, mem []byte) error {
	return do(Op{Kind: OpSyncRange, Path: path, Len: int64(len(mem))}, func() error {
		return os.NewSyscallError("msync", unix.Msync(mem, unix.MS_SYNC))
	})
}

const pageSize = 4096

// Dirty marks every page of mem, the first bytes of the file at path, mapped
// shared and aligned to a page, as changed, so that the next sync writes it. The
// bytes stay as they are, also those that others are just writing.
func Dirty(path string, mem []byte) error {
	return do(Op{Kind: OpDirty, Path: path, Len: int64(len(mem))}, func() error {
		for at := 0; at+4 <= len(mem); at += pageSize {
			atomic.AddUint32((*uint32)(unsafe.Pointer(&mem[at])), 0)
		}
		return nil
	})
}
