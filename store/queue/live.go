package queue

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// liveFile is a live segment that readers have mapped. The file stays readable
// up to its end word even when it is sealed, moved or removed meanwhile: sealing
// cuts it after the end word, and no byte past the first zero length word or the
// end word is ever touched.
type liveFile struct {
	file *os.File
	size atomic.Int64 // the file's length when last asked; it only grows until the seal

	mu   sync.Mutex
	maps [][]byte // guarded by mu; all stay until close, for cursors hold parts of them
}

func openLive(f *os.File, size int64) (*liveFile, error) {
	l := &liveFile{file: f}
	l.size.Store(size)
	_, err := l.mapping(size)
	return l, err
}

// mapping gives a mapping of at least the first end bytes.
func (l *liveFile) mapping(end int64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	length := int64(mapBytes)
	if n := len(l.maps); n > 0 {
		last := l.maps[n-1]
		if int64(len(last)) >= end {
			return last, nil
		}
		length = 2 * int64(len(last))
	}
	mem, err := mapFile(l.file, max(end, length), unix.PROT_READ)
	if err != nil {
		return nil, err
	}
	l.maps = append(l.maps, mem)
	return mem, nil
}

// holds tells whether the file has its first end bytes, asking again if it had not.
func (l *liveFile) holds(end int64) (bool, error) {
	if end <= l.size.Load() {
		return true, nil
	}
	info, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	l.size.Store(info.Size())
	return end <= info.Size(), nil
}

// unlinked tells whether the file has lost its name.
func (l *liveFile) unlinked() (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(l.file.Fd()), &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	return st.Nlink == 0, nil
}

// close takes the mappings down and closes the file.
func (l *liveFile) close() error { return errors.Join(l.unmap(), l.file.Close()) }

// unmap takes the mappings down.
func (l *liveFile) unmap() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, mem := range l.maps {
		if e := unix.Munmap(mem); e != nil {
			err = os.NewSyscallError("munmap", e)
		}
	}
	l.maps = nil
	return err
}

// mapped is one cursor's source over a liveFile.
type mapped struct {
	live *liveFile
	mem  []byte
}

// reach makes sure that the first end bytes can be touched.
func (m *mapped) reach(end int64) (bool, error) {
	if ok, err := m.live.holds(end); !ok || err != nil {
		return false, err
	}
	if end > int64(len(m.mem)) {
		mem, err := m.live.mapping(end)
		if err != nil {
			return false, err
		}
		m.mem = mem
	}
	return true, nil
}

func (m *mapped) word(off int64) (uint32, error) {
	if ok, err := m.reach(off + recordAlign); !ok || err != nil {
		return 0, err
	}
	return loadWord(m.mem, int(off)), nil
}

func (m *mapped) bytes(off int64, n int) ([]byte, error) {
	ok, err := m.reach(off + int64(n))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%d bytes end after the segment's %d: %w", n, m.live.size.Load(), ErrCorrupt)
	}
	return m.mem[off : off+int64(n)], nil
}
