package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// dirLock is the writer's exclusive hold on a queue. The lock is an flock, which
// belongs to the open file and ends when the last reference to that file does. A
// mapping is such a reference: the descriptor is closed and the mapping, of which
// no byte is touched, keeps the lock until close or the end of the process.
type dirLock struct {
	mem []byte
}

// lockDir takes the lock of the queue in dir, or says who has it.
func lockDir(dir string) (*dirLock, error) {
	f, err := durable.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock queue: %w", asFull(err))
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &LockedError{Dir: dir, PID: lockHolder(f)}
	}
	if err != nil {
		return nil, fmt.Errorf("lock queue %s: %w", dir, os.NewSyscallError("flock", err))
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := durable.WriteAt(f, pid, 0); err != nil {
		return nil, fmt.Errorf("lock queue %s: %w", dir, asFull(err))
	}
	if err := durable.Truncate(f, int64(len(pid))); err != nil {
		return nil, fmt.Errorf("lock queue %s: %w", dir, err)
	}
	mem, err := mapFile(f, pageSize, unix.PROT_READ)
	if err != nil {
		return nil, fmt.Errorf("lock queue %s: %w", dir, err)
	}
	return &dirLock{mem: mem}, nil
}

// lockHolder reads the pid in the lock file; 0 when there is none yet.
func lockHolder(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func (l *dirLock) close() error {
	mem := l.mem
	l.mem = nil
	if mem == nil {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}
