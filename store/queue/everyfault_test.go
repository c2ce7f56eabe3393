package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"chronicle/internal/faultfs"
)

// stubborn repeats what fails, a few times, and notes the errors.
type stubborn struct {
	t    *testing.T
	errs []error
}

func (s *stubborn) try(f func() error) {
	s.t.Helper()
	for range 10 {
		err := f()
		if err == nil {
			return
		}
		s.errs = append(s.errs, err)
	}
	s.t.Fatalf("it goes on failing, %d times: %v", len(s.errs), s.errs[len(s.errs)-1])
}

// workload takes a queue through all that needs the file system: creation, growth,
// rolls, seals, index, table, consumers, a big record, and a second life.
func (s *stubborn) workload(dir string, o Options) {
	s.t.Helper()
	var w *Writer
	for life := range 2 {
		s.try(func() (err error) { w, err = OpenWriter(dir, o); return err })
		reader := tail(s.t, dir, 0)
		var c *Consumer
		s.try(func() (err error) { c, err = RegisterConsumer(dir, fmt.Sprint("consumer", life)); return err })
		for i := range 150 {
			n := life*150 + i
			s.try(func() error { _, err := w.Append(sample(n)); return err })
			if i == 70 {
				s.try(w.Roll)
			}
		}
		for n := range (life + 1) * 150 {
			wantSeries(s.t, []Record{await(s.t, reader)}, n, n+1)
			c.Passed(uint64(n + 1))
		}
		must(s.t, errors.Join(reader.Close(), c.Close()))
		s.try(w.Sync)
		s.try(w.Close)
	}
	s.try(func() (err error) { w, err = OpenWriter(dir, o); return err })
	s.try(w.Roll)
	s.try(w.Close)
	wantSeries(s.t, readAll(s.t, dir, 0), 0, 300)
	verifyAll(s.t, dir)
	for life := range 2 {
		s.try(func() error {
			err := RemoveConsumer(dir, fmt.Sprint("consumer", life))
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed, though said to have failed
			}
			return err
		})
	}
}

// onQueue is the workload on a queue.
func onQueue(o Options) func(*stubborn, string) {
	return func(s *stubborn, root string) { s.workload(filepath.Join(root, "q"), o) }
}

// everyFault runs a workload again and again, with one operation after the other
// failing, until none is left to fail. Without CHRONICLE_SOAK it takes one of few.
func everyFault(t *testing.T, few int, work func(s *stubborn, root string), fault faultfs.Fault, check func(error)) {
	t.Helper()
	step := max(1, few/soak())
	for fault.Skip = len(t.Name()) % step; ; fault.Skip += step {
		root := fastDir(t)
		f := faultfs.New(t, root)
		bad := f.Inject(fault)
		s := &stubborn{t: t}
		work(s, root)
		hits := bad.Hits()
		f.Close()
		for _, err := range s.errs {
			check(err)
		}
		if hits == 0 {
			break
		}
	}
	if fault.Skip < 30 {
		t.Errorf("only %d operations have failed", fault.Skip)
	}
}

// TestFullAtEveryOperation has the disk full at each operation that needs space, in
// turn: once, half done, and for a while.
func TestFullAtEveryOperation(t *testing.T) {
	for name, o := range modes {
		for _, fault := range []faultfs.Fault{{}, {Half: true, Times: 3}} {
			t.Run(fmt.Sprint(name, fault.Times), func(t *testing.T) {
				fault.Kinds, fault.Err = faultfs.NeedSpace(), syscall.ENOSPC
				everyFault(t, 8, onQueue(o), fault, func(err error) {
					if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "make room") {
						t.Fatalf("on a full disk: %v, want ErrFull", err)
					}
				})
			})
		}
	}
}

// TestErrorAtEveryOperation has each operation fail in turn, not done or done all
// the same: the error is told, and what was asked for can be asked for again.
func TestErrorAtEveryOperation(t *testing.T) {
	for name, o := range modes {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprint(name, applied), func(t *testing.T) {
				everyFault(t, 8, onQueue(o), faultfs.Fault{Applied: applied}, func(err error) {
					if !errors.Is(err, syscall.EIO) {
						t.Fatalf("%v, want EIO", err)
					}
				})
			})
		}
	}
}

// TestFullFromTheBeginning makes a queue where there is no space at all, and then
// where there is.
func TestFullFromTheBeginning(t *testing.T) {
	root := fastDir(t)
	f := faultfs.New(t, root)
	dir := filepath.Join(root, "a", "q")
	full := f.Full()
	if _, err := OpenWriter(dir, Options{}); !errors.Is(err, ErrFull) {
		t.Fatalf("open on a full disk: %v, want ErrFull", err)
	}
	full.Stop()
	w, err := OpenWriter(dir, Options{})
	must(t, err)
	full = f.Full()
	if _, err := w.Append(sample(0)); !errors.Is(err, ErrFull) {
		t.Fatalf("first append on a full disk: %v, want ErrFull", err)
	}
	if _, err := RegisterConsumer(dir, "etl"); !errors.Is(err, ErrFull) {
		t.Fatalf("register on a full disk: %v, want ErrFull", err)
	}
	full.Stop()
	add(t, w, 0, 10)
	must(t, w.Close())
	wantSeries(t, readAll(t, dir, 0), 0, 10)
	if _, err := RegisterConsumer(dir, "etl"); err != nil {
		t.Error(err)
	}
}
