package queue

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// inode says which file something is, whatever its name.
type inode struct{ dev, number uint64 }

func inodeOf(f *os.File) (inode, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return inode{}, os.NewSyscallError("fstat", err)
	}
	return inode{uint64(st.Dev), st.Ino}, nil
}

// reopen maps a region again that was closed and kept. [ErrChanged]: it is another file,
// or shorter. Longer it may be, by a reservation that has failed.
func (g *region) reopen() (err error) {
	f, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if file := (inode{uint64(st.Dev), st.Ino}); file != g.file || st.Size < g.size.Load() {
		return fmt.Errorf("%s: %w", g.path, ErrChanged)
	}
	mem, err := mapFile(f, g.size.Load(), unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mem = mem
	return nil
}

// syncAway is sync for a region that is not mapped.
func (g *region) syncAway() error {
	if g.unwritten {
		if err := g.reopen(); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		return errors.Join(g.sync(), g.close())
	}
	f, err := os.Open(g.path)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	err = g.syncFile(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", g.path, err)
	}
	return nil
}

// mapped tells whether the region is mapped. Only its owner may ask.
func (g *region) mapped() bool { return g.mem != nil }

// unsynced notes that a sync by other means has failed: what it should have written
// is taken for clean by the kernel.
func (g *region) unsynced() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unwritten = true
}

// fill sets what the segments of the writer do when they grow.
func (w *Writer) fill(on bool) {
	w.options.fill = on
	if w.active != nil {
		w.active.growth.fill = on
	}
}

// park takes down everything of the segment that is not memory of the process. What
// is left is enough to go on with it.
func (s *active) park() error {
	var err error
	if s.side != nil {
		err = s.side.close()
	}
	return errors.Join(err, s.region.close())
}

// unpark maps the segment again, having checked that it still ends where it did.
func (s *active) unpark() error {
	if err := s.reopen(); err != nil {
		return err
	}
	if loadWord(s.mem, s.pos) != 0 {
		return errors.Join(fmt.Errorf("%s after offset %d: %w", s.path, s.pos, ErrChanged), s.region.close())
	}
	return nil
}
