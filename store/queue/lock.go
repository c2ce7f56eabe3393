package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// The lock file is text: the pid of the queue's latest writer, right-aligned in
// lockPID bytes, and, in a second line, the queue's identity (identity.go). The
// first line is written by each writer, the second one once.
const (
	lockPID  = 10
	lockSize = lockPID + 1 + 2*len(identity{}) + 1
)

// dirLock is the writer's exclusive hold on a queue. The lock is an flock, which
// belongs to the open file and ends when the last reference to that file does. A
// mapping is such a reference: the descriptor is closed and the mapping, of which
// no byte is touched, keeps the lock until close or the end of the process.
type dirLock struct {
	mem []byte
	id  identity // as the file had it
}

// lockDir takes the lock of the queue in dir, or says who has it.
func lockDir(dir string) (*dirLock, error) {
	f, err := durable.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock queue: %w", asFull(err))
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	pid, id := readLock(f)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &LockedError{Dir: dir, PID: pid}
	}
	if err != nil {
		return nil, fmt.Errorf("lock queue %s: %w", dir, os.NewSyscallError("flock", err))
	}
	if pid != os.Getpid() {
		if err := writeLock(f, id); err != nil {
			return nil, fmt.Errorf("lock queue %s: %w", dir, err)
		}
	}
	mem, err := mapFile(f, pageSize, unix.PROT_READ)
	if err != nil {
		return nil, fmt.Errorf("lock queue %s: %w", dir, err)
	}
	return &dirLock{mem: mem, id: id}, nil
}

// readLock reads what the lock file says; zero where it says nothing.
func readLock(r io.ReaderAt) (pid int, id identity) {
	b := make([]byte, lockSize)
	n, _ := r.ReadAt(b, 0)
	first, second, _ := bytes.Cut(b[:n], []byte("\n"))
	if n, err := strconv.Atoi(string(bytes.TrimSpace(first))); err == nil {
		pid = n
	}
	return pid, parseIdentity(bytes.TrimSpace(second))
}

// writeLock puts this process and the queue's identity into the lock file.
func writeLock(f *os.File, id identity) error {
	b := fmt.Appendf(nil, "%*d\n", lockPID, os.Getpid())
	if id != (identity{}) {
		b = fmt.Appendf(b, "%s\n", id)
	}
	if err := durable.WriteAt(f, b, 0); err != nil {
		return asFull(err)
	}
	return durable.Truncate(f, int64(len(b)))
}

func (l *dirLock) close() error {
	if l == nil {
		return nil
	}
	mem := l.mem
	l.mem = nil
	if mem == nil {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}
