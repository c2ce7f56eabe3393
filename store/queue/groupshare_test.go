package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
)

// TestGroupLocks: an open member is locked against other groups and writers; one that
// was closed for another can be taken, and then says so.
func TestGroupLocks(t *testing.T) {
	root := fastDir(t)
	one, two := filepath.Join(root, "1"), filepath.Join(root, "2")
	g, other := group(t, GroupOptions{MaxOpen: 1}), group(t, GroupOptions{})
	a := member(t, g, one)
	put(t, a, 0, 10)
	if _, err := other.Open(one, Options{ManualRoll: true}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second group: %v, want ErrLocked", err)
	}
	if _, err := OpenWriter(one, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("a writer beside a group: %v, want ErrLocked", err)
	}
	b := member(t, g, two) // a is closed for it
	put(t, b, 0, 10)
	w, err := OpenWriter(one, Options{})
	must(t, err)
	if _, err := a.Append(sample(10)); !errors.Is(err, ErrLocked) {
		t.Errorf("append to a queue that another writer has: %v, want ErrLocked", err)
	}
	must(t, w.Close())
	put(t, a, 10, 20) // it has not been changed
	put(t, b, 10, 11)
	w = open(t, one, Options{})
	add(t, w, 20, 21)
	must(t, w.Close())
	if _, err := a.Append(sample(20)); !errors.Is(err, ErrChanged) || a.NextSeq() != 21 {
		t.Errorf("append to a queue that another writer has changed: %v, want ErrChanged", err)
	}
	if err := a.Roll(); !errors.Is(err, ErrChanged) {
		t.Errorf("roll of it: %v, want ErrChanged", err)
	}
	wantSeries(t, readAll(t, one, 0), 0, 21)
}

// TestGroupIsRobbed: while members were closed, or are only cut, another writer has
// sealed their segments, written new ones, or made the queue anew. Nothing of that is
// overwritten.
func TestGroupIsRobbed(t *testing.T) {
	for name, rob := range map[string]func(t *testing.T, dir string){
		"sealed": func(t *testing.T, dir string) { must(t, open(t, dir, Options{}).Close()) },
		"sealed and gone": func(t *testing.T, dir string) {
			must(t, open(t, dir, Options{}).Close())
			must(t, os.Remove(filepath.Join(dir, SegmentName(1))))
		},
		"written": func(t *testing.T, dir string) {
			w := open(t, dir, Options{})
			add(t, w, 100, 120)
			must(t, w.Close())
		},
		"made anew": func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir))
			w := open(t, dir, Options{})
			add(t, w, 0, 120)
			must(t, w.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := fastDir(t)
			dir := filepath.Join(root, "1")
			g := group(t, GroupOptions{MaxOpen: 1})
			a := member(t, g, dir)
			put(t, a, 0, 100)
			must(t, a.Roll())
			must(t, g.Sync())
			put(t, member(t, g, filepath.Join(root, "2")), 0, 1)
			rob(t, dir)
			had := files(t, dir)
			if err := errors.Join(g.Seal(), g.Wait()); err == nil {
				t.Error("sealed what somebody else has taken")
			}
			if _, err := a.Append(sample(100)); !errors.Is(err, ErrChanged) {
				t.Errorf("append to what somebody else has taken: %v, want ErrChanged", err)
			}
			if now := files(t, dir); len(now) != len(had) {
				t.Errorf("%d segments, want %d", len(now), len(had))
			}
			for path, b := range had {
				if now, err := os.ReadFile(path); err != nil || string(now) != b {
					t.Errorf("%s was changed (%v)", path, err)
				}
			}
		})
	}
}

// files reads the segments of a queue.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := ListSegments(dir)
	must(t, err)
	all := map[string]string{}
	for _, f := range list {
		b, err := os.ReadFile(f.Path)
		must(t, err)
		all[f.Path] = string(b)
	}
	return all
}

// TestGroupKeepsReservations: while the caller may be writing into a queue's memory, it
// is not closed for another; afterwards the group comes back to what may be open.
func TestGroupKeepsReservations(t *testing.T) {
	root := fastDir(t)
	g := group(t, GroupOptions{MaxOpen: 2})
	var members []*Member
	var places [][]byte
	for i := range 6 {
		members = append(members, member(t, g, filepath.Join(root, fmt.Sprint(i))))
		p, err := members[i].Reserve(100)
		must(t, err)
		places = append(places, p)
	}
	for i, p := range places {
		copy(p, body(i, 100))
	}
	for _, m := range members {
		_, err := m.Commit(Record{Time: 7}, 100)
		must(t, err)
	}
	for i, m := range members {
		must(t, m.Roll())
		got := readAll(t, filepath.Join(root, fmt.Sprint(i)), 0)
		if len(got) != 1 || string(got[0].Body) != string(body(i, 100)) {
			t.Errorf("queue %d has %d records, or another body", i, len(got))
		}
	}
	put(t, member(t, g, filepath.Join(root, "new")), 0, 1)
	if s := g.Stats(); s.Open > 2 {
		t.Errorf("%d are open, want 2", s.Open)
	}
	if _, err := members[0].Commit(sample(2), 0); err == nil {
		t.Error("committed after Roll what was reserved before")
	}
}

// TestGroupTakesFew: an open member takes two mappings, one that is cut takes one, and
// one that is closed none. None has a descriptor.
func TestGroupTakesFew(t *testing.T) {
	queues := 500 * soak()
	root := fastDir(t)
	g := group(t, GroupOptions{MaxOpen: queues})
	few := group(t, GroupOptions{MaxOpen: 1})
	maps, fds := mappings(t), descriptors(t)
	limit := func(what string, each int) {
		t.Helper()
		if n := mappings(t) - maps; n > each*queues+30 {
			t.Errorf("%s: %d mappings for %d queues, want %d each", what, n, queues, each)
		}
		if n := descriptors(t) - fds; n > 10 {
			t.Errorf("%s: %d descriptors", what, n)
		}
	}
	var members []*Member
	for i := range queues {
		members = append(members, member(t, g, filepath.Join(root, "a", fmt.Sprint(i))))
		put(t, members[i], 0, 3)
	}
	for _, m := range members[:100] {
		put(t, m, 3, 400) // it has a live index
	}
	if !exists(sidecarPath(segmentPath(members[0].w.dir, 1))) {
		t.Error("no live index: the test does not do what it says")
	}
	limit("open", 2)
	for _, m := range members {
		must(t, m.Roll())
	}
	limit("cut", 1)
	must(t, g.Sync())
	must(t, g.Seal())
	must(t, g.Wait())
	limit("sealed", 1)
	must(t, g.Close())
	limit("no longer in a group", 0)
	for i := range queues {
		put(t, member(t, few, filepath.Join(root, "b", fmt.Sprint(i))), 0, 3)
	}
	limit("closed for another", 0)
}

// TestGroupDoesNotAllocate: a record costs no allocation.
func TestGroupDoesNotAllocate(t *testing.T) {
	g := group(t, GroupOptions{})
	m := member(t, g, fastDir(t))
	put(t, m, 0, 800)
	b := body(1, 64)
	n := testing.AllocsPerRun(10000, func() {
		p, err := m.Reserve(len(b))
		must(t, err)
		copy(p, b)
		if _, err := m.Commit(Record{Time: 1, Kind: 4}, len(p)); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per record, want 0", n)
	}
}

// TestGroupSyncIsCheap: members that have not changed take no operation, and many that
// have take one.
func TestGroupSyncIsCheap(t *testing.T) {
	root := fastDir(t)
	fs := faultfs.New(t, root)
	g := group(t, GroupOptions{})
	var members []*Member
	for i := range 2 * syncWhole {
		members = append(members, member(t, g, filepath.Join(root, fmt.Sprint(i))))
	}
	ops := func() (n int) {
		t.Helper()
		fs.Watch(func(durable.Op) { n++ })
		defer fs.Watch(nil)
		must(t, g.Sync())
		return n
	}
	if n := ops(); n != 1 {
		t.Errorf("%d operations to sync %d new queues, want 1", n, len(members))
	}
	if n := ops(); n != 0 {
		t.Errorf("%d operations when nothing has changed, want 0", n)
	}
	put(t, members[5], 0, 1)
	if n := ops(); n != 2 { // the segment and its name
		t.Errorf("%d operations to sync one queue, want 2", n)
	}
	put(t, members[5], 1, 2)
	if n := ops(); n != 1 {
		t.Errorf("%d operations to sync one segment, want 1", n)
	}
	for _, m := range members[:syncWhole] {
		put(t, m, int(m.NextSeq())-1, int(m.NextSeq()))
	}
	if n := ops(); n != 1 {
		t.Errorf("%d operations to sync %d queues, want 1", n, syncWhole)
	}
}

// TestGroupSealFails: what cannot be sealed is told once, stays readable, and is sealed
// when Seal is called again.
func TestGroupSealFails(t *testing.T) {
	root := fastDir(t)
	fs := faultfs.New(t, root)
	g := group(t, GroupOptions{})
	for i := range 3 {
		m := member(t, g, filepath.Join(root, fmt.Sprint(i)))
		put(t, m, 0, 100)
		must(t, m.Roll())
	}
	must(t, g.Sync())
	bad := fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpTruncate}, Times: -1, Name: "*.q"})
	must(t, g.Seal())
	if err := g.Wait(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("wait: %v, want EIO", err)
	}
	if err := errors.Join(g.Wait(), g.Sync()); err != nil {
		t.Fatalf("told twice: %v", err)
	}
	bad.Stop()
	if s := g.Stats(); s.Pending != 3 || s.Sealed != 0 {
		t.Fatalf("%+v", s)
	}
	must(t, g.Seal())
	must(t, g.Wait())
	for i := range 3 {
		dir := filepath.Join(root, fmt.Sprint(i))
		if all, sealed := sealedIn(t, dir); all != 1 || sealed != 1 {
			t.Errorf("queue %d: %d of %d sealed", i, sealed, all)
		}
		verifyAll(t, dir)
	}
}

// TestGroupSealsWhatComesLater: a segment that is handed on while a sealer is at work on
// the same queue is sealed too, and one that is only cut is not.
func TestGroupSealsWhatComesLater(t *testing.T) {
	root := fastDir(t)
	fs := faultfs.New(t, root)
	g := group(t, GroupOptions{Sealers: 1})
	dir := filepath.Join(root, "q")
	m := member(t, g, dir)
	cut := func(i int) {
		put(t, m, i*10, i*10+10)
		must(t, m.Roll())
	}
	cut(0)
	must(t, g.Sync())
	at, goOn := make(chan bool), make(chan bool)
	fs.Watch(func(op durable.Op) {
		if op.Kind == durable.OpUnlink && filepath.Ext(op.Path) == sidecarExt { // the last step of a seal
			fs.Watch(nil)
			at <- true
			<-goOn
		}
	})
	must(t, g.Seal())
	<-at
	cut(1)
	must(t, g.Sync())
	cut(2)
	must(t, g.Seal())
	goOn <- true
	must(t, g.Wait())
	if all, sealed := sealedIn(t, dir); all != 3 || sealed != 2 {
		t.Errorf("%d of %d segments are sealed, want 2 of 3", sealed, all)
	}
}

// TestGroupLiveIndex: the live index of a member is the one that a walk gives, but for
// the last few entries, and all of it once the segment is cut; also when it was closed
// for another, and when some writes of it have failed.
func TestGroupLiveIndex(t *testing.T) {
	root := fastDir(t)
	fs := faultfs.New(t, root)
	g := group(t, GroupOptions{MaxOpen: 1})
	m, other := member(t, g, filepath.Join(root, "q")), member(t, g, filepath.Join(root, "other"))
	path := segmentPath(m.w.dir, 1)
	check := func(lag int) {
		t.Helper()
		s, err := OpenSegment(path)
		must(t, err)
		defer s.Close()
		sum := newSummary(1)
		must(t, walk(s.source(), sum))
		got, err := readSidecar(sidecarPath(path), 1)
		must(t, err)
		if len(got) > len(sum.index) || len(got) < len(sum.index)-lag {
			t.Fatalf("%d entries, want %d, or up to %d less", len(got), len(sum.index), lag)
		}
		if !slices.Equal(got, sum.index[:len(got)]) {
			t.Fatal("the entries are others")
		}
	}
	for i := range 8 {
		if i == 3 {
			fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpWrite, durable.OpCreate}, Name: "*.idx", Times: 5, Half: true})
		}
		put(t, m, i*1000, i*1000+1000)
		check(2*sideBatch - 1)
		if i%3 == 1 {
			put(t, other, int(other.NextSeq())-1, int(other.NextSeq()))
			check(sideBatch)
		}
	}
	must(t, m.Roll())
	check(0)
}

// TestGroupOptions: what makes no sense in a group is refused.
func TestGroupOptions(t *testing.T) {
	g := NewGroup(GroupOptions{})
	for _, o := range []Options{{}, {ManualRoll: true, Precreate: true}, {ManualRoll: true, SyncInterval: 1}, {ManualRoll: true, SegmentBytes: 1}} {
		if _, err := g.Open(t.TempDir(), o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
	must(t, g.Close())
	must(t, g.Close())
	if _, err := g.Open(t.TempDir(), Options{ManualRoll: true}); !errors.Is(err, ErrClosed) {
		t.Errorf("open in a closed group: %v", err)
	}
	if !errors.Is(g.Sync(), ErrClosed) || !errors.Is(g.Seal(), ErrClosed) || g.Wait() != nil {
		t.Error("a closed group goes on")
	}
}
