package tests

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"chronicle/query"
)

// ladder is the top of a book in fixed point: price and size per level, best first.
type ladder struct{ bids, asks [][2]int64 }

// archivedLadders reads the book after every event of a symbol.
func archivedLadders(t *testing.T, a *query.Archive, symbol string, depth int) (all []ladder) {
	t.Helper()
	req := query.RangeRequest{Schema: "mbp-" + strconv.Itoa(depth), Symbols: []string{symbol}, PriceType: "fixed"}
	eachBatch(t, a, req, func(rec arrow.RecordBatch) {
		cols := map[string]*array.Int64{}
		for _, side := range []string{"bid", "ask"} {
			for i := range depth {
				for _, f := range []string{"px", "sz"} {
					name := fmt.Sprintf("%s_%s_%02d", side, f, i)
					cols[name] = column[*array.Int64](t, rec, name)
				}
			}
		}
		levels := func(side string, row int) (out [][2]int64) {
			for i := range depth {
				px, sz := cols[fmt.Sprintf("%s_px_%02d", side, i)], cols[fmt.Sprintf("%s_sz_%02d", side, i)]
				if px.IsNull(row) {
					break
				}
				out = append(out, [2]int64{px.Value(row), sz.Value(row)})
			}
			return out
		}
		for row := range int(rec.NumRows()) {
			all = append(all, ladder{levels("bid", row), levels("ask", row)})
		}
	})
	return all
}

// TestKrakenChecksums recomputes Kraken's CRC32 of the top ten from the archived
// book after every update: 4,269 of 4,269.
func TestKrakenChecksums(t *testing.T) {
	a, sum := kraken.archived(t)
	if sum.ETL.ChecksumsGood != 4269 || sum.ETL.ChecksumsBad != 0 {
		t.Errorf("in passing: %d good, %d bad", sum.ETL.ChecksumsGood, sum.ETL.ChecksumsBad)
	}
	want := map[string][]string{} // per symbol, per book frame; "" for a snapshot
	frames(t, kraken, func(data []byte) {
		var f []json.RawMessage
		if json.Unmarshal(data, &f) != nil || len(f) < 4 || !strings.HasPrefix(text(f[len(f)-2]), "book-") {
			return
		}
		var body struct{ C string }
		if err := json.Unmarshal(f[len(f)-3], &body); err != nil {
			t.Fatal(err)
		}
		symbol := krakenSymbol(text(f[len(f)-1]))
		want[symbol] = append(want[symbol], body.C)
	})
	right := 0
	for symbol, sums := range want {
		got := archivedLadders(t, a, symbol, 10)
		if len(got) != len(sums) {
			t.Errorf("%s: %d book events out, %d in", symbol, len(got), len(sums))
			continue
		}
		for i, c := range sums {
			if c != "" && c == strconv.FormatUint(uint64(krakenCRC(got[i])), 10) {
				right++
			}
		}
	}
	if right != 4269 {
		t.Errorf("%d of 4269 checksums right", right)
	}
	for symbol, trades := range krakenTrades(t) {
		compareTrades(t, archivedTrades(t, a, symbol), trades)
	}
}

func krakenCRC(l ladder) uint32 {
	var s strings.Builder
	for _, side := range [][][2]int64{l.asks, l.bids} {
		for _, lv := range side {
			fmt.Fprintf(&s, "%d%d", lv[0], lv[1])
		}
	}
	return crc32.ChecksumIEEE([]byte(s.String()))
}

// TestOKXChecksums does the same with OKX's checksum of the top 25: 290 of 290.
func TestOKXChecksums(t *testing.T) {
	a, sum := okx.archived(t)
	if sum.ETL.ChecksumsGood != 290 || sum.ETL.ChecksumsBad != 0 {
		t.Errorf("in passing: %d good, %d bad", sum.ETL.ChecksumsGood, sum.ETL.ChecksumsBad)
	}
	want := map[string][]int32{}
	okxFrames(t, func(f okxFrame) {
		if f.Arg.Channel == "books" {
			symbol := okxSymbol(f.Arg.InstID)
			want[symbol] = append(want[symbol], *f.Data[0].Checksum)
		}
	})
	exponents := map[string][2]int8{}
	symbols, err := a.Symbols(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		exponents[s.Symbol] = [2]int8{s.PriceExponent, s.SizeExponent}
	}
	right := 0
	for symbol, sums := range want {
		got := archivedLadders(t, a, symbol, 25)
		if len(got) != len(sums) {
			t.Fatalf("%s: %d book events out, %d in", symbol, len(got), len(sums))
		}
		for i, c := range sums {
			if okxCRC(got[i], exponents[symbol]) == c {
				right++
			}
		}
	}
	if right != 290 {
		t.Errorf("%d of 290 checksums right", right)
	}
	for symbol, trades := range okxTrades(t) {
		compareTrades(t, archivedTrades(t, a, symbol), trades)
	}
}

func okxCRC(l ladder, exp [2]int8) int32 {
	var parts []string
	for i := range 25 {
		for _, side := range [][][2]int64{l.bids, l.asks} {
			if i < len(side) {
				parts = append(parts, decimal(side[i][0], exp[0]), decimal(side[i][1], exp[1]))
			}
		}
	}
	return int32(crc32.ChecksumIEEE([]byte(strings.Join(parts, ":"))))
}

// decimal writes a fixed-point number the long way.
func decimal(v int64, exp int8) string {
	s := fmt.Sprintf("%0*d", int(-exp)+1, v)
	if exp == 0 {
		return s
	}
	s = s[:len(s)-int(-exp)] + "." + s[len(s)-int(-exp):]
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
