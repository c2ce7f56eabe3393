package queue

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

// group makes a group that ends with the test.
func group(tb testing.TB, o GroupOptions) *Group {
	tb.Helper()
	g := NewGroup(o)
	tb.Cleanup(func() { g.Close() })
	return g
}

// member opens a queue of the group.
func member(tb testing.TB, g *Group, dir string) *Member {
	tb.Helper()
	m, err := g.Open(dir, Options{ManualRoll: true, Meta: []byte(filepath.Base(dir))})
	must(tb, err)
	return m
}

// put appends the samples from..to-1 by Reserve and Commit.
func put(tb testing.TB, m *Member, from, to int) {
	tb.Helper()
	for i := from; i < to; i++ {
		r := sample(i)
		b, err := m.Reserve(len(r.Body))
		must(tb, err)
		copy(b, r.Body)
		seq, err := m.Commit(r, len(b))
		must(tb, err)
		if seq != uint64(i+1) {
			tb.Fatalf("record %d got sequence %d", i+1, seq)
		}
	}
}

// sealedIn counts the segments of a queue, and the sealed ones.
func sealedIn(tb testing.TB, dir string) (all, sealed int) {
	tb.Helper()
	files, err := ListSegments(dir)
	must(tb, err)
	for _, f := range files {
		if f.Sealed {
			sealed++
		}
	}
	return len(files), sealed
}

// TestGroup takes some queues, more than may be open, through all that a group does.
func TestGroup(t *testing.T) {
	root := fastDir(t)
	dir := func(i int) string { return filepath.Join(root, fmt.Sprint(i), "book.q") }
	g := group(t, GroupOptions{MaxOpen: 3})
	const queues = 10
	members := make([]*Member, queues)
	for i := range members {
		members[i] = member(t, g, dir(i))
	}
	for round := range 4 {
		for _, m := range members {
			put(t, m, round*100, round*100+100)
			if round < 3 {
				must(t, m.Roll())
			}
		}
		if s := g.Stats(); s.Open > 3 || s.Members != queues || s.Pending != int64(min(round+1, 3)*queues) {
			t.Fatalf("round %d: %+v", round, s)
		}
	}
	for i := range queues {
		if all, sealed := sealedIn(t, dir(i)); all != 4 || sealed != 0 {
			t.Fatalf("queue %d: %d segments, %d sealed", i, all, sealed)
		}
		wantSeries(t, readAll(t, dir(i), 0), 0, 400)
	}
	must(t, g.Seal()) // nothing was synced
	must(t, g.Wait())
	if s := g.Stats(); s.Sealed != 0 || s.Pending != 3*queues {
		t.Fatalf("sealed before Sync: %+v", s)
	}
	must(t, g.Sync())
	put(t, members[0], 400, 401)
	must(t, members[0].Roll())
	must(t, g.Seal())
	must(t, g.Wait())
	for i := range queues {
		if _, sealed := sealedIn(t, dir(i)); sealed != 3 {
			t.Fatalf("queue %d: %d sealed, want 3", i, sealed)
		}
	}
	must(t, g.Close())
	if _, err := members[1].Append(sample(0)); !errors.Is(err, ErrClosed) {
		t.Fatalf("append after close: %v, want ErrClosed", err)
	}
	g = group(t, GroupOptions{MaxOpen: 2})
	for i := range queues {
		m := member(t, g, dir(i))
		if i == 0 {
			if r := m.Recovery(); len(r.Pending) != 1 || len(r.Sealed) != 0 || m.NextSeq() != 402 {
				t.Fatalf("recovery %+v", r)
			}
			continue
		}
		put(t, m, 400, 500)
		wantSeries(t, readAll(t, dir(i), 0), 0, 500)
	}
	must(t, g.Sync())
	must(t, g.Seal())
	must(t, g.Close())
	for i := range queues {
		verifyAll(t, dir(i))
	}
	if _, sealed := sealedIn(t, dir(0)); sealed != 4 {
		t.Fatalf("%d sealed, want 4", sealed)
	}
}
