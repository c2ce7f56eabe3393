package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"chronicle/market"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

var btc = manifest.StreamID{Venue: "binance-usdm", Symbol: "btc_usdt", Stream: "book"}

// everyOp is a commit with one operation of each kind.
func everyOp() *manifest.Commit {
	rows := manifesttest.Fake(btc, 5, manifesttest.Epoch)
	rows[2].FirstEventTime, rows[2].LastEventTime = market.UndefTimestamp, market.UndefTimestamp
	from := func(i int) *manifest.Location {
		return &manifest.Location{Tier: manifest.Hot, Key: rows[i].Ref().HotKey()}
	}
	moved := rows[2]
	moved.Tier = "cold"
	warm := rows[2].Location()
	three, four := rows[3].Ref(), rows[4].Ref()
	return &manifest.Commit{
		Version: manifest.Version, Writer: "main", N: 7, PrevHash: "sha256:" + strings.Repeat("ab", 32), Time: manifesttest.Epoch + 1,
		Ops: []manifest.Op{
			{Op: manifest.OpIntent, Segment: &rows[0], From: from(0)},
			{Op: manifest.OpAdd, Segment: &rows[1], From: from(1)},
			{Op: manifest.OpMove, Segment: &moved, From: &warm},
			{Op: manifest.OpAbort, Of: &three},
			{Op: manifest.OpDelete, Of: &four, At: from(4)},
			{Op: manifest.OpGap, Gap: &manifest.Gap{
				Venue: "binance-usdm", Symbol: "btc_usdt", Channel: "btcusdt@depth", Start: 1, End: 2, FirstSeq: 3, LastSeq: 4,
				Cause: "sequence", Recovered: true, Detail: `two <packets> & "more"`,
			}},
		},
	}
}

func TestCommitGolden(t *testing.T) {
	b, err := everyOp().Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "commit.json")
	if *update {
		if err := os.WriteFile(golden, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("a commit is now encoded as\n%s", b)
	}
	if !json.Valid(b) {
		t.Error("not JSON")
	}
	c, err := manifest.DecodeCommit(want)
	if err != nil {
		t.Fatal(err)
	}
	c.Sum = ""
	if !reflect.DeepEqual(c, everyOp()) {
		t.Errorf("decoded %+v", c)
	}
}

// TestDecodeFindsEveryFlippedBit is the promise that a commit guards itself.
func TestDecodeFindsEveryFlippedBit(t *testing.T) {
	good, err := everyOp().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := manifest.DecodeCommit(bad); !errors.Is(err, manifest.ErrCorrupt) && !errors.Is(err, manifest.ErrVersion) {
			t.Fatalf("byte %d of %q... flipped: error is %v", i, good[max(0, i-20):i+1], err)
		}
	}
	for n := range good {
		if _, err := manifest.DecodeCommit(good[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes pass for a commit", n, len(good))
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	b, err := everyOp().Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"version":        {strings.Replace(good, `"version":1`, `"version":2`, 1), manifest.ErrVersion},
		"no version":     {strings.Replace(good, `"version":1,`, ``, 1), manifest.ErrVersion},
		"unknown field":  {strings.Replace(good, `"n":7`, `"n":7,"color":"red"`, 1), manifest.ErrCorrupt},
		"unknown nested": {strings.Replace(good, `"records":100`, `"records":100,"x":1`, 1), manifest.ErrCorrupt},
		"second value":   {good + good, manifest.ErrCorrupt},
		"white space":    {good + "\n", manifest.ErrCorrupt},
		"other case":     {strings.Replace(good, `"prev_hash"`, `"Prev_Hash"`, 1), manifest.ErrCorrupt},
		"two sums":       {strings.Replace(good, `"n":7`, `"sum":"x","n":7`, 1), manifest.ErrCorrupt},
		"number":         {strings.Replace(good, `"keys":1`, `"keys":2`, 1), manifest.ErrCorrupt},
		"empty":          {"", manifest.ErrCorrupt},
		"not an object":  {"[]", manifest.ErrCorrupt},
	} {
		if _, err := manifest.DecodeCommit([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v, want %v", name, err, c.want)
		}
	}
}

func TestEncodeRefusesNonsense(t *testing.T) {
	for name, spoil := range map[string]func(c *manifest.Commit){
		"writer":          func(c *manifest.Commit) { c.Writer = "../x" },
		"number":          func(c *manifest.Commit) { c.N = 0 },
		"no prev_hash":    func(c *manifest.Commit) { c.PrevHash = "" },
		"bad prev_hash":   func(c *manifest.Commit) { c.PrevHash = "sha256:xyz" },
		"no ops":          func(c *manifest.Commit) { c.Ops = nil },
		"unknown op":      func(c *manifest.Commit) { c.Ops[0].Op = "steal" },
		"missing from":    func(c *manifest.Commit) { c.Ops[0].From = nil },
		"field too many":  func(c *manifest.Commit) { c.Ops[5].Of = &manifest.Ref{} },
		"twice":           func(c *manifest.Commit) { c.Ops[1] = c.Ops[0] },
		"from is to":      func(c *manifest.Commit) { l := c.Ops[0].Segment.Location(); c.Ops[0].From = &l },
		"venue":           func(c *manifest.Commit) { c.Ops[0].Segment.Venue = "Binance" },
		"symbol":          func(c *manifest.Commit) { c.Ops[0].Segment.Symbol = "../../etc" },
		"stream":          func(c *manifest.Commit) { c.Ops[0].Segment.Stream = "a/b" },
		"hot":             func(c *manifest.Commit) { c.Ops[0].Segment.Tier = manifest.Hot },
		"key":             func(c *manifest.Commit) { c.Ops[0].Segment.Key = "/etc/passwd" },
		"date":            func(c *manifest.Commit) { c.Ops[0].Segment.Date = "2024-08-09" },
		"sequences":       func(c *manifest.Commit) { c.Ops[0].Segment.LastSeq++ },
		"sequence 0":      func(c *manifest.Commit) { c.Ops[0].Segment.FirstSeq = 0 },
		"times":           func(c *manifest.Commit) { c.Ops[0].Segment.LastTime = c.Ops[0].Segment.FirstTime - 1 },
		"half event time": func(c *manifest.Commit) { c.Ops[0].Segment.FirstEventTime = market.UndefTimestamp },
		"bytes":           func(c *manifest.Commit) { c.Ops[0].Segment.Bytes = 0 },
		"hash":            func(c *manifest.Commit) { c.Ops[0].Segment.Hash = "md5:00" },
		"keys":            func(c *manifest.Commit) { c.Ops[0].Segment.Keys = 101 },
		"kinds":           func(c *manifest.Commit) { c.Ops[0].Segment.Kinds[2]++ },
		"kinds wrap":      func(c *manifest.Commit) { c.Ops[0].Segment.Kinds = map[uint16]uint64{1: 1 << 63, 2: 1 << 63, 3: 100} },
		"native":          func(c *manifest.Commit) { c.Ops[0].Segment.Definition.Native = "\xff" },
		"gap detail":      func(c *manifest.Commit) { c.Ops[5].Gap.Detail = "\xff" },
		"gap symbol":      func(c *manifest.Commit) { c.Ops[5].Gap.Symbol = "" },
	} {
		c := everyOp()
		spoil(c)
		if b, err := c.Encode(); !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("%s: encoded as %s, error %v", name, b, err)
		}
	}
}

// FuzzDecodeCommit gives the text with its right sum, so that the fuzzer gets
// behind that check: what is accepted survives another round, and nothing panics.
func FuzzDecodeCommit(f *testing.F) {
	b, err := everyOp().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"ops":[{"op":"gap","gap":{}}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i := bytes.LastIndex(b, []byte(`"sum":`)); i >= 0 {
			b = b[:i+len(`"sum":`)]
			b = fmt.Appendf(bytes.Clone(b), "\"sha256:%x\"}\n", sha256.Sum256(b))
		}
		c, err := manifest.DecodeCommit(b)
		if err != nil {
			if !errors.Is(err, manifest.ErrCorrupt) && !errors.Is(err, manifest.ErrVersion) {
				t.Errorf("error is neither corrupt nor version: %v", err)
			}
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatalf("accepted %q, which cannot be encoded: %v", b, err)
		}
		c2, err := manifest.DecodeCommit(again)
		if err != nil || !reflect.DeepEqual(c, c2) {
			t.Errorf("accepted %q, which becomes %q, %v", b, again, err)
		}
		if err := manifest.NewState().Apply(c); err != nil && !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("replay: %v", err)
		}
	})
}

// TestDocument: docs/formats/manifest.md shows the golden commit, every field of
// a row and every operation.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "manifest.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "commit.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "```json\n")
	shown, rest, _ := strings.Cut(after, "```\n")
	if shown != string(golden) {
		t.Error("the document shows another commit than testdata/commit.json")
	}
	words := []string{"intent", "add", "move", "abort", "delete", "gap"}
	for _, v := range []any{manifest.Commit{}, manifest.Op{}, manifest.Segment{}, manifest.Gap{}} {
		for i := range reflect.TypeOf(v).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
			words = append(words, name)
		}
	}
	for _, word := range words {
		if !strings.Contains(rest, "`"+word+"`") {
			t.Errorf("the document does not explain %s", word)
		}
	}
}
