package queue

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
)

// onGroup is the workload on some queues of a group, of which two may be open: creation,
// growth, index, cuts, detaching, syncs, seals, and a second life.
func onGroup(whole int) func(*stubborn, string) {
	return func(s *stubborn, root string) {
		const queues, lives, each = 3, 2, 40
		dir := func(i int) string { return filepath.Join(root, fmt.Sprint(i), "q") }
		for life := range lives {
			g := NewGroup(GroupOptions{MaxOpen: 2})
			g.whole = whole
			members := make([]*Member, queues)
			for i := range members {
				s.try(func() (err error) { members[i], err = g.Open(dir(i), Options{ManualRoll: true}); return err })
			}
			for n := life * each; n < (life+1)*each; n++ {
				for _, m := range members {
					r := sample(n)
					if n%each == 10 {
						r.Body = body(n, 70000) // more than the first step has
					}
					s.try(func() error { _, err := m.Append(r); return err })
				}
				if n%20 == 15 {
					s.roll(g, members, n%40 == 15)
				}
			}
			s.try(g.Sync)
			s.try(g.Close)
		}
		for i := range queues {
			var w *Writer
			s.try(func() (err error) { w, err = OpenWriter(dir(i), Options{}); return err })
			if r := w.Recovery(); r.LostRecords != 0 || r.LastSeq != lives*each || len(r.SetAside) != 0 {
				s.t.Fatalf("queue %d: %+v", i, r)
			}
			s.try(w.Close)
			verifyAll(s.t, dir(i))
			if got := readAll(s.t, dir(i), 0); len(got) != lives*each {
				s.t.Fatalf("queue %d has %d records", i, len(got))
			}
		}
	}
}

// roll cuts all queues, and makes sure that they are sealed if they are to be.
func (s *stubborn) roll(g *Group, members []*Member, seal bool) {
	for _, m := range members {
		s.try(m.Roll)
	}
	if !seal {
		return
	}
	s.try(g.Sync)
	s.try(func() error { return errors.Join(g.Seal(), g.Wait()) })
	if n := g.Stats().Pending; n != 0 {
		s.t.Fatalf("%d segments are not sealed", n)
	}
}

// TestGroupFullAtEveryOperation has the disk full at each operation that needs space.
func TestGroupFullAtEveryOperation(t *testing.T) {
	for _, fault := range []faultfs.Fault{{}, {Half: true, Times: 3}} {
		t.Run(fmt.Sprint(fault.Times), func(t *testing.T) {
			fault.Kinds, fault.Err = faultfs.NeedSpace(), syscall.ENOSPC
			everyFault(t, 32, onGroup(1), fault, func(err error) {
				if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "make room") {
					t.Fatalf("on a full disk: %v, want ErrFull", err)
				}
			})
		})
	}
}

// TestGroupErrorAtEveryOperation has each operation fail in turn, not done or done all
// the same: the error is told, and what was asked for can be asked for again.
func TestGroupErrorAtEveryOperation(t *testing.T) {
	for _, whole := range []int{1, 1 << 30} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprint(whole, applied), func(t *testing.T) {
				everyFault(t, 32, onGroup(whole), faultfs.Fault{Applied: applied}, func(err error) {
					if !errors.Is(err, syscall.EIO) {
						t.Fatalf("%v, want EIO", err)
					}
				})
			})
		}
	}
}

var syncKinds = []durable.Kind{durable.OpSync, durable.OpSyncRange, durable.OpSyncDir, durable.OpSyncFS}

// TestGroupSync: after a Sync that returns no error, all of every queue survives a power
// failure, also when syncs have failed before: the kernel then takes for clean what it
// has not written. What was cut survives as it was cut.
func TestGroupSync(t *testing.T) {

	for _, whole := range []int{1, 1 << 30} {
		for skip := range 12 {
			t.Run(fmt.Sprint(whole, skip), func(t *testing.T) {
				root := fastDir(t)
				fs := faultfs.New(t, root)
				g := group(t, GroupOptions{MaxOpen: 1})
				g.whole = whole
				var members []*Member
				for i := range 2 {
					m := member(t, g, filepath.Join(root, fmt.Sprint(i), "q"))
					put(t, m, 0, 300)
					must(t, m.Roll())
					put(t, m, 300, 500)
					members = append(members, m)
				}
				// The first fault is the sync of the file system, if it is one; then come its files.
				bad := fs.Inject(faultfs.Fault{Kinds: syncKinds, Skip: min(skip, 1), Times: -1})
				if skip > 1 {
					bad.Stop()
					fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSyncFS}})
					bad = fs.Inject(faultfs.Fault{Kinds: syncKinds, Skip: skip - 2})
				}
				if err := g.Sync(); err != nil && !errors.Is(err, syscall.EIO) {
					t.Fatal(err)
				}
				bad.Stop()
				if err := g.Sync(); err != nil && !errors.Is(err, syscall.EIO) {
					t.Fatal(err) // each file may tell once of what failed with the file system
				}
				must(t, g.Sync())
				for i := range members {
					wantAfterCrash(t, fs, filepath.Join(fmt.Sprint(i), "q"))
				}
			})
		}
	}
}

// TestGroupSyncIsToldNothing: the sync of the file system fails, and somebody else's sync
// of each file has taken the error that the kernel keeps for it. What was not written is
// written all the same.
func TestGroupSyncIsToldNothing(t *testing.T) {
	root := fastDir(t)
	fs := faultfs.New(t, root)
	g := group(t, GroupOptions{MaxOpen: 1})
	g.whole = 1
	for i := range 2 {
		m := member(t, g, filepath.Join(root, fmt.Sprint(i), "q"))
		put(t, m, 0, 300)
		must(t, m.Roll())
		put(t, m, 300, 500)
	}
	bad := fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSyncFS}})
	told, taken := map[string]bool{}, 0
	fs.Watch(func(op durable.Op) {
		if file := op.Kind == durable.OpSync || op.Kind == durable.OpSyncRange; file && !told[op.Path] {
			told[op.Path] = true
			if durable.SyncFile(op.Path) != nil {
				taken++
			}
		}
	})
	must(t, g.Sync())
	fs.Watch(nil)
	if bad.Hits() != 1 || taken == 0 {
		t.Fatalf("%d syncs of the file system have failed, %d errors were taken", bad.Hits(), taken)
	}
	for i := range 2 {
		wantAfterCrash(t, fs, filepath.Join(fmt.Sprint(i), "q"))
	}
}

// wantAfterCrash checks that a power failure leaves 500 records in two segments, of
// which none is sealed.
func wantAfterCrash(t *testing.T, fs *faultfs.FS, name string) {
	t.Helper()
	crashed(t, fs, 6, func(dir string) {
		dir = filepath.Join(filepath.Dir(dir), name)
		g := NewGroup(GroupOptions{})
		m, err := g.Open(dir, Options{ManualRoll: true})
		must(t, err)
		r := m.Recovery()
		if r.LastSeq != 500 || len(r.Pending) != 1 || r.Segments != 2 || m.SegmentRecords() != 200 {
			t.Fatalf("recovery %+v", r)
		}
		id, err := ID(dir)
		must(t, err)
		if len(id) != 32 {
			t.Fatalf("identity %q", id)
		}
		must(t, g.Close())
		wantSeries(t, readAll(t, dir, 0), 0, 500)
	})
}
