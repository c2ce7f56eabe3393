package checksum_test

import (
	"hash/crc32"
	"testing"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/market"
)

// small gives a book of three bids and two asks: price exponent -1, size -2.
func small() *book.Book {
	b := book.New(market.L2)
	ev := market.BookEvent{}
	for _, l := range []struct {
		side        market.Side
		price, size int64
	}{
		{market.Bid, 33661, 700}, {market.Bid, 33660, 50}, {market.Bid, 33650, 1234},
		{market.Ask, 33668, 8}, {market.Ask, 33700, 1000},
	} {
		ev.Entries = append(ev.Entries, market.Entry{Price: l.price, Size: l.size, Side: l.side, Action: market.Add})
	}
	b.Apply(&ev, market.KindSnapshot)
	return b
}

func TestText(t *testing.T) {
	for name, text := range map[string]string{
		checksum.Kraken: "336688" + "337001000" + "33661700" + "3366050" + "336501234",
		checksum.OKX:    "3366.1:7:3366.8:0.08:3366:0.5:3370:10:3365:12.34",
	} {
		got, ok := checksum.Compute(name, small(), -1, -2)
		if want := crc32.ChecksumIEEE([]byte(text)); !ok || got != want {
			t.Errorf("%s: %08x %v, want %08x", name, got, ok, want)
		}
	}
}

func TestEmptyBook(t *testing.T) {
	for _, name := range []string{checksum.Kraken, checksum.OKX} {
		if got, ok := checksum.Compute(name, book.New(market.L2), -1, -2); got != 0 || !ok {
			t.Errorf("%s of an empty book: %08x %v, want 0 true", name, got, ok)
		}
	}
}

func TestUnknownName(t *testing.T) {
	if _, ok := checksum.Compute("sha1", small(), -1, -2); ok || checksum.Known("sha1") || !checksum.Known(checksum.OKX) {
		t.Error("an unknown kind of checksum is taken for a known one")
	}
}

func TestNoAllocation(t *testing.T) {
	b := small()
	var c checksum.Checker
	allocs := testing.AllocsPerRun(100, func() {
		c.Compute(checksum.Kraken, b, -1, -2)
		c.Compute(checksum.OKX, b, -1, -2)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per run, want 0", allocs)
	}
}

func BenchmarkCompute(b *testing.B) {
	bk := book.New(market.L2)
	var ev market.BookEvent
	for i := range int64(100) {
		ev.Entries = append(ev.Entries,
			market.Entry{Price: 6180020 - i, Size: 1234567 * (i + 1), Side: market.Bid, Action: market.Add},
			market.Entry{Price: 6180021 + i, Size: 7654321 * (i + 1), Side: market.Ask, Action: market.Add})
	}
	bk.Apply(&ev, market.KindSnapshot)
	for _, name := range []string{checksum.Kraken, checksum.OKX} {
		b.Run(name, func(b *testing.B) {
			var c checksum.Checker
			b.ReportAllocs()
			for b.Loop() {
				c.Compute(name, bk, -2, -8)
			}
		})
	}
}
