package tests

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"chronicle/internal/testdata"
)

// The readers here are plain and slow on purpose: they share nothing with the
// product's decoders.

// lines calls use with each line of a recording.
func lines(t *testing.T, file string, use func(line string)) {
	t.Helper()
	f, err := os.Open(testdata.Path(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader
	if strings.HasSuffix(file, ".gz") {
		r, err = gzip.NewReader(f)
	} else {
		r, err = zstd.NewReader(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		use(sc.Text())
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
}

// binanceLine is one line of a Binance recording.
type binanceLine struct {
	ts   int64
	Data struct {
		Event      string          `json:"e"`
		First      uint64          `json:"U"`
		Last       uint64          `json:"u"`
		ID         uint64          `json:"t"`
		Price      string          `json:"p"`
		Size       string          `json:"q"`
		BuyerMaker bool            `json:"m"`
		BidPx      json.RawMessage `json:"b"`
		BidSz      json.RawMessage `json:"B"`
		AskPx      json.RawMessage `json:"a"`
		AskSz      json.RawMessage `json:"A"`
		TradeTime  int64           `json:"T"`

		// Named so that they do not fall, by their other case, into the fields above.
		SentAt  json.RawMessage `json:"E"`
		Ignored json.RawMessage `json:"M"`
	} `json:"data"`
	Stream       string `json:"stream"`
	LastUpdateID uint64 `json:"lastUpdateId"`
}

func binanceLines(t *testing.T, r recording) (all []binanceLine) {
	t.Helper()
	lines(t, r.file, func(line string) {
		ts, body, _ := strings.Cut(line, " ")
		var l binanceLine
		if err := json.Unmarshal([]byte(body), &l); err != nil {
			t.Fatalf("%s: %v", line[:60], err)
		}
		l.ts, _ = strconv.ParseInt(ts, 10, 64)
		all = append(all, l)
	})
	return all
}

// frames calls use with each received WebSocket frame of a .jsonl.zst recording.
func frames(t *testing.T, r recording, use func(data []byte)) {
	t.Helper()
	lines(t, r.file, func(line string) {
		var l struct{ T, Data string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.T == "recv" {
			use([]byte(l.Data))
		}
	})
}

// text takes the quotes off a JSON string.
func text(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }

// number reads a decimal for comparison of values whatever their spelling.
func number(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
