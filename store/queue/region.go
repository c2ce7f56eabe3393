package queue

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// mapBytes is how much address space a segment's mapping takes at least. It is
// more than the file has, so that a segment that grows need not be mapped again;
// address space costs nothing, and what lies past the file's end is not touched.
const mapBytes = 1 << 30

// region is a file that the writer has mapped and fills from the front. Its
// descriptor is closed while it is not growing, so that the number of streams is
// not bounded by the number of descriptors.
//
// The owner calls ensure; sync may be called from another goroutine meanwhile.
type region struct {
	growth
	path string
	file inode
	mem  []byte
	size atomic.Int64 // reserved bytes: the file's length
	mu   sync.Mutex   // held while mem is replaced, cut or synced

	unwritten bool // guarded by mu: the latest sync failed
}

// growth says how a region gets its space.
type growth struct {
	reserve reserver
	first   int64 // the first step in bytes
	planned int64 // steps end here, if this is not 0, unless more is really needed
	small   bool  // one of very many: in smaller steps, and mapped no further than they go
	fill    bool  // write to each step but the first, which is quicker than to fault its pages in
}

// next gives the size to reserve when size bytes are and end bytes are needed:
// whole pages, in steps that double what is there, or add half to it if small.
func (w *growth) next(size, end int64) int64 {
	want := size + min(max(size, w.first), maxStep)
	if w.small {
		want = size + min(max(size/2, w.first), smallStep)
	}
	if w.planned > 0 {
		want = min(want, w.planned)
	}
	return alignUp(max(end, want), pageSize)
}

// createRegion makes a new file of size bytes, reserved, and maps it with room
// for capacity bytes. On an error no file is left.
func createRegion(path string, size, capacity int64, growth growth) (*region, error) {
	f, err := durable.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, asFull(err)
	}
	g := &region{path: path, growth: growth}
	err = growth.reserve(f, 0, size)
	if err == nil {
		g.size.Store(size)
		g.file, err = inodeOf(f)
	}
	if err == nil {
		g.mem, err = mapFile(f, max(size, capacity), unix.PROT_READ|unix.PROT_WRITE)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("create %s: %w", path, err), durable.Unlink(path))
	}
	return g, nil
}

// openRegion maps a file that is there.
func openRegion(path string, capacity int64, growth growth) (*region, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	g := &region{path: path, growth: growth}
	g.size.Store(info.Size())
	if g.file, err = inodeOf(f); err != nil {
		return nil, err
	}
	if g.mem, err = mapFile(f, max(info.Size(), capacity), unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return g, nil
}

// mapFile maps length bytes of f from its start, which may be more than it has.
func mapFile(f *os.File, length int64, prot int) ([]byte, error) {
	length = alignUp(length, pageSize)
	if int64(int(length)) != length {
		return nil, fmt.Errorf("map %d bytes: %w", length, unix.EFBIG)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(length), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return mem, nil
}

// ensure reserves the region's first end bytes. When it fails, nothing that was
// reserved before is lost and it may be called again.
func (g *region) ensure(end int64) error {
	size := g.size.Load()
	if end <= size {
		return nil
	}
	f, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("grow %s: %w", g.path, err)
	}
	defer f.Close()
	want := g.next(size, end)
	err = g.reserve(f, size, want)
	if least := alignUp(end, pageSize); errors.Is(err, ErrFull) && least < want {
		want = least // the step is not to be had; perhaps the one record is
		err = g.reserve(f, size, want)
	}
	if err != nil {
		return fmt.Errorf("grow %s from %d to %d bytes: %w", g.path, size, want, err)
	}
	if want > int64(len(g.mem)) {
		if err := g.remap(f, max(want, 2*int64(len(g.mem)))); err != nil {
			return fmt.Errorf("grow %s to %d bytes: %w", g.path, want, err)
		}
	}
	if g.fill {
		// Writing brings the pages into memory many at a time, so that the page faults
		// which follow take a fraction of theirs. If it fails, they take all of it.
		_ = writeZeros(f, size, want)
	}
	g.size.Store(want)
	return nil
}

// remap replaces the mapping by one of length bytes.
func (g *region) remap(f *os.File, length int64) error {
	mem, err := mapFile(f, length, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.mem
	g.mem = mem
	return unix.Munmap(old)
}

// populate takes the page faults of the reserved bytes now rather than at the
// first append to each page. It is an optimisation: an error means only that
// the faults come later.
func (g *region) populate() error {
	mem := g.mem[:g.size.Load()]
	err := unix.Madvise(mem, unix.MADV_POPULATE_WRITE)
	if err == unix.EINVAL { // kernels before 5.14
		for i := 0; i < len(mem); i += pageSize {
			atomic.AddUint32(word(mem, i), 0)
		}
		return nil
	}
	return os.NewSyscallError("madvise", err)
}

// rename gives the file a new name that nothing has yet.
func (g *region) rename(path string) error {
	if err := durable.MoveNew(g.path, path); err != nil {
		return asFull(err)
	}
	g.path = path
	return nil
}

// sync writes everything in the mapping to the device.
func (g *region) sync() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mem == nil {
		return nil
	}
	err := g.retrying(func() error { return durable.SyncRange(g.path, g.mem[:g.size.Load()]) })
	if err != nil {
		return fmt.Errorf("sync %s: %w", g.path, err)
	}
	return nil
}

// cut shortens the file, opened as f, to size bytes, of which the mapping stays.
func (g *region) cut(f *os.File, size int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.size.Store(min(size, g.size.Load())) // even if it fails: it may have been done
	return durable.Truncate(f, size)
}

// syncFile is sync by way of the file, which may have more than the mapping.
func (g *region) syncFile(f *os.File) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.retrying(func() error { return durable.Sync(f) })
}

// retrying runs a sync. After one that failed the kernel takes for clean what it
// has not written, so it is told otherwise before the next.
func (g *region) retrying(sync func() error) error {
	if g.unwritten {
		if err := durable.Dirty(g.path, g.mem[:g.size.Load()]); err != nil {
			return err
		}
	}
	err := sync()
	g.unwritten = err != nil
	return err
}

// close takes the mapping down. The file stays.
func (g *region) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mem == nil {
		return nil
	}
	mem := g.mem
	g.mem = nil
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}

// discard takes the mapping down and removes the file.
func (g *region) discard() error { return errors.Join(g.close(), durable.Unlink(g.path)) }
