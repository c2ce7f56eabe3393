package faultfs

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chronicle/internal/durable"
)

// FS watches over one directory tree.
type FS struct {
	root string

	watching sync.Mutex
	watch    func(durable.Op) // guarded by watching

	mu      sync.Mutex // guards what follows, and is held during each operation
	top     *node
	nodes   map[uint64]*node // by inode number
	pending []*change        // name changes that are not durable, in order
	changes int              // name changes so far
	synced  int              // of them, made before the latest sync of a directory
	faults  []*Injected
}

// The FS of this process, by which operations are found their own.
var registry struct {
	sync.Mutex
	all []*FS
}

// New begins to watch the tree at root, which must exist. Everything that is in
// it now is taken to be on disk. It ends with the test.
func New(tb testing.TB, root string) *FS {
	tb.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		tb.Fatal(err)
	}
	f := &FS{root: abs, nodes: map[uint64]*node{}}
	if f.top, err = f.see(abs); err == nil && f.top == nil {
		err = errors.New("faultfs: no directory at " + abs)
	}
	if err == nil {
		err = f.adopt(f.top)
	}
	if err != nil {
		tb.Fatal(err)
	}
	registry.Lock()
	defer registry.Unlock()
	registry.all = append(registry.all, f)
	durable.SetHook(dispatch)
	tb.Cleanup(f.Close)
	return f
}

// Close ends the watching. Closing again does nothing.
func (f *FS) Close() {
	registry.Lock()
	defer registry.Unlock()
	for i, other := range registry.all {
		if other == f {
			registry.all = append(registry.all[:i:i], registry.all[i+1:]...)
			break
		}
	}
	if len(registry.all) == 0 {
		durable.SetHook(nil)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		n.file.Close()
	}
	f.nodes = nil
}

// Watch has fn called before each operation, by the goroutine that makes it.
// Crash may be called from it, but nothing that waits for that goroutine.
func (f *FS) Watch(fn func(durable.Op)) {
	f.watching.Lock()
	defer f.watching.Unlock()
	f.watch = fn
}

func (f *FS) watcher() func(durable.Op) {
	f.watching.Lock()
	defer f.watching.Unlock()
	return f.watch
}

// dispatch is the hook: it finds the FS that an operation belongs to.
func dispatch(op durable.Op, apply func() error) error {
	if f := owner(&op); f != nil {
		return f.do(op, apply)
	}
	return apply()
}

// owner gives the FS that has op's path, and makes the paths absolute.
func owner(op *durable.Op) *FS {
	for _, path := range []*string{&op.Path, &op.To} {
		if *path == "" {
			continue
		}
		if abs, err := filepath.Abs(*path); err == nil {
			*path = abs
		}
	}
	registry.Lock()
	defer registry.Unlock()
	for _, f := range registry.all {
		if f.has(op.Path) || op.To != "" && f.has(op.To) {
			return f
		}
	}
	return nil
}

// has tells whether path is in the tree.
func (f *FS) has(path string) bool {
	return path == f.root || strings.HasPrefix(path, f.root+string(filepath.Separator))
}

// do runs one operation and keeps the books about it.
func (f *FS) do(op durable.Op, apply func() error) error {
	if watch := f.watcher(); watch != nil {
		watch(op)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes == nil {
		return apply() // closed
	}
	fault := f.fault(&op)
	if fault != nil && !fault.Applied {
		return errors.Join(f.failed(&op, fault), fault.Err)
	}
	done, err := f.prepare(&op)
	if err != nil {
		return err
	}
	if err := apply(); err != nil {
		return err
	}
	if err := done(); err != nil {
		return err
	}
	if fault != nil {
		return fault.Err
	}
	return nil
}
