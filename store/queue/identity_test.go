package queue

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"chronicle/internal/faultfs"
)

func identityOf(t *testing.T, dir string) string {
	t.Helper()
	id, err := ID(dir)
	must(t, err)
	return id
}

// TestIdentity: a queue keeps its identity whatever is lost but all of it, and another
// queue in the same place has another.
func TestIdentity(t *testing.T) {
	dir := filepath.Join(fastDir(t), "q")
	if _, err := ID(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("identity of nothing: %v", err)
	}
	table, lock := filepath.Join(dir, tableName), filepath.Join(dir, lockName)
	again := func() {
		t.Helper()
		w := open(t, dir, Options{})
		add(t, w, int(w.NextSeq())-1, int(w.NextSeq()))
		must(t, w.Close())
	}
	again()
	id := identityOf(t, dir)
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
		t.Fatalf("identity %q", id)
	}
	for name, spoil := range map[string]func() error{
		"nothing":       func() error { return nil },
		"table lost":    func() error { return os.Remove(table) },
		"table spoiled": func() error { return os.WriteFile(table, body(1, pageSize), 0o644) },
		"lock lost":     func() error { return os.Remove(lock) },
		"lock emptied":  func() error { return os.WriteFile(lock, nil, 0o644) },
		"lock spoiled":  func() error { return os.WriteFile(lock, body(1, 100), 0o644) },
		"lock as of an older program": func() error {
			return os.WriteFile(lock, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
		},
	} {
		must(t, spoil())
		if got := identityOf(t, dir); got != id {
			t.Errorf("%s: identity %s, want %s", name, got, id)
		}
		again()
		if got := identityOf(t, dir); got != id {
			t.Errorf("%s, opened again: identity %s, want %s", name, got, id)
		}
		both, err := os.ReadFile(lock)
		must(t, err)
		if _, fromLock := readLock(bytes.NewReader(both)); fromLock.String() != id {
			t.Errorf("%s, opened again: the lock has %s", name, fromLock)
		}
	}
	must(t, os.RemoveAll(dir))
	again()
	if got := identityOf(t, dir); got == id || len(got) != 32 {
		t.Errorf("made anew, it has the identity %q, as before", got)
	}
	id = identityOf(t, dir)
	must(t, errors.Join(os.Remove(table), os.Remove(segmentPath(dir, 1))))
	again()
	if got := identityOf(t, dir); got == id || len(got) != 32 {
		t.Errorf("with nothing but its lock left, it goes on as %q", got)
	}
}

// TestIdentityOfAnOldQueue: a queue that was made before there were identities has
// none, and gets none.
func TestIdentityOfAnOldQueue(t *testing.T) {
	dir := filepath.Join(fastDir(t), "q")
	w := open(t, dir, Options{})
	add(t, w, 0, 10)
	must(t, w.Close())
	table, err := os.ReadFile(filepath.Join(dir, tableName))
	must(t, err)
	clear(table[tableID : tableID+16])
	must(t, os.WriteFile(filepath.Join(dir, tableName), table, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, lockName), []byte("123\n"), 0o644))
	for range 2 {
		if id := identityOf(t, dir); id != "" {
			t.Errorf("identity %q, want none", id)
		}
		must(t, open(t, dir, Options{}).Close())
	}
	if pid, _ := readLock(bytes.NewReader([]byte("123\n"))); pid != 123 {
		t.Errorf("pid %d", pid)
	}
}

// TestIdentityIsDurable: it is on disk when the first Sync has returned.
func TestIdentityIsDurable(t *testing.T) {
	fs, w := watched(t, Options{})
	add(t, w, 0, 10)
	must(t, w.Sync())
	id := identityOf(t, w.dir)
	crashed(t, fs, 30, func(dir string) {
		if got := identityOf(t, dir); got != id {
			t.Fatalf("identity %q, want %s", got, id)
		}
		must(t, open(t, dir, Options{}).Close())
		if got := identityOf(t, dir); got != id {
			t.Fatalf("opened again: identity %q, want %s", got, id)
		}
	})
}

// TestSyncTo: a reader has made the queue durable up to a record, in whatever segments
// it and the ones before are, sealed or not.
func TestSyncTo(t *testing.T) {
	for name, end := range map[string]uint64{"first segment": 50, "ended segment": 150, "live segment": 250, "beyond the end": 1000} {
		t.Run(name, func(t *testing.T) {
			root := fastDir(t)
			fs := faultfs.New(t, root)
			g := group(t, GroupOptions{})
			dir := filepath.Join(root, "q")
			m := member(t, g, dir)
			for i := range 3 { // two segments that have ended, and a live one
				must(t, m.Roll())
				put(t, m, i*100, i*100+100)
			}
			must(t, SyncTo(dir, end))
			id := identityOf(t, dir)
			crashed(t, fs, 20, func(dir string) {
				w := open(t, dir, Options{})
				if w.NextSeq() <= min(end, 300) {
					t.Fatalf("%d records, want %d", w.NextSeq()-1, end)
				}
				must(t, w.Close())
				if got := identityOf(t, dir); got != id {
					t.Fatalf("identity %q, want %s", got, id)
				}
			})
			must(t, g.Sync())
			must(t, g.Seal())
			must(t, g.Wait())
			fs.Inject(faultfs.Fault{Times: -1}) // nothing is to be done any more
			must(t, SyncTo(dir, 200))
		})
	}
	if err := SyncTo(filepath.Join(t.TempDir(), "none"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}

// TestSyncToAfterFailedSync: a sync that fails is told, and the next one writes what it
// has not.
func TestSyncToAfterFailedSync(t *testing.T) {
	fs, w := watched(t, Options{})
	add(t, w, 0, 500)
	for skip := range 5 {
		bad := fs.Inject(faultfs.Fault{Kinds: syncKinds, Skip: skip})
		if err := SyncTo(w.dir, 400); err == nil && bad.Hits() > 0 {
			t.Fatal("a failed sync is not told")
		}
		bad.Stop()
	}
	must(t, SyncTo(w.dir, 400))
	crashed(t, fs, 20, func(dir string) {
		if last := lastAfter(t, dir); last < 400 {
			t.Fatalf("%d records, want 400", last)
		}
	})
}

// TestSyncToWhileWriting: it goes with a writer that rolls and seals, and with retention.
func TestSyncToWhileWriting(t *testing.T) {
	dir := fastDir(t)
	w := open(t, dir, Options{SegmentBytes: minSegmentBytes, Precreate: true, NoSync: true})
	rng := rand.New(rand.NewPCG(1, 1))
	done := make(chan error)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			_, next, err := Bounds(dir)
			if err == nil {
				err = SyncTo(dir, next-1)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // Bounds may meet a removed segment
				done <- err
				return
			}
		}
	}()
	for i := range 3000 {
		add(t, w, i, i+1)
		if rng.IntN(100) == 0 {
			_, err := RemoveOldest(dir, w.NextSeq())
			must(t, err)
		}
	}
	close(stop)
	must(t, <-done)
}
