package queue

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ackWord maps the word beside the queue in which the writing child tells, without
// a system call, the last sequence that Append has returned.
func ackWord(dir string) ([]byte, error) {
	f, err := os.OpenFile(dir+".ack", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(pageSize); err != nil {
		return nil, err
	}
	return mapFile(f, pageSize, unix.PROT_READ|unix.PROT_WRITE)
}

// childFullLoad appends the series as fast as it can, without end.
func childFullLoad(dir string) int {
	ack, err := ackWord(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w, err := OpenWriter(dir, Options{SegmentBytes: 512 << 10, Precreate: os.Getpid()%2 == 0, NoSync: true})
	for i := 0; err == nil; i++ {
		var seq uint64
		if seq, err = w.Append(sample(int(w.NextSeq() - 1))); err == nil {
			storeCount(ack, 0, seq)
		}
		if err == nil && i%10000 == 9999 {
			err = w.Roll()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// childRead follows the queue as a consumer of that name until a record of kind
// 99, and checks every record against the series.
func childRead(dir, name string, o TailerOptions) int {
	n, err := readAlong(dir, name, o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "reader %s after %d records: %v\n", name, n, err)
		return 1
	}
	fmt.Println(n)
	return 0
}

func readAlong(dir, name string, o TailerOptions) (int, error) {
	c, err := RegisterConsumer(dir, name)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	t, err := OpenTailerOptions(dir, 1, o)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	ctx, cancel := timeout()
	defer cancel()
	fmt.Println("reading")
	for n := 0; ; {
		r, ok, err := t.Next()
		if err == nil && !ok {
			err = t.Wait(ctx)
		}
		if err != nil || ok && r.Kind == 99 {
			return n, err
		}
		if !ok {
			continue
		}
		want := sample(n)
		if n++; !same(r, Record{uint64(n), want.Time, want.EventTime, want.Kind, want.Flags, want.Tag, want.Body}) {
			return n, fmt.Errorf("record %d of kind %d and %d bytes where record %d belongs", r.Seq, r.Kind, len(r.Body), n)
		}
		c.Passed(r.Seq)
		if n%4096 == 0 {
			cancel()
			ctx, cancel = timeout()
		}
	}
}

// reader is a reading child.
type reader struct {
	cmd  *exec.Cmd
	out  *os.File
	done chan error
}

func startReader(t *testing.T, name, dir string) *reader {
	t.Helper()
	cmd := child(name, dir)
	out, in, err := os.Pipe()
	must(t, err)
	cmd.Stdout = in
	must(t, cmd.Start())
	must(t, in.Close())
	r := &reader{cmd: cmd, out: out, done: make(chan error, 1)}
	var line string
	if _, err := fmt.Fscanln(out, &line); err != nil || line != "reading" {
		t.Fatalf("%s says %q, %v", name, line, err)
	}
	go func() { r.done <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill(); out.Close() })
	return r
}

// running fails the test if the reader has ended.
func (r *reader) running(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.done:
		t.Fatalf("a reader has ended: %v", err)
	default:
	}
}

// TestKillWithReaders kills the writer at random moments under full load, again and
// again, while two other processes stay attached: one spins, one sleeps. They get
// the series, without a hole or a repeat, across all of its lives; and what was
// acknowledged is there. Retention runs beside them.
func TestKillWithReaders(t *testing.T) {
	dir := filepath.Join(fastDir(t), "q")
	must(t, open(t, dir, Options{}).Close())
	ack, err := ackWord(dir)
	must(t, err)
	defer unix.Munmap(ack)
	readers := []*reader{startReader(t, "read-spinning", dir), startReader(t, "read-sleeping", dir)}
	rng := rand.New(rand.NewPCG(5, 6))
	keep := Retention{MaxBytes: 4 << 20, Require: []string{"sleeping", "spinning"}}
	removed := 0
	for round := range 6 * soak() {
		killFullLoad(t, dir, ack, uint64(1+rng.IntN(30000)))
		acked := loadCount(ack, 0)
		if round%3 == 0 { // otherwise the next life recovers
			w := open(t, dir, Options{SegmentBytes: 512 << 10})
			if r := w.Recovery(); r.LostRecords != 0 || r.LastSeq < acked || r.LastSeq > acked+1 {
				t.Fatalf("round %d: recovery %+v, acknowledged %d", round, r, acked)
			}
			must(t, w.Close())
			verifyAll(t, dir)
		}
		if _, next, err := Bounds(dir); err != nil || next <= acked {
			t.Fatalf("round %d: the next record is %d (%v), acknowledged %d", round, next, err, acked)
		}
		r, err := Retain(dir, keep)
		must(t, err)
		removed += len(r.Removed)
		for _, reader := range readers {
			reader.running(t)
		}
	}
	finishReaders(t, dir, readers, loadCount(ack, 0))
	r, err := Retain(dir, Retention{MaxBytes: 1})
	must(t, err)
	if removed += len(r.Removed); removed == 0 {
		t.Error("retention has removed nothing")
	}
}

// finishReaders ends the series, and checks that each reader has had all of it.
func finishReaders(t *testing.T, dir string, readers []*reader, acked uint64) {
	t.Helper()
	w := open(t, dir, Options{})
	last, err := w.Append(Record{Kind: 99})
	must(t, err)
	if last <= acked {
		t.Fatalf("the end is record %d, %d were acknowledged", last, acked)
	}
	for _, r := range readers {
		var n uint64
		if _, err := fmt.Fscanln(r.out, &n); err != nil || n != last-1 {
			t.Fatalf("a reader has read %d records (%v), want %d", n, err, last-1)
		}
		must(t, <-r.done)
	}
	must(t, w.Roll())
	must(t, w.Close())
	infos, err := Consumers(dir)
	must(t, err)
	if !slices.ContainsFunc(infos, func(c ConsumerInfo) bool { return c.Name == "sleeping" && c.Next == last }) {
		t.Errorf("consumers %v, want %d passed", infos, last-1)
	}
}

// killFullLoad runs the writing child until it has acknowledged n more records,
// and kills it there and then.
func killFullLoad(t *testing.T, dir string, ack []byte, n uint64) {
	t.Helper()
	_, next, err := Bounds(dir)
	must(t, err)
	cmd := child("append-full-load", dir)
	must(t, cmd.Start())
	for deadline := time.Now().Add(patience); loadCount(ack, 0) < next+n; time.Sleep(20 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Error("the writer does not get on")
			break
		}
	}
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); !isKilled(err) {
		t.Fatalf("the writer ended by itself: %v", err)
	}
}
