// Package archtest holds the import rules of the tree: which package may use
// which. The rules are checked against the compiler's own list of imports.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// A rule forbids packages below From to import packages below To, except those
// below Allow. Prefixes match whole path elements.
type rule struct {
	why   string
	from  string
	to    []string
	allow []string
}

const std = "std" // stands for everything outside the standard library

var rules = []rule{
	{"the vocabulary stands on the standard library alone", "chronicle/market", []string{std}, []string{"chronicle/market"}},
	{"the book machine is pure", "chronicle/book", []string{std}, []string{"chronicle/book", "chronicle/market"}},
	{"a queue's records are opaque to it", "chronicle/store/queue", []string{"chronicle/market", "chronicle/book"}, nil},
	{"storage knows nothing of what is above it", "chronicle/store", []string{"chronicle/ingest", "chronicle/query", "chronicle/server", "chronicle/cmd"}, nil},
	{"ingest and query meet in the archive only", "chronicle/ingest", []string{"chronicle/query", "chronicle/server", "chronicle/cmd"}, nil},
	{"the self-audit shares nothing with what it audits", "chronicle/ingest/etl/audit", []string{"chronicle/ingest"}, []string{"chronicle/ingest/etl/audit"}},
	{"ingest and query meet in the archive only", "chronicle/query", []string{"chronicle/ingest", "chronicle/server", "chronicle/cmd"}, nil},
	{"the tape is the raw queue, decoded", "chronicle/tape", []string{"chronicle/ingest", "chronicle/query", "chronicle/server", "chronicle/cmd", "chronicle/store"}, []string{"chronicle/store/queue"}},
	{"the examples use what a user's program would", "chronicle/examples", []string{"chronicle/ingest", "chronicle/server", "chronicle/cmd", "chronicle/internal"}, nil},
	{"servers reach storage through query", "chronicle/server", []string{"chronicle/store", "chronicle/ingest", "chronicle/cmd"}, nil},
}

// owners lists dependencies that belong to a few packages.
var owners = map[string][]string{
	"github.com/duckdb":              {"chronicle/store/manifest", "chronicle/query"},
	"github.com/minio":               {"chronicle/store/blob"},
	"google.golang.org/grpc":         {"chronicle/server/flight", "chronicle/bench"},
	"github.com/go-chi":              {"chronicle/server/rest"},
	"github.com/spf13/cobra":         {"chronicle/cmd"},
	"github.com/gopacket":            {"chronicle/ingest/feed"},
	"github.com/coder/websocket":     {"chronicle/ingest/feed"},
	"github.com/HdrHistogram":        {"chronicle/bench", "chronicle/examples"},
	"chronicle/cmd":                  {"chronicle/cmd"},
	"chronicle/internal/faultfs":     {}, // for tests
	"github.com/apache/arrow-go/v18": {"chronicle/query", "chronicle/server", "chronicle/cmd", "chronicle/bench"},
}

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportRules(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, r := range rules {
				if below(p.ImportPath, r.from) && r.forbids(imported) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, r.why)
				}
			}
			for dep, allowed := range owners {
				if below(imported, dep) && !belowAny(p.ImportPath, allowed) {
					t.Errorf("%s imports %s: only %s may", p.ImportPath, imported, strings.Join(allowed, ", "))
				}
			}
		}
	}
}

// TestRulesBite makes sure that a rule which matches nothing is noticed.
func TestRulesBite(t *testing.T) {
	r := rules[1]
	for imported, want := range map[string]bool{
		"fmt": false, "chronicle/market": false, "chronicle/store/queue": true, "golang.org/x/sys/unix": true,
	} {
		if got := r.forbids(imported); got != want {
			t.Errorf("rule for %s forbids %s: %v, want %v", r.from, imported, got, want)
		}
	}
	if below("chronicle/marketing", "chronicle/market") {
		t.Error("a prefix must match whole path elements")
	}
}

func (r rule) forbids(imported string) bool {
	if belowAny(imported, r.allow) {
		return false
	}
	for _, to := range r.to {
		first, _, _ := strings.Cut(imported, "/")
		if to == std && (strings.Contains(first, ".") || first == "chronicle") || to != std && below(imported, to) {
			return true
		}
	}
	return false
}

func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func belowAny(path string, prefixes []string) bool {
	for _, p := range prefixes {
		if below(path, p) {
			return true
		}
	}
	return false
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "chronicle/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("only %d packages listed", len(all))
	}
	return all
}
