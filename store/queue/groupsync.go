package queue

import (
	"errors"
	"fmt"
)

// syncWhole is from how many syncs on the whole file system is synced instead, with
// everybody's changes.
const syncWhole = 8

// Sync makes everything durable that was committed or cut in any member before, names
// and all. It also returns errors of sealing that no call has returned yet.
//
// Where it would take many syncs it is one syncfs(2), which writes everybody's changes.
// When that fails, or where it does not tell whether it did, each file is synced by
// itself.
func (g *Group) Sync() error {
	if g.closed {
		return fmt.Errorf("sync group: %w", ErrClosed)
	}
	return errors.Join(g.sync(), g.sealing.take())
}

func (g *Group) sync() error {
	dirty := g.dirty
	g.dirty = g.spare[:0]
	for _, m := range dirty {
		m.state &^= stateDirty
		if !m.torn && !m.w.options.NoSync {
			m.disk.syncs += 1 + m.w.names.unsynced()
		}
	}
	for _, d := range g.disks {
		d.sync(g.whole)
	}
	failed, first := 0, error(nil)
	for _, m := range dirty {
		if err := m.sync(); err != nil {
			m.state |= stateDirty
			g.dirty = append(g.dirty, m)
			if failed++; first == nil {
				first = err
			}
		}
	}
	clear(dirty)
	g.spare = dirty
	if failed > 0 {
		return fmt.Errorf("sync of %d queues of %d that have changed: %w", failed, len(dirty), first)
	}
	return nil
}

// sync syncs the file system if that saves so many syncs.
func (d *disk) sync(many int) {
	n := d.syncs
	d.syncs, d.synced, d.failed = 0, false, false
	if n == 0 || n < many || d.sys == nil {
		return
	}
	d.synced = d.sys.Sync() == nil
	d.failed = !d.synced // each file then says whether it was one of them
}

// sync makes the member durable, if the sync of its file system has not.
func (m *Member) sync() error {
	switch {
	case m.w.options.NoSync:
	case m.disk.synced && !m.torn:
		m.w.names.known()
	default:
		if err := m.syncFiles(); err != nil {
			m.torn = true
			return err
		}
		m.torn = false
	}
	if m.fresh > 0 {
		m.w.sealer.settle()
		if m.fresh = 0; !m.cut {
			m.cut = true
			m.group.cut = append(m.group.cut, m)
		}
	}
	return nil
}

// syncFiles syncs the files that are not durable, and their names.
func (m *Member) syncFiles() error {
	var err error
	files := m.w.sealer.all()
	if m.w.active != nil {
		files = append(files, m.w.active)
	}
	for _, s := range files {
		if s.durable {
			continue
		}
		if m.disk.failed {
			s.unsynced()
		}
		if s.mapped() {
			err = errors.Join(err, s.sync())
		} else {
			err = errors.Join(err, s.syncAway())
		}
	}
	return errors.Join(err, m.w.names.sync())
}
