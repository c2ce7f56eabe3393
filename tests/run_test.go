package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running is a `chronicle run` that has printed its hints.
type running struct {
	cmd   *exec.Cmd
	hints []string // the three commands
	rest  string
}

// startRun starts everything in one process and waits for the hints.
func startRun(t *testing.T, root string) *running {
	t.Helper()
	cmd := exec.Command(chronicle, "run", "--root", root, "--rest", "127.0.0.1:0", "--flight", "127.0.0.1:0",
		"--roll-interval", "2s", "--warm-after", "1s", "--tier-interval", "1s", "--log-level", "warn")
	cmd.Dir = ".." // where the hints look for the Python environment
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	r := &running{cmd: cmd}
	for sc := bufio.NewScanner(stdout); len(r.hints) < 3 && sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		if m := regexp.MustCompile(`REST\s+(http://\S+)`).FindStringSubmatch(line); m != nil {
			r.rest = m[1]
		}
		if strings.HasPrefix(line, "curl ") || strings.Contains(line, " book --root ") || strings.Contains(line, "pyarrow.flight") {
			r.hints = append(r.hints, line)
		}
	}
	if len(r.hints) != 3 {
		t.Fatalf("hints: %q", r.hints)
	}
	go func() { _, _ = bufio.NewReader(stdout).WriteTo(new(bytes.Buffer)) }() // until the process ends
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Fatalf("after Ctrl-C: %v", err)
	}
}

// TestRun starts the system as a newcomer would, runs the three commands as
// printed, ends it with Ctrl-C, and goes on from the same data.
func TestRun(t *testing.T) {
	root := filepath.Join(t.TempDir(), "data")
	first := startRun(t, root)
	for _, hint := range first.hints {
		if strings.Contains(hint, "python3 -c") {
			t.Logf("no project environment here: not run: %s", hint)
			continue
		}
		if _, err := exec.LookPath("curl"); err != nil && strings.HasPrefix(hint, "curl") {
			t.Logf("no curl here: not run: %s", hint)
			continue
		}
		cmd := exec.Command("sh", "-c", hint)
		cmd.Dir = ".."
		out, err := cmd.CombinedOutput()
		if err != nil || len(out) < 100 || bytes.Contains(out, []byte("problem")) {
			t.Errorf("%s: %v\n%s", hint, err, out)
		}
	}
	waitForTier(t, first.rest)
	first.stop(t)
	run(t, exec.Command(chronicle, "fsck", "--root", root))
	before := segmentCount(t, root)
	second := startRun(t, root)
	second.stop(t)
	if after := segmentCount(t, root); after < before || before == 0 {
		t.Errorf("%d segments in the archive after the second run, %d before", after, before)
	}
	run(t, exec.Command(chronicle, "fsck", "--root", root))
}

// waitForTier waits until the manifest lists segments of the warm tier.
func waitForTier(t *testing.T, rest string) {
	t.Helper()
	for range 300 {
		if strings.Contains(httpGet(t, rest+"/v1/segments"), `"warm"`) {
			return
		}
		time.Sleep(100 * time.Millisecond) // polls another process
	}
	t.Fatal("no segment reached the warm tier in 30 seconds")
}

func segmentCount(t *testing.T, root string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "archive/*/*/*/*/*.q"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestKilledRun kills the whole system under load; nothing may be lost or doubled.
func TestKilledRun(t *testing.T) {
	root := filepath.Join(t.TempDir(), "data")
	for range 3 {
		r := startRun(t, root)
		if err := r.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = r.cmd.Wait() // it was killed
	}
	run(t, exec.Command(chronicle, "etl", "--once", "--root", root, "--roll-interval", "2s"))
	out := run(t, exec.Command(chronicle, "fsck", "--root", root, "--json"))
	if !json.Valid(out) {
		t.Errorf("fsck --json: %s", out)
	}
}
