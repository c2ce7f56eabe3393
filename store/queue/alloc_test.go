package queue

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestAppendDoesNotAllocate(t *testing.T) {
	w := open(t, fastDir(t), Options{})
	b := body(1, 64)
	add(t, w, 0, 100)
	appends := testing.AllocsPerRun(100000, func() {
		if _, err := w.Append(Record{Time: 1, Kind: 4, Body: b}); err != nil {
			t.Fatal(err)
		}
	})
	commits := testing.AllocsPerRun(1000, func() {
		p, err := w.Reserve(len(b))
		must(t, err)
		copy(p, b)
		if _, err := w.Commit(Record{Time: 1, Kind: 4, Flags: FlagKey}, len(p)); err != nil {
			t.Fatal(err)
		}
	})
	if appends != 0 || commits != 0 {
		t.Errorf("%v allocations per append, %v per reserve and commit, want 0", appends, commits)
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	dir := fastDir(t)
	w := open(t, dir, Options{ManualRoll: true})
	add(t, w, 0, 20000)
	live := tail(t, dir, 0)
	must(t, w.Roll())
	sealed := tail(t, dir, 0)
	for name, tailer := range map[string]*Tailer{"live": live, "sealed": sealed} {
		await(t, tailer)
		for range 5000 { // the read-ahead buffer has its size by then
			await(t, tailer)
		}
		n := testing.AllocsPerRun(10000, func() {
			if _, ok, err := tailer.Next(); !ok || err != nil {
				t.Fatal(ok, err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per record, want 0", name, n)
		}
	}
}

// TestManyStreams has more streams open than the process may have descriptors
// when CHRONICLE_SOAK is 20 or more; by default it only proves that a stream
// keeps none.
func TestManyStreams(t *testing.T) {
	root := fastDir(t)
	before := descriptors(t)
	writers := make([]*Writer, 1000*soak())
	for i := range writers {
		writers[i] = open(t, filepath.Join(root, fmt.Sprint(i)), Options{ManualRoll: true})
		add(t, writers[i], 0, 3)
	}
	if now := descriptors(t); now > before+10 {
		t.Errorf("%d descriptors are open, %d before %d streams", now, before, len(writers))
	}
	for i, w := range writers {
		must(t, w.Close())
		if i%100 == 0 {
			wantSeries(t, readAll(t, w.dir, 0), 0, 3)
		}
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	return len(fds)
}
