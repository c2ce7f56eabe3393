package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// Sync makes everything appended so far durable, and waits until rolled segments
// are sealed. With Options.NoSync it only does the latter.
func (w *Writer) Sync() error {
	if w.closed {
		return fmt.Errorf("sync queue %s: %w", w.dir, ErrClosed)
	}
	if err := errors.Join(w.sealer.run(), w.syncAll()); err != nil {
		return fmt.Errorf("sync queue %s: %w", w.dir, err)
	}
	return nil
}

// syncAll makes the live segment, those that wait to be sealed, and their names
// durable. The background syncer calls it too: a segment that is rolled meanwhile
// is pending before it is no longer current, and so is met in one place at least.
func (w *Writer) syncAll() error {
	if w.options.NoSync {
		return nil
	}
	var err error
	if s := w.current.Load(); s != nil {
		err = s.sync()
	}
	for _, s := range w.sealer.all() {
		err = errors.Join(err, s.sync())
	}
	return errors.Join(err, w.names.sync())
}

// ancestors gives the directories that dir is in, on its file system and as far as they
// can be synced, the innermost first.
func ancestors(dir string) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	var own unix.Stat_t
	if err := unix.Stat(abs, &own); err != nil {
		return nil, &os.PathError{Op: "stat", Path: abs, Err: err}
	}
	var all []string
	for at := filepath.Dir(abs); ; at = filepath.Dir(at) {
		var st unix.Stat_t
		if unix.Stat(at, &st) != nil || st.Dev != own.Dev {
			return all, nil
		}
		if unix.Access(at, unix.R_OK) == nil {
			all = append(all, at)
		}
		if at == filepath.Dir(at) {
			return all, nil
		}
	}
}

// names makes the names of a queue's files durable. It may be used by several
// goroutines.
type names struct {
	dir     string
	changed atomic.Bool // the directory has changed since it was synced

	mu      sync.Mutex // held while syncing, so that nobody returns before it is done
	parents []string   // guarded by mu: directories that have the queue's own name
	made    string     // guarded by mu: a file of a new queue that is to be durable with its name
}

// sync makes the names durable that there are now.
func (n *names) sync() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.changed.Swap(false) {
		return nil
	}
	if err := n.syncAll(); err != nil {
		n.changed.Store(true)
		return err
	}
	n.parents, n.made = nil, ""
	return nil
}

func (n *names) syncAll() error {
	if n.made != "" {
		if err := rewrite(n.made); err != nil {
			return err
		}
	}
	for _, dir := range append(n.parents, n.dir) {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// rewrite makes a small file durable, whatever a sync that failed has left of it.
func rewrite(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := durable.WriteAt(f, b, 0); err != nil {
		return asFull(err)
	}
	return durable.Sync(f)
}

// unsynced gives how many directories besides the queue's own are to be synced.
func (n *names) unsynced() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.parents)
}

// known notes that the names are durable, by a sync of the file system.
func (n *names) known() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changed.Store(false)
	n.parents, n.made = nil, ""
}

// Close makes everything durable, ends the writer's goroutines and gives up the
// lock. The last segment stays as it is: the next writer goes on in it. Closing
// again does nothing.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	var background error
	if w.syncer != nil {
		w.syncer.stop()
		background = w.syncer.failure()
	}
	err := w.Sync()
	if err == nil {
		background = nil // what failed then has been made good now
	}
	w.closed = true
	if w.helper != nil {
		err = errors.Join(err, w.helper.stop())
	}
	return errors.Join(err, background, w.release())
}

// release takes down all mappings, the lock last.
func (w *Writer) release() error {
	err := w.sealer.abandon()
	if w.active != nil {
		err = errors.Join(err, w.active.closeAll())
		w.setActive(nil)
	}
	return errors.Join(err, w.table.close(), w.lock.close())
}
