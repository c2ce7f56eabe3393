package queue

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// GroupOptions configure a group. The zero value is usable.
type GroupOptions struct {
	// MaxOpen is how many queues are open at a time: locked, with what they are
	// writing to mapped. Each takes two mappings, of which a process may have 65,530,
	// and no descriptor. Beyond that the one that was not used for longest is closed
	// for the next. Default 16,384.
	MaxOpen int

	// Sealers is how many goroutines seal. Default 2.
	Sealers int

	// NoSync leaves out every fsync, as Options.NoSync does, for all members.
	NoSync bool
}

// Group writes very many queues from one goroutine, which calls all methods of the
// group and of its members, but for Stats. See the package documentation, under
// Groups, for what it does otherwise than as many writers.
type Group struct {
	options GroupOptions
	whole   int // syncWhole, unless a test says otherwise
	closed  bool

	open  []*Member // the ones that are open; nil where one was closed and none came
	hand  int       // where in open the search for one to close goes on
	disks []*disk

	dirty []*Member // have something that is not synced, each once
	spare []*Member // the memory of the former dirty
	cut   []*Member // have ended segments that are synced and not handed on, each once

	sealing sealing
	stats   groupCounters
}

// groupCounters are what Stats reads.
type groupCounters struct {
	members, open, reopened atomic.Int64
	cut, sealed             atomic.Int64
}

// GroupStats says what a group is doing.
type GroupStats struct {
	Members  int   // queues that belong to the group
	Open     int   // of them, the ones that are open now
	Reopened int64 // times that a queue was opened again after it was closed for another
	Pending  int64 // segments that have been cut and are not sealed yet
	Sealed   int64 // segments sealed so far
}

// disk is a file system that has queues of the group.
type disk struct {
	dev    uint64
	fill   bool          // it is a disk, not memory
	sys    *durable.Disk // nil: its files have to be synced one by one
	syncs  int           // of files and directories that the Sync under way takes, one by one
	synced bool          // the Sync under way has synced all of it
	failed bool          // the Sync under way could not
}

// NewGroup makes a group without members.
func NewGroup(o GroupOptions) *Group {
	if o.MaxOpen <= 0 {
		o.MaxOpen = 16384
	}
	if o.Sealers <= 0 {
		o.Sealers = 2
	}
	g := &Group{options: o, whole: syncWhole}
	g.sealing.init()
	return g
}

// Open opens the queue in dir for appending, as OpenWriter does, with the same
// errors. The options must have ManualRoll, and neither Precreate nor SyncInterval.
// Segments that an earlier writer has cut and not sealed are checked and stay as
// they are until Seal.
func (g *Group) Open(dir string, opts Options) (*Member, error) {
	if g.closed {
		return nil, fmt.Errorf("open queue %s: %w", dir, ErrClosed)
	}
	if !opts.ManualRoll || opts.Precreate || opts.SyncInterval != 0 {
		return nil, fmt.Errorf("open queue %s in a group with options ManualRoll %v, Precreate %v, SyncInterval %v: give true, false and 0",
			dir, opts.ManualRoll, opts.Precreate, opts.SyncInterval)
	}
	opts.later, opts.NoSync = true, opts.NoSync || g.options.NoSync
	slot, err := g.slot()
	if err != nil {
		return nil, err
	}
	m := &Member{group: g, holds: 1}
	if err := m.w.open(dir, opts); err != nil {
		return nil, err
	}
	if m.disk, err = g.diskOf(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open queue %s: %w", dir, err), m.w.release())
	}
	m.w.fill(m.disk.fill)
	if r := m.w.recovery; r.nothing() {
		m.segments, m.last, m.w.recovery = r.Segments, r.LastSeq, nil
	}
	m.fresh = len(m.w.sealer.all())
	g.open[slot] = m
	m.state = stateOpen
	g.stats.members.Add(1)
	g.stats.open.Add(1)
	g.stats.cut.Add(int64(m.fresh))
	return m, m.ready() // what is in it may not be on disk
}

// diskOf gives the file system of a directory.
func (g *Group) diskOf(dir string) (*disk, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	dev := uint64(info.Sys().(*syscall.Stat_t).Dev)
	for _, d := range g.disks {
		if d.dev == dev {
			return d, nil
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, os.NewSyscallError("statfs", err)
	}
	sys, err := durable.OpenDisk(dir)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	d := &disk{dev: dev, fill: st.Type != unix.TMPFS_MAGIC, sys: sys}
	g.disks = append(g.disks, d)
	return d, nil
}

// slot gives a free place in open, for which it may close a member.
func (g *Group) slot() (int, error) {
	for len(g.open) >= g.options.MaxOpen {
		at, err := g.vacate()
		if err != nil {
			return 0, err
		}
		if at < 0 {
			break // it takes one more than there should be
		}
		if len(g.open) == g.options.MaxOpen {
			return at, nil
		}
		last := len(g.open) - 1
		g.open[at] = g.open[last]
		g.open = g.open[:last]
	}
	g.open = append(g.open, nil)
	return len(g.open) - 1, nil
}

// vacate closes a member that was not used since the hand last passed it, and gives
// its place. Members with a reservation are not closed, for their memory is in the
// caller's hands; if all have one, there is no place, -1.
func (g *Group) vacate() (int, error) {
	for range 2 * len(g.open) {
		g.hand = (g.hand + 1) % len(g.open)
		m := g.open[g.hand]
		switch {
		case m == nil:
			return g.hand, nil
		case m.reserved():
		case m.state&stateUsed != 0:
			m.state &^= stateUsed
		default:
			g.open[g.hand] = nil
			return g.hand, m.detach()
		}
	}
	return -1, nil
}

// Close makes everything durable, ends the sealers when they have done what they were
// handed, and gives up the locks. Segments that were cut and not handed on stay as
// they are: the next Open finds them. Closing again does nothing.
func (g *Group) Close() error {
	if g.closed {
		return nil
	}
	err := g.sync()
	g.sealing.end()
	err = errors.Join(err, g.sealing.take())
	g.closed = true
	for _, m := range g.open {
		if m != nil {
			m.state = 0
			err = errors.Join(err, m.w.release())
		}
	}
	for _, d := range g.disks {
		if d.sys != nil {
			err = errors.Join(err, d.sys.Close())
		}
	}
	g.stats.open.Store(0)
	return err
}

// Stats says what the group is doing. It may be called from any goroutine.
func (g *Group) Stats() GroupStats {
	return GroupStats{
		Members: int(g.stats.members.Load()), Open: int(g.stats.open.Load()), Reopened: g.stats.reopened.Load(),
		Pending: g.stats.cut.Load() - g.stats.sealed.Load(), Sealed: g.stats.sealed.Load(),
	}
}
