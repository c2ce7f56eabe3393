package exchangetest

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chronicle/internal/testdata"
)

// timeline loads a recording without serving it.
func timeline(t *testing.T, venueName, file string) (venue, []frame) {
	t.Helper()
	l, err := recording(venueName, testdata.Path(t, file), 0)
	if err != nil {
		t.Fatal(err)
	}
	return l.venue, l.frames
}

// The model is proved by the venue's checksums, which no line of it knows of.
func TestTheBooksMatchTheVenuesChecksums(t *testing.T) {
	v, frames := timeline(t, "kraken", krakenFile)
	books := newBooks(v, frames)
	good, all := 0, 0
	for i := range frames {
		f := &frames[i]
		if f.change == nil {
			continue
		}
		books[f.key].apply(f)
		var want string
		if f.change.meta == nil {
			continue
		}
		if err := json.Unmarshal(f.change.meta, &want); err != nil {
			t.Fatal(err)
		}
		all++
		if want == jsonNumber(krakenChecksum(books[f.key])) {
			good++
		}
	}
	if good != 4269 || all != 4269 {
		t.Errorf("kraken: %d of %d checksums match, want 4269 of 4269", good, all)
	}
	v, frames = timeline(t, "okx", okxFile)
	books = newBooks(v, frames)
	good, all = 0, 0
	for i := range frames {
		f := &frames[i]
		if f.change == nil {
			continue
		}
		books[f.key].apply(f)
		var data okxBook
		if err := json.Unmarshal(f.change.meta, &data); err != nil {
			t.Fatal(err)
		}
		all++
		if data.Checksum == int32(okxChecksum(books[f.key])) {
			good++
		}
	}
	if good != 290 || all != 290 {
		t.Errorf("okx: %d of %d checksums match, want 290 of 290", good, all)
	}
}

func jsonNumber(n uint32) string { return string(marshal(n)) }

// The books of Binance are proved by its own best bid and offer: of every event
// from the first that the recorded snapshot does not contain.
func TestTheBooksMatchTheVenuesTickers(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want int
	}{"binance-usdm": {usdmFile, 6547}, "binance-spot": {spotFile, 3449}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, frames := timeline(t, name, c.file)
			tickers := tickersOf(t, frames)
			books := newBooks(v, frames)
			good, all := 0, 0
			for i := range frames {
				f := &frames[i]
				if f.change == nil {
					continue
				}
				b := books[f.key]
				b.apply(f)
				at, _ := slices.BinarySearchFunc(tickers, b.seq+1, func(k ticker, u uint64) int { return cmp.Compare(k.seq, u) })
				if !b.known || at == 0 {
					continue
				}
				all++
				top := b.best(1)
				if len(top.Bids) == 1 && len(top.Asks) == 1 && tickers[at-1].best == [4]string{top.Bids[0].Price, top.Bids[0].Size, top.Asks[0].Price, top.Asks[0].Size} {
					good++
				}
			}
			if good != c.want || all != c.want {
				t.Errorf("%d of %d books agree with the ticker, want %d", good, all, c.want)
			}
		})
	}
}

// ticker is Binance's best bid and offer after an update.
type ticker struct {
	seq  uint64
	best [4]string
}

// tickersOf gives the tickers of a recording; their numbers rise.
func tickersOf(t *testing.T, frames []frame) (out []ticker) {
	t.Helper()
	for _, f := range frames {
		if f.key.channel != "bookTicker" {
			continue
		}
		seq, err := strconv.ParseUint(member(f.data, "u"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		best := [4]string{member(f.data, "b"), member(f.data, "B"), member(f.data, "a"), member(f.data, "A")}
		for i := range best {
			best[i] = plain(strings.Trim(best[i], `"`))
		}
		out = append(out, ticker{seq, best})
	}
	return out
}
