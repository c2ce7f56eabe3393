package queue

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The jail proves that an append makes no system call and waits for no lock: a
// child process puts a seccomp filter on the one thread that appends, by which any
// system call from it kills the process. A sync.Mutex that has to wait, a channel, a
// sleep, memory from the system, a growing stack: all of them are system calls of
// the thread that waits.

const jailRecords = 1_000_000

// What the child says with its exit status when it cannot do its part.
const (
	jailForbidden = 40 + iota // no seccomp here
	jailFailed                // something else
)

//go:linkname procPin runtime.procPin
func procPin() int

// enterJail puts the filter on the calling thread, for good. The goroutine must be
// locked to it, and is pinned: the scheduler, which takes a processor away from a
// goroutine after 10 ms, would otherwise wait for another one in a futex.
func enterJail() error {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	const offsetNr, offsetArch = 0, 4 // in struct seccomp_data
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	equal := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	filter := []unix.SockFilter{
		load(offsetArch),
		equal(arch, 0, 2),
		load(offsetNr),
		equal(unix.SYS_RT_SIGRETURN, 1, 0), // how a signal handler returns: the kernel's doing, not the code's
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	procPin()
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// jailed runs what is to be tried in the jail, and exits with its result from
// another thread. There is no garbage collection: it would have to stop a thread
// that cannot be stopped.
func jailed(try func() int) int {
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 4))
	const running = -1
	var result atomic.Int32
	result.Store(running)
	go func() {
		runtime.LockOSThread()
		if err := enterJail(); err != nil {
			result.Store(jailForbidden)
		} else {
			result.Store(int32(try()))
		}
		for result.Load() != running { // there is no way out
		}
	}()
	deadline := time.Now().Add(patience)
	for result.Load() == running && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if n := int(result.Load()); n != running {
		return n
	}
	return jailFailed
}

// childAppendInJail appends while a tailer reads along and the syncer syncs: what
// they hold, the append must not need.
func childAppendInJail(dir string) int {
	w, err := OpenWriter(dir, Options{SegmentBytes: 192 << 20, Precreate: true, SyncInterval: time.Millisecond})
	if err == nil {
		_, err = w.Append(Record{Body: body(1, 64)}) // takes the segment that is ready
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return jailFailed
	}
	var read atomic.Int64
	go func() {
		t, err := OpenTailerOptions(dir, 0, TailerOptions{Spin: -1})
		for err == nil {
			var ok bool
			if _, ok, err = t.Next(); ok {
				read.Add(1)
			} else if err == nil {
				err = t.Wait(context.Background())
			}
		}
		fmt.Fprintln(os.Stderr, err)
	}()
	for read.Load() == 0 {
		runtime.Gosched()
	}
	payload := body(1, 64)
	status := jailed(func() int {
		for i := range jailRecords {
			r := Record{Time: int64(i), Kind: 4, Body: payload}
			if i%1000 == 0 {
				r.Flags = FlagKey
			}
			if _, err := w.Append(r); err != nil {
				return jailFailed
			}
		}
		return 0
	})
	if files, err := segmentFiles(dir); status == 0 && (err != nil || len(files) != 1 || w.next != jailRecords+2) {
		return jailFailed
	}
	return status
}

// childGetpidInJail makes one system call in the jail.
func childGetpidInJail(string) int {
	return jailed(func() int {
		unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		return 0
	})
}

// inJail runs a child and gives its exit status, or the signal that killed it.
func inJail(t *testing.T, name string) (status int, signal syscall.Signal) {
	t.Helper()
	cmd := child(name, fastDir(t))
	// The runtime's own signals to threads that run long would be let through; without
	// them there is one reason less to doubt.
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1")
	err := cmd.Run()
	if exit, ok := err.(*exec.ExitError); ok {
		state := exit.Sys().(syscall.WaitStatus)
		if state.Signaled() {
			return 0, state.Signal()
		}
		status, err = state.ExitStatus(), nil
	}
	must(t, err)
	if status == jailForbidden {
		t.Skip("seccomp is not permitted here: that appending makes no system call is not proven")
	}
	return status, 0
}

// TestAppendMakesNoSystemCall appends a million records in the jail, index entries
// and all, with no roll in between.
func TestAppendMakesNoSystemCall(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes system calls of its own")
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the seccomp filter is written for amd64 and arm64")
	}
	if info, err := os.ReadFile("/proc/self/status"); err == nil && !strings.Contains(string(info), "Seccomp:") {
		t.Skip("the kernel has no seccomp: that appending makes no system call is not proven")
	}
	if status, signal := inJail(t, "append-in-jail"); status != 0 || signal != 0 {
		t.Errorf("appending in the jail ends with status %d, signal %v", status, signal)
	}
	if status, signal := inJail(t, "getpid-in-jail"); signal != syscall.SIGSYS {
		t.Errorf("one system call in the jail ends with status %d, signal %v, want %v: the jail has no bars", status, signal, syscall.SIGSYS)
	}
}
