// Package proof holds the tests of what the ETL promises, from the outside: books
// called good are the true ones, records are there exactly once through kills,
// power losses and faults, and the same raw input gives the same clean streams.
// They use the feed, the ETL, the queues, the tier agent, fsck and query as any
// program does.
package proof

import (
	"os"
	"strconv"
	"testing"
)

// childEnv makes the test binary play the part of another process: see children.
const childEnv = "CHRONICLE_PROOF_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(children[name](os.Args[len(os.Args)-1]))
	}
	os.Exit(m.Run())
}

// soak gives the factor for long tests, 1 by default.
func soak() int {
	n, err := strconv.Atoi(os.Getenv("CHRONICLE_SOAK"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// rounds gives how often to try: a few times, fewer under the race detector, or at
// least so often when soaking.
func rounds(usually, soaking int) int {
	switch {
	case soak() > 1:
		return max(soaking, soak())
	case underRace:
		return (usually + 2) / 3
	}
	return usually
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// fastDir gives a directory on tmpfs where there is one.
func fastDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "chronicle-proof-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// children gives what the test binary can do as another process. The argument is a
// directory; the result is the exit status.
var children = map[string]func(dir string) int{
	"etl": func(dir string) int { return child(dir, childETL) },
	"all": func(dir string) int { return child(dir, childAll) },
}
