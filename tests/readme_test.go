package tests

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"chronicle/internal/testdata"
)

// freeAddress gives a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestREADME runs the README's commands in their order, as printed but for the
// ports: the shell blocks of "The first query", then its Python blocks as one program.
func TestREADME(t *testing.T) {
	recording := testdata.Path(t, usdm.file)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl, which the README's commands use, is not installed")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "## The first query")
	if !ok {
		t.Fatal("the README has no section The first query")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rest, flight := freeAddress(t), freeAddress(t)
	section = strings.NewReplacer("127.0.0.1:8080", rest, "127.0.0.1:8815", flight).Replace(section)
	blocks := map[string][]string{}
	for _, m := range regexp.MustCompile("(?s)```(sh|python)\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	if len(blocks["sh"]) != 2 || len(blocks["python"]) != 2 {
		t.Fatalf("%d shell and %d Python blocks", len(blocks["sh"]), len(blocks["python"]))
	}

	dir := t.TempDir()
	for from, to := range map[string]string{chronicle: "bin/chronicle", recording: filepath.Base(recording)} {
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "readme.py"), []byte(strings.Join(blocks["python"], "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	script := "set -eu\ntrap 'kill -INT %1; wait' EXIT\n" + blocks["sh"][0] +
		"\nfor i in $(seq 100); do curl -sf http://" + rest + "/healthz > /dev/null && break; sleep 0.1; done\n" + blocks["sh"][1]
	wants := []string{"binance-usdm:btc_usdt  available", `"condition":"available"`}
	if python, err := filepath.Abs("../.venv/bin/python"); err != nil {
		t.Fatal(err)
	} else if _, err := os.Stat(python); err == nil {
		script += "\n" + python + " readme.py\n"
		wants = append(wants, "bid_px_04")
	} else {
		t.Log("no project environment here: the Python blocks are not run")
	}
	cmd := exec.Command("bash", "-m", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CHRONICLE_SERVE_REST="+rest, "CHRONICLE_SERVE_FLIGHT="+flight, "CHRONICLE_LOG_LEVEL=warn")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range wants {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
