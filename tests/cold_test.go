package tests

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestColdTier moves an archive to a tier on another file system, where possible,
// and wants the same book from there.
func TestColdTier(t *testing.T) {
	root := t.TempDir()
	okx.replay(t, root)
	cold, err := os.MkdirTemp("/dev/shm", "chronicle-cold-")
	if err != nil {
		cold = t.TempDir() // one file system: the move is a rename
	}
	t.Cleanup(func() { os.RemoveAll(cold) })
	ask := func(extra ...string) string {
		args := []string{"book", "--root", root, "--symbol", "okx:btc_usdt", "--at", "2022-05-13T17:00:00Z", "--format", "csv"}
		return string(run(t, exec.Command(chronicle, append(args, extra...)...)))
	}
	hot := ask()
	run(t, exec.Command(chronicle, "tier", "--once", "--root", root))
	warm := ask()
	run(t, exec.Command(chronicle, "tier", "--once", "--root", root, "--cold-dir", cold))
	if fromCold := ask("--cold-dir", cold); hot != warm || warm != fromCold || len(hot) < 100 {
		t.Errorf("hot  %s\nwarm %s\ncold %s", hot, warm, fromCold)
	}
	run(t, exec.Command(chronicle, "fsck", "--deep", "--root", root, "--cold-dir", cold))
	status, stdout, stderr := cli(t, "book", "--root", root, "--symbol", "okx:btc_usdt", "--at", "2022-05-13T17:00:00Z")
	if status != 1 || stdout != "" || !strings.Contains(stderr, "cold") {
		t.Errorf("without the tier: status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}
