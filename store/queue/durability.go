package queue

import (
	"errors"
	"fmt"

	"chronicle/internal/durable"
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
// durable. The background syncer calls it too.
func (w *Writer) syncAll() error {
	if w.options.NoSync {
		return nil
	}
	w.syncing.Lock()
	defer w.syncing.Unlock()
	var err error
	for _, s := range w.sealer.all() {
		err = errors.Join(err, s.sync())
	}
	if s := w.current.Load(); s != nil {
		err = errors.Join(err, s.sync())
	}
	if !w.newNames.Swap(false) {
		return err
	}
	for _, dir := range append(w.parents, w.dir) {
		if e := durable.SyncDir(dir); e != nil {
			w.newNames.Store(true)
			return errors.Join(err, e)
		}
	}
	w.parents = nil
	return err
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
