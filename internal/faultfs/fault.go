package faultfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"chronicle/internal/durable"
)

// Fault says which operations fail, and how.
type Fault struct {
	Kinds []durable.Kind // of these kinds; empty: of every kind
	Name  string         // on files whose name matches, as of filepath.Match; empty: on every file
	Skip  int            // after so many that go well
	Times int            // so many of them; 0 means one, a negative number all until Stop

	// Err is the error. Default syscall.EIO.
	Err error
	// Applied has the operation done, and reported as failed all the same.
	Applied bool
	// Half has the first half of a write written, and of an allocation allocated.
	Half bool
}

// Injected is a fault at work.
type Injected struct {
	Fault
	fs   *FS
	seen int // matching operations; guarded by fs.mu
	hits int // of them, failed; guarded by fs.mu
}

// Inject makes operations fail from now on.
func (f *FS) Inject(fault Fault) *Injected {
	if fault.Err == nil {
		fault.Err = syscall.EIO
	}
	if fault.Times == 0 {
		fault.Times = 1
	}
	i := &Injected{Fault: fault, fs: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, i)
	return i
}

// Full makes every operation that needs space fail with syscall.ENOSPC.
func (f *FS) Full() *Injected {
	return f.Inject(Fault{Kinds: NeedSpace(), Times: -1, Err: syscall.ENOSPC})
}

// NeedSpace gives the kinds of operations that a full disk refuses.
func NeedSpace() []durable.Kind {
	return []durable.Kind{durable.OpCreate, durable.OpMkdir, durable.OpRename, durable.OpLink, durable.OpWrite, durable.OpAllocate}
}

// Hits gives the number of operations that have failed.
func (i *Injected) Hits() int {
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	return i.hits
}

// Stop ends the fault.
func (i *Injected) Stop() {
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	i.fs.faults = slices.DeleteFunc(i.fs.faults, func(other *Injected) bool { return other == i })
}

// fault gives the fault that op meets; nil for none.
func (f *FS) fault(op *durable.Op) *Injected {
	var found *Injected
	for _, i := range f.faults {
		if !i.matches(op) {
			continue
		}
		i.seen++
		if found == nil && i.seen > i.Skip && (i.Times < 0 || i.hits < i.Times) {
			i.hits++
			found = i
		}
	}
	return found
}

func (i *Injected) matches(op *durable.Op) bool {
	if len(i.Kinds) > 0 && !slices.Contains(i.Kinds, op.Kind) {
		return false
	}
	if i.Name == "" {
		return true
	}
	for _, path := range []string{op.Path, op.To} {
		if ok, _ := filepath.Match(i.Name, filepath.Base(path)); ok && path != "" {
			return true
		}
	}
	return false
}

// failed does what an operation that fails does all the same.
func (f *FS) failed(op *durable.Op, fault *Injected) error {
	switch {
	case op.Kind == durable.OpSync || op.Kind == durable.OpSyncRange:
		return f.syncFailed(op)
	case op.Kind == durable.OpSyncFS:
		return f.syncFSFailed()
	case fault.Half && op.Kind == durable.OpWrite:
		return half(op.Path, op.Off, op.Data[:len(op.Data)/2])
	case fault.Half && op.Kind == durable.OpAllocate:
		if info, err := os.Stat(op.Path); err != nil || info.Size() >= op.Off+op.Len/2 {
			return err
		}
		return os.Truncate(op.Path, op.Off+op.Len/2)
	}
	return nil
}

// syncFailed has the kernel take the pages for clean.
func (f *FS) syncFailed(op *durable.Op) error {
	n, err := f.see(op.Path)
	if n == nil || err != nil {
		return err
	}
	data, err := n.read()
	end := op.Off + op.Len
	if op.Kind == durable.OpSync {
		end = int64(len(data))
	}
	n.forget(data, end)
	return err
}

// syncFSFailed has the kernel take the pages of all files for clean. Each file that
// had some tells so when it is synced itself the next time, and only then.
func (f *FS) syncFSFailed() error {
	for _, n := range f.nodes {
		if n.dir {
			continue
		}
		data, err := n.read()
		if err != nil {
			return err
		}
		if n.forget(data, int64(len(data))) {
			n.failed = syscall.EIO
		}
	}
	return nil
}

// half writes b to the file at path.
func half(path string, off int64, b []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(b, off)
	return errors.Join(err, file.Close())
}
