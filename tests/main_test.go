// Package tests holds the tests of the whole path: recordings replayed by the
// real chronicle, moved to the archive by the real tier agent, read back through the
// tiers, and compared with what the recordings themselves prove.
//
// They take minutes and run only with the flag -truth (make truth).
package tests

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"chronicle/internal/testdata"
	"chronicle/query"
)

var truth = flag.Bool("truth", false, "run the tests against the recordings")

var chronicle string

func TestMain(m *testing.M) {
	flag.Parse()
	if !*truth {
		fmt.Println("the truth tests run with -truth (make truth)")
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "chronicle-truth-")
	if err != nil {
		panic(err)
	}
	chronicle = filepath.Join(dir, "chronicle")
	if out, err := exec.Command("go", "build", "-o", chronicle, "../cmd/chronicle").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// recording is one input file and how to replay it.
type recording struct {
	source string
	file   string
	args   []string
}

var (
	usdm     = recording{source: "binance-usdm", file: "binance/usdm-btcusdt-20240808.gz"}
	spot     = recording{source: "binance-spot", file: "binance/spot-btcusdt-20240808.gz"}
	kraken   = recording{source: "kraken", file: "crypto/KRAKEN.jsonl.zst"}
	okx      = recording{source: "okx", file: "crypto/OKX.jsonl.zst"}
	coinbase = recording{source: "coinbase", file: "crypto/COINBASE.jsonl.zst"}
	bybit    = recording{source: "bybit", file: "crypto/BYBIT.jsonl.zst"}
	itch     = recording{source: "itch", file: "itch/ex20101224.TEST_ITCH_50.gz"}
)

var recordings = []recording{usdm, spot, kraken, okx, itch, coinbase, bybit}

// summary is the last line of replay --json.
type summary struct {
	Packets, Messages, Records, Skipped, Gaps, Instruments uint64
	Seconds                                                float64
	ETL                                                    struct {
		ChecksumsGood uint64 `json:"checksums_good"`
		ChecksumsBad  uint64 `json:"checksums_bad"`
		UnknownOrders uint64 `json:"unknown_orders"`
		Written       uint64 `json:"written"`
	}
}

func (r recording) command(tb testing.TB, root string, extra ...string) *exec.Cmd {
	tb.Helper()
	args := []string{"replay", "--root", root, "--source", r.source, "--json", "--log-level", "warn"}
	args = append(append(args, r.args...), extra...)
	return exec.Command(chronicle, append(args, testdata.Path(tb, r.file))...)
}

func (r recording) replay(tb testing.TB, root string, extra ...string) summary {
	tb.Helper()
	return parseSummary(tb, run(tb, r.command(tb, root, extra...)))
}

func parseSummary(tb testing.TB, out []byte) summary {
	tb.Helper()
	var s summary
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &s); err != nil {
		tb.Fatalf("replay --json: %v in %s", err, out)
	}
	return s
}

func run(tb testing.TB, cmd *exec.Cmd) []byte {
	tb.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%v: %v\n%s", cmd.Args[1:], err, stderr.Bytes())
	}
	return out
}

// archived replays a recording, moves every segment to the warm tier, checks the
// root with fsck and opens it.
func (r recording) archived(tb testing.TB) (*query.Archive, summary) {
	tb.Helper()
	root := tb.TempDir()
	sum := r.replay(tb, root, "--snapshot-interval", "20s")
	run(tb, exec.Command(chronicle, "tier", "--once", "--root", root, "--log-level", "warn"))
	left, err := filepath.Glob(filepath.Join(root, "queues/clean/*/*/*.q/*.q"))
	if err != nil || len(left) > 0 {
		tb.Fatalf("%d segments were left in the hot zone (%v): %v", len(left), err, left)
	}
	run(tb, exec.Command(chronicle, "fsck", "--root", root))
	a, err := query.Open(tb.Context(), query.Config{Root: root})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { a.Close() })
	return a, sum
}

// envCount reads a number of rounds from CHRONICLE_SOAK, or gives the default.
func envCount(tb testing.TB, byDefault int) int {
	tb.Helper()
	s := os.Getenv("CHRONICLE_SOAK")
	if s == "" {
		return byDefault
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatalf("CHRONICLE_SOAK=%q is not a number", s)
	}
	return n
}
