package queue

import (
	"errors"
	"fmt"
	"sync"
)

// Member is a queue of a [Group], written by the group's goroutine. It opens by itself
// when it was closed for another. A reservation keeps it open until the next call.
type Member struct {
	w     Writer
	group *Group
	disk  *disk

	state uint8
	cut   bool // it is in group.cut
	torn  bool // its latest sync has failed: it is to be synced by itself
	fresh int  // segments cut since the latest sync

	segments int    // what Recovery tells, when there was nothing else to tell
	last     uint64 // the same

	queued bool // a sealer has it or will; guarded by group.sealing.mu

	mu    sync.Mutex // guards w.lock and holds
	holds int        // who needs the lock: the group's goroutine while it is open, a sealer
}

// What the state of a member is made of. All of it is set while records go to it, so
// that one comparison is what a group costs each of them.
const (
	stateOpen  = 1 << iota // it is locked and mapped
	stateUsed              // since the hand has passed it
	stateDirty             // it is in group.dirty
	stateReady = stateOpen | stateUsed | stateDirty
)

// Append is as of [Writer]. Besides, it can fail as all calls do that find the member
// closed for another: with [ErrLocked] if somebody else writes to the queue now,
// [ErrChanged] if somebody has, or the error of opening a file. Nothing was added then.
func (m *Member) Append(r Record) (uint64, error) {
	if m.state != stateReady {
		if err := m.ready(); err != nil {
			return 0, err
		}
	}
	return m.w.Append(r)
}

// Reserve is as of [Writer]; further errors are those of Append. Once Roll has been
// called, the bytes must not be touched.
func (m *Member) Reserve(n int) ([]byte, error) {
	if m.state != stateReady {
		if err := m.ready(); err != nil {
			return nil, err
		}
	}
	return m.w.Reserve(n)
}

// Commit is as of [Writer]; further errors are those of Append.
func (m *Member) Commit(r Record, n int) (uint64, error) {
	if m.state != stateReady {
		if err := m.ready(); err != nil {
			return 0, err
		}
	}
	return m.w.commit(&r, n)
}

// Roll ends the current segment and does no more; the next record begins a new one. The
// segment is sealed after [Group.Seal]. Without a record in the current segment Roll does
// nothing. Errors are those of Append.
func (m *Member) Roll() error {
	if m.group.closed {
		return fmt.Errorf("roll queue %s: %w", m.w.dir, ErrClosed)
	}
	if m.w.SegmentRecords() == 0 {
		return m.w.Roll() // there is nothing to cut, but a reservation is void
	}
	if err := m.ready(); err != nil {
		return err
	}
	m.fresh++
	m.group.stats.cut.Add(1)
	return m.w.Roll()
}

// SetMeta changes the metadata of the segments that begin from now on. It fails only
// with ErrTooBig.
func (m *Member) SetMeta(meta []byte) error { return m.w.SetMeta(meta) }

// NextSeq gives the sequence that the next record will get.
func (m *Member) NextSeq() uint64 { return m.w.NextSeq() }

// SegmentSeq gives the sequence of the first record of the current segment, as of [Writer].
func (m *Member) SegmentSeq() uint64 { return m.w.SegmentSeq() }

// SegmentRecords gives the number of records in the current segment.
func (m *Member) SegmentRecords() uint64 { return m.w.SegmentRecords() }

// SegmentBytes gives the bytes used in the current segment, header included.
func (m *Member) SegmentBytes() int64 { return m.w.SegmentBytes() }

// Recovery tells what Open found and cut.
func (m *Member) Recovery() Recovery {
	if m.w.recovery == nil {
		return Recovery{Segments: m.segments, LastSeq: m.last}
	}
	return m.w.Recovery()
}

// ready brings the member into the state in which it takes records.
func (m *Member) ready() error {
	if m.state&stateOpen == 0 {
		if err := m.attach(); err != nil {
			return fmt.Errorf("open queue %s again: %w", m.w.dir, err)
		}
	}
	if m.state&stateDirty == 0 {
		m.group.dirty = append(m.group.dirty, m)
	}
	m.state = stateReady
	return nil
}

// reserved tells whether the caller may be writing into the queue's memory.
func (m *Member) reserved() bool { return m.w.active != nil && m.w.active.reserved >= 0 }

// attach opens the member again.
func (m *Member) attach() error {
	g := m.group
	if g.closed {
		return ErrClosed
	}
	slot, err := g.slot()
	if err != nil {
		return err
	}
	if err := m.hold(); err != nil {
		return err
	}
	if s := m.w.active; s != nil {
		if err := s.unpark(); err != nil {
			return errors.Join(err, m.release())
		}
	}
	g.open[slot] = m
	m.state |= stateOpen
	g.stats.open.Add(1)
	g.stats.reopened.Add(1)
	return nil
}

// detach closes the member for another. What it has in memory is what attach goes on
// with; nothing of it is needed to recover the queue.
func (m *Member) detach() error {
	m.state &^= stateOpen | stateUsed
	m.group.stats.open.Add(-1)
	var err error
	if s := m.w.active; s != nil {
		err = s.park()
	}
	return errors.Join(err, m.release())
}

// hold takes the queue's lock, if the member does not have it.
func (m *Member) hold() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holds == 0 {
		lock, err := lockDir(m.w.dir)
		if err != nil {
			return err
		}
		if lock.id != m.w.table.id {
			return errors.Join(fmt.Errorf("%s is another queue than it was: %w", m.w.dir, ErrChanged), lock.close())
		}
		m.w.lock = lock
	}
	m.holds++
	return nil
}

// release gives the lock up if nobody else needs it.
func (m *Member) release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holds--; m.holds > 0 {
		return nil
	}
	lock := m.w.lock
	m.w.lock = nil
	return lock.close()
}
