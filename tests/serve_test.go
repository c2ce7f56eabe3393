package tests

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// serving starts `chronicle serve` and gives the address of its REST server.
func serving(t *testing.T, root string) string {
	t.Helper()
	cmd := exec.Command(chronicle, "serve", "--root", root, "--rest", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--log-level", "warn")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`http://[\d.:]+`).FindString(line)
	if m == "" {
		t.Fatalf("no address in %q", line)
	}
	return m
}

func httpGet(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v\n%s", address, resp.Status, err, b)
	}
	return string(b)
}

// TestCommandLineAndRESTAgree asks the same questions both ways. (Flight against
// REST is among the client tests.)
func TestCommandLineAndRESTAgree(t *testing.T) {
	root := t.TempDir()
	kraken.replay(t, root)
	run(t, exec.Command(chronicle, "tier", "--once", "--root", root, "--log-level", "warn"))
	rest := serving(t, root)
	const symbol = "kraken:xmr_usd"
	base := time.Date(2021, 4, 17, 16, 48, 55, 0, time.UTC)
	for i := range 10 {
		at := base.Add(time.Duration(i) * 777 * time.Millisecond).Format(time.RFC3339Nano)
		for _, clock := range []string{"recv", "event"} {
			cli := string(run(t, exec.Command(chronicle, "book", "--root", root, "--symbol", symbol, "--at", at, "--depth", "7", "--clock", clock, "--format", "json")))
			web := httpGet(t, fmt.Sprintf("%s/v1/books/%s?at=%s&depth=7&clock=%s", rest, symbol, url.QueryEscape(at), clock))
			if cli != web || len(cli) < 200 {
				t.Fatalf("book at %s:\nCLI  %s\nREST %s", at, cli, web)
			}
		}
	}
	span := []string{"2021-04-17T16:00:00Z", "2021-04-17T17:00:00Z"}
	for _, schema := range []string{"trades", "mbo", "mbp-3", "quotes"} {
		for _, format := range []string{"ndjson", "csv"} {
			cli := string(run(t, exec.Command(chronicle, "get", "--root", root, "--schema", schema, "--symbol", symbol, "--start", span[0], "--end", span[1], "--format", format)))
			web := httpGet(t, fmt.Sprintf("%s/v1/records/%s/%s?start=%s&end=%s&format=%s", rest, schema, symbol, span[0], span[1], format))
			if cli != web || len(cli) < 200 {
				t.Errorf("%s as %s: %d bytes by CLI, %d by REST", schema, format, len(cli), len(web))
			}
		}
	}
}
