package checksum_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/internal/testdata"
	"chronicle/market"
)

// eachFrame calls f with every frame that was received in a recording.
func eachFrame(t *testing.T, name string, f func(frame []byte)) {
	t.Helper()
	file, err := os.Open(testdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r := bufio.NewReader(z)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 1 {
			var v struct{ T, Data string }
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatal(err)
			}
			if v.T == "recv" {
				f([]byte(v.Data))
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// instrument is one book of a recording, with its checker.
type instrument struct {
	book              *book.Book
	priceExp, sizeExp int8
	depth             int
}

func (in *instrument) entries(t *testing.T, side market.Side, action market.Action, rows [][]json.RawMessage) []market.Entry {
	t.Helper()
	var out []market.Entry
	for _, row := range rows {
		e := market.Entry{Side: side, Action: action}
		e.Price = in.number(t, row[0], in.priceExp)
		e.Size = in.number(t, row[1], in.sizeExp)
		out = append(out, e)
	}
	return out
}

func (in *instrument) number(t *testing.T, raw json.RawMessage, exp int8) int64 {
	t.Helper()
	v, err := market.ParseFixed(strings.Trim(string(raw), `"`), exp)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func decimals(raw json.RawMessage) int8 {
	s := strings.Trim(string(raw), `"`)
	return -int8(len(s) - strings.IndexByte(s, '.') - 1)
}

type krakenDict struct {
	As, Bs, A, B [][]json.RawMessage
	C            string
}

// krakenFrame splits a book frame: [channel, dict, (dict), "book-1000", pair].
func krakenFrame(frame []byte) (pair string, dicts []krakenDict) {
	var parts []json.RawMessage
	if json.Unmarshal(frame, &parts) != nil || len(parts) < 4 || !strings.HasPrefix(string(parts[len(parts)-2]), `"book`) {
		return "", nil
	}
	for _, raw := range parts[1 : len(parts)-2] {
		var d krakenDict
		if json.Unmarshal(raw, &d) == nil {
			dicts = append(dicts, d)
		}
	}
	return string(parts[len(parts)-1]), dicts
}

func TestKrakenRecording(t *testing.T) {
	books := map[string]*instrument{}
	var checker checksum.Checker
	seen, good := 0, 0
	eachFrame(t, "crypto/KRAKEN.jsonl.zst", func(frame []byte) {
		pair, dicts := krakenFrame(frame)
		if dicts == nil {
			return
		}
		in := books[pair]
		if in == nil {
			first := dicts[0].As[0]
			in = &instrument{book.New(market.L2), decimals(first[0]), decimals(first[1]), 1000}
			books[pair] = in
		}
		want, ok := applyKraken(t, in, dicts)
		if !ok {
			return
		}
		seen++
		if got, _ := checker.Compute(checksum.Kraken, in.book, in.priceExp, in.sizeExp); got == want {
			good++
		}
	})
	if seen != 4269 || good != seen {
		t.Errorf("%d of %d checksums match, want all of 4269", good, seen)
	}
}

func applyKraken(t *testing.T, in *instrument, dicts []krakenDict) (sum uint32, ok bool) {
	for _, d := range dicts {
		ev, kind := market.BookEvent{}, market.KindBook
		if d.As != nil || d.Bs != nil {
			kind = market.KindSnapshot
		}
		ev.Entries = append(in.entries(t, market.Ask, market.Add, d.As), in.entries(t, market.Bid, market.Add, d.Bs)...)
		ev.Entries = append(ev.Entries, in.entries(t, market.Ask, market.Modify, d.A)...)
		ev.Entries = append(ev.Entries, in.entries(t, market.Bid, market.Modify, d.B)...)
		if r := in.book.Apply(&ev, kind); r.Invalid+r.Duplicate > 0 { // venues also remove levels that we never had
			t.Errorf("frame applied with %+v", r)
		}
		if d.C != "" {
			v, err := strconv.ParseUint(d.C, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			sum, ok = uint32(v), true
		}
	}
	in.book.Truncate(market.Bid, in.depth, nil)
	in.book.Truncate(market.Ask, in.depth, nil)
	return sum, ok
}

type okxFrame struct {
	Arg    struct{ Channel, InstID string }
	Action string
	Data   []struct {
		Asks, Bids [][]json.RawMessage
		Checksum   int32
	}
}

func TestOKXRecording(t *testing.T) {
	books := map[string]*instrument{}
	var checker checksum.Checker
	seen, good := 0, 0
	eachFrame(t, "crypto/OKX.jsonl.zst", func(frame []byte) {
		var f okxFrame
		if err := json.Unmarshal(frame, &f); err != nil || f.Arg.Channel != "books" || len(f.Data) != 1 {
			return
		}
		in := books[f.Arg.InstID]
		if in == nil {
			in = &instrument{book.New(market.L2), -8, -8, 0}
			books[f.Arg.InstID] = in
		}
		kind, action := market.KindBook, market.Modify
		if f.Action == "snapshot" {
			kind, action = market.KindSnapshot, market.Add
		}
		d := f.Data[0]
		ev := market.BookEvent{Entries: append(in.entries(t, market.Bid, action, d.Bids), in.entries(t, market.Ask, action, d.Asks)...)}
		if r := in.book.Apply(&ev, kind); r.Invalid+r.Duplicate > 0 {
			t.Errorf("%s frame of %s applied with %+v", f.Action, f.Arg.InstID, r)
		}
		seen++
		if got, _ := checker.Compute(checksum.OKX, in.book, in.priceExp, in.sizeExp); got == uint32(d.Checksum) {
			good++
		}
	})
	if seen != 290 || good != seen {
		t.Errorf("%d of %d checksums match, want all of 290", good, seen)
	}
}
