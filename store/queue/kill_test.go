package queue

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// childAppend appends the series without end, and tells on standard output, in
// eight bytes, each sequence that Append has returned.
func childAppend(dir string) int {
	w, err := OpenWriter(dir, Options{SegmentBytes: 256 << 10, Precreate: os.Getpid()%2 == 0, NoSync: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	out := bufio.NewWriterSize(os.Stdout, 8)
	for i := int(w.NextSeq()) - 1; ; i++ {
		seq, err := w.Append(sample(i))
		if err == nil && i%1000 == 999 {
			err = w.Roll()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := binary.Write(out, binary.LittleEndian, seq); err != nil {
			return 1
		}
	}
}

// TestKill kills a writing process at random moments. What it had acknowledged
// must be there, and what is there must be the series without a hole.
func TestKill(t *testing.T) {
	dir := filepath.Join(fastDir(t), "q")
	rng := rand.New(rand.NewPCG(1, 2))
	seen := uint64(0)
	for round := range 5 * soak() {
		acked := killOnce(t, dir, 500+rng.IntN(5000))
		got := readAll(t, dir, 0)
		wantSeries(t, got, 0, len(got))
		if uint64(len(got)) < acked || acked < seen {
			t.Fatalf("round %d: %d records after the kill, %d were acknowledged", round, len(got), acked)
		}
		w := open(t, dir, Options{SegmentBytes: 256 << 10})
		if w.Recovery().LostRecords != 0 || w.NextSeq() != uint64(len(got)+1) {
			t.Fatalf("round %d: recovery %+v, next %d, read %d", round, w.Recovery(), w.NextSeq(), len(got))
		}
		must(t, w.Close())
		verifyAll(t, dir)
		seen = acked
	}
}

// killOnce runs a writing child until it has acknowledged n records, kills it
// and gives the last sequence it acknowledged.
func killOnce(t *testing.T, dir string, n int) uint64 {
	t.Helper()
	cmd := child("append-until-killed", dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	in := bufio.NewReader(out)
	acked := uint64(0)
	for range n {
		must(t, binary.Read(in, binary.LittleEndian, &acked))
	}
	must(t, cmd.Process.Kill())
	for {
		var seq uint64
		if err := binary.Read(in, binary.LittleEndian, &seq); err != nil {
			break
		}
		acked = seq
	}
	if err := cmd.Wait(); !isKilled(err) {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return acked
}

func isKilled(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && !exit.Exited()
}

// childHoldLock opens the queue, says so, and waits for the end of its input.
func childHoldLock(dir string) int {
	w, err := OpenWriter(dir, Options{NoSync: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer w.Close()
	fmt.Println("locked")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func TestLockAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	cmd := child("hold-lock", dir)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process says %q", line)
	}
	_, err = OpenWriter(dir, Options{})
	var locked *LockedError
	if !errors.As(err, &locked) || !errors.Is(err, ErrLocked) || locked.PID != cmd.Process.Pid {
		t.Errorf("second writer: %v, want ErrLocked by process %d", err, cmd.Process.Pid)
	}
	must(t, in.Close())
	must(t, cmd.Wait())
	w := open(t, dir, Options{})
	if _, err := OpenWriter(dir, Options{}); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("second writer in one process: %v, want ErrLocked by %d", err, os.Getpid())
	}
	must(t, w.Close())
	must(t, open(t, dir, Options{}).Close())
}

// TestLockOutlivesItsDescriptor: nothing in the process has the lock file open,
// and still it is locked.
func TestLockOutlivesItsDescriptor(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	add(t, w, 0, 10)
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); filepath.Dir(to) == dir {
			t.Errorf("descriptor of %s is open", to)
		}
	}
	if _, err := OpenWriter(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second writer: %v, want ErrLocked", err)
	}
}

// childTail follows the queue and prints how many records it read when it meets
// one of kind 99.
func childTail(dir string) int {
	t, err := OpenTailer(dir, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer t.Close()
	ctx, cancel := timeout()
	defer cancel()
	for n := 0; ; {
		r, ok, err := t.Next()
		if err == nil && !ok {
			err = t.Wait(ctx)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if ok && r.Kind == 99 {
			fmt.Println(n)
			return 0
		}
		if ok {
			n++
		}
	}
}

// TestTailersInOtherProcesses runs two tailing processes beside the writer.
func TestTailersInOtherProcesses(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{SegmentBytes: 64 << 10, Precreate: true})
	var outs []io.Reader
	var cmds []*exec.Cmd
	for range 2 {
		cmd := child("tail", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		outs, cmds = append(outs, out), append(cmds, cmd)
	}
	const n = 20000
	add(t, w, 0, n)
	_, err := w.Append(Record{Kind: 99})
	must(t, err)
	for i, out := range outs {
		b, err := io.ReadAll(out)
		must(t, err)
		if string(b) != strconv.Itoa(n)+"\n" {
			t.Errorf("the tailer read %q records, want %d", b, n)
		}
		must(t, cmds[i].Wait())
	}
}

// patience bounds how long a test waits for what must come.
const patience = 30 * time.Second
