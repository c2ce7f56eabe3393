// Package filelock takes advisory locks on files, so that one process at a time
// writes what the lock stands for. The lock is the kernel's (flock): it ends with
// the process that holds it, however that process ends. The file holds the
// holder's process id, for the error that a second one gets.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked is returned by Acquire while another holder, in this process or
// another, has the lock.
var ErrLocked = errors.New("locked")

// Lock is a held lock. Its methods are for one goroutine.
type Lock struct {
	f *os.File
}

// Acquire takes the lock at path without waiting, creating the file and its
// directory if need be. The error of a taken lock is ErrLocked and names the
// holder's pid.
func Acquire(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, fmt.Errorf("%s: %w by %s: stop that one, or use another root", path, ErrLocked, holder(f))
	}
	l := &Lock{f: f}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return l, nil
}

// sign writes the pid of this process into the file.
func (l *Lock) sign() error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(l.f, "%d\n", os.Getpid())
	return err
}

// holder says who has the lock, as far as the file tells.
func holder(f *os.File) string {
	var b [32]byte
	n, _ := f.ReadAt(b[:], 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return "process " + pid
	}
	return "another process"
}

// Release gives the lock back. The file stays.
func (l *Lock) Release() error {
	if l == nil || l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}
