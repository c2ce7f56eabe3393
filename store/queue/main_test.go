package queue

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// soakEnv makes the long tests long: a number that multiplies their rounds.
const soakEnv = "CHRONICLE_SOAK"

// childEnv makes the test binary play the part of another process: see children.
const childEnv = "CHRONICLE_QUEUE_CHILD"

// children gives what the test binary can do as another process. The argument is
// the queue's directory; the result is the exit status.
func children() map[string]func(dir string) int {
	return map[string]func(dir string) int{
		"append-until-killed": childAppend,
		"group-until-killed":  childGroup,
		"hold-lock":           childHoldLock,
		"tail":                childTail,
		"append-full-load":    childFullLoad,
		"read-spinning":       func(dir string) int { return childRead(dir, "spinning", TailerOptions{Busy: true}) },
		"read-sleeping":       func(dir string) int { return childRead(dir, "sleeping", TailerOptions{Spin: -1, Yield: -1}) },
		"append-in-jail":      childAppendInJail,
		"getpid-in-jail":      childGetpidInJail,
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(children()[name](os.Args[len(os.Args)-1]))
	}
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		f.Value.Set(strconv.Itoa(12 * soak()))
	}
	os.Exit(m.Run())
}

// soak gives the factor for long tests, 1 by default.
func soak() int {
	n, err := strconv.Atoi(os.Getenv(soakEnv))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// child starts the test binary as another process.
func child(name, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// fastDir gives a directory on tmpfs where there is one, for tests that make
// many files. The caller may remove it early.
func fastDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "queue-test-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
