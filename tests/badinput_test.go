package tests

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chronicle/internal/testdata"
)

// cli runs the binary and gives its exit status and what it said on stderr.
func cli(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(chronicle, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestBadQuestions: each gets a clear error that names the field, the right exit
// status, and no answer.
func TestBadQuestions(t *testing.T) {
	root := t.TempDir()
	okx.replay(t, root)
	const at = "2022-05-13T16:27:10Z"
	ask := func(extra ...string) []string {
		return append([]string{"book", "--root", root, "--log-level", "error"}, extra...)
	}
	get := func(extra ...string) []string {
		return append([]string{"get", "--root", root, "--log-level", "error", "--start", "2022-05-13T16:27:00Z", "--end", at}, extra...)
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"unknown symbol", ask("--symbol", "okx:nope", "--at", at), 1, "okx:btc_usdt"},
		{"time before the archive", ask("--symbol", "okx:btc_usdt", "--at", "2001-01-01T00:00:00Z"), 1, "outside the archive"},
		{"malformed time", ask("--symbol", "okx:btc_usdt", "--at", "yesterday"), 2, "RFC 3339"},
		{"depth 0", ask("--symbol", "okx:btc_usdt", "--at", at, "--depth", "0"), 2, "depth"},
		{"depth 10^9", ask("--symbol", "okx:btc_usdt", "--at", at, "--depth", "1000000000"), 2, "depth"},
		{"unknown clock", ask("--symbol", "okx:btc_usdt", "--at", at, "--clock", "wall"), 2, "clock"},
		{"unknown format", ask("--symbol", "okx:btc_usdt", "--at", at, "--format", "xml"), 2, "format"},
		{"unknown schema", get("--schema", "nonsense", "--symbol", "okx:btc_usdt"), 2, "schema"},
		{"end before start", get("--schema", "trades", "--symbol", "okx:btc_usdt", "--end", "2022-05-13T16:00:00Z"), 2, "end"},
		{"unknown flag", ask("--symbl", "x"), 2, "--help"},
		{"unknown command", []string{"bok"}, 2, "bok"},
		{"no such file", []string{"replay", "--root", root, "--source", "okx", "/nowhere"}, 1, "/nowhere"},
		{"unknown source", []string{"replay", "--root", root, "--source", "nyse", "/dev/null"}, 2, "binance-usdm"},
		{"root without data", []string{"book", "--root", filepath.Join(root, "none"), "--symbol", "a", "--at", at}, 1, "none"},
		{"wide address", []string{"serve", "--root", root, "--rest", "0.0.0.0:0"}, 1, "--insecure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := cli(t, c.args...)
			if status != c.status || !strings.Contains(stderr, c.says) || stdout != "" || strings.Contains(stderr, "panic") {
				t.Errorf("status %d (want %d), stdout %q, stderr %q (want %q in it)", status, c.status, stdout, stderr, c.says)
			}
		})
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	root := t.TempDir()
	okx.replay(t, root)
	status, _, stderr := cli(t, "serve", "--root", root, "--rest", l.Addr().String())
	if status != 1 || !strings.Contains(stderr, l.Addr().String()) || !strings.Contains(stderr, "--rest") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// TestDamagedRecording: what can be used of a cut or dirty recording is kept, the
// rest is counted.
func TestDamagedRecording(t *testing.T) {
	f, err := os.ReadFile(testdata.Path(t, usdm.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cut := filepath.Join(dir, "cut.gz")
	if err := os.WriteFile(cut, f[:len(f)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 1<<20)
	if _, err := z.Read(head); err != nil {
		t.Fatal(err)
	}
	whole := strings.SplitAfter(string(head), "\n")[:20]
	dirty := filepath.Join(dir, "dirty.txt")
	lines := []string{"not a line\n", whole[0], `1723161255088169999 {"stream":"x@unknown","data":{"e":"mystery"}}` + "\n"}
	lines = append(append(lines, whole[1:]...), whole[1][:len(whole[1])/2])
	if err := os.WriteFile(dirty, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]uint64{cut: {1000, 1}, dirty: {20, 3}} {
		cmd := exec.Command(chronicle, "replay", "--root", filepath.Join(dir, filepath.Base(path)+".root"), "--source", "binance-usdm", "--json", "--log-level", "error", path)
		out := run(t, cmd)
		s := parseSummary(t, out)
		if s.Messages < want[0] || s.Skipped != want[1] {
			t.Errorf("%s: %d messages, %d skipped; want at least %d, and %d", filepath.Base(path), s.Messages, s.Skipped, want[0], want[1])
		}
	}
}

// TestDamagedSegment: an answer that needs a damaged byte is an error that names the
// segment; one that does not need it is the right one.
func TestDamagedSegment(t *testing.T) {
	for _, how := range []string{"flipped", "cut"} {
		t.Run(how, func(t *testing.T) {
			root := t.TempDir()
			okx.replay(t, root)
			run(t, exec.Command(chronicle, "tier", "--once", "--root", root))
			files, err := filepath.Glob(filepath.Join(root, "archive/okx/btc_usdt/book/*/*.q"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v %v", files, err)
			}
			ask := func(at string) (status int, stdout, stderr string) {
				return cli(t, "book", "--root", root, "--symbol", "okx:btc_usdt", "--at", at)
			}
			const early, late = "2022-05-13T16:27:05.8Z", "2022-05-13T17:00:00Z"
			_, right, _ := ask(late)
			damage(t, files[0], how)
			status, stdout, stderr := ask(early)
			if status != 1 || stdout != "" || !strings.Contains(stderr, filepath.Base(files[0])) {
				t.Errorf("book: status %d, stdout %q, stderr %s", status, stdout, stderr)
			}
			if status, stdout, _ := ask(late); status == 0 && stdout != right || status != 0 && stdout != "" {
				t.Errorf("later book: status %d, %s\nwant %s", status, stdout, right)
			}
			if status, _, _ := cli(t, "fsck", "--root", root); status != 1 {
				t.Errorf("fsck: status %d, want 1", status)
			}
		})
	}
}

// damage flips a bit of the first record's body, or cuts off the end of the footer.
func damage(t *testing.T, path, how string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if how == "cut" {
		b = b[:len(b)-100]
	} else {
		b[5000] ^= 4 // after the header page of 4,096 bytes, in the first snapshot
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMissingTier(t *testing.T) {
	root := t.TempDir()
	okx.replay(t, root)
	run(t, exec.Command(chronicle, "tier", "--once", "--root", root))
	if err := os.Rename(filepath.Join(root, "archive"), filepath.Join(root, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := cli(t, "book", "--root", root, "--symbol", "okx:btc_usdt", "--at", "2022-05-13T17:00:00Z")
	if status != 1 || stdout != "" || !strings.Contains(stderr, "tier") {
		t.Errorf("status %d, stdout %q, stderr %s", status, stdout, stderr)
	}
}

func TestRootNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := cli(t, "replay", "--root", filepath.Join(file, "root"), "--source", "okx", testdata.Path(t, okx.file))
	if status != 1 || !strings.Contains(stderr, file) {
		t.Errorf("status %d: %s", status, stderr)
	}
}
