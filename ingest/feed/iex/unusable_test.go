package iex

import (
	"encoding/hex"
	"testing"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

func TestEveryTypeAtItsLength(t *testing.T) {
	for _, feed := range []*Feed{Deep, Tops, DeepPlus} {
		for typ, n := range feed.lengths {
			b := make([]byte, max(n, 18), 100)
			b[0], b[1] = byte(typ), '8'
			copy(b[10:], "ABC     ")
			f := newFixture(feed)
			f.Message(1, 1, b)
			if n == 0 {
				if s := f.c.Stats(); s.Messages != 0 || s.SkippedBy["unknown_type"] != 1 || s.Gaps != 0 {
					t.Errorf("%s: unknown type %#x: %+v", feed.Name, typ, s)
				}
				continue
			}
			f.Message(2, 2, b[:n-1])
			f.Message(3, 3, b[:1])
			f.Message(4, 4, append(b[:n:n], 1, 2, 3)) // a later version's
			if s := f.c.Stats(); s.Messages != 2 || s.SkippedBy["bad_length"] != 2 {
				t.Errorf("%s: type %c: %+v, want two messages and two of a bad length", feed.Name, typ, s)
			}
			if err := f.q.Check(); err != nil {
				t.Errorf("%s: type %c: %v", feed.Name, typ, err)
			}
		}
	}
}

func TestUnusableMessages(t *testing.T) {
	negative := func(message string, at int) string { // sets the sign of the number that ends there
		b, _ := hex.DecodeString(message)
		b[at] |= 0x80
		return hex.EncodeToString(b)
	}
	const all = "" // a gap of every symbol
	for _, c := range []struct {
		name, message, reason string
		gap                   bool
		symbol                string
		feed                  *Feed
	}{
		{"a level without its last byte", levelBuy[:len(levelBuy)-2], "bad_length", true, "v", Deep},
		{"a level that ends in its symbol", levelBuy[:30], "bad_length", true, all, Deep},
		{"a level of a negative price", negative(levelBuy, 29), "number_out_of_range", true, "v", Deep},
		{"a level before 1970", negative(levelBuy, 9), "number_out_of_range", true, "v", Deep},
		{"a level without a symbol", levelBuy[:20] + "2020202020202020" + levelBuy[36:], "no_symbol", true, all, Deep},
		{"nothing", "", "bad_length", true, all, Deep},
		{"a trade of a negative price", negative(tradeIBKR, 29), "number_out_of_range", false, all, Deep},
		{"a status without its last byte", statusZCMD[:len(statusZCMD)-2], "bad_length", false, all, Deep},
		{"a quote in DEEP", quoteATSG, "unknown_type", false, all, Deep},
		{"a quote of a negative bid", negative(quoteATSG, 29), "number_out_of_range", false, all, Tops},
		{"a quote of a negative offer", negative(quoteATSG, 37), "number_out_of_range", false, all, Tops},
		{"an order of no side", "6142" + addIBKR[4:], "bad_field", true, "ibkr", DeepPlus},
		{"an order of a negative price", negative(addIBKR, 37), "number_out_of_range", true, "ibkr", DeepPlus},
		{"an execution without its last byte", executedIBKR[:len(executedIBKR)-2], "bad_length", true, "ibkr", DeepPlus},
		{"a clear that ends in its symbol", clearIBKR[:30], "bad_length", true, all, DeepPlus},
	} {
		f := newFixture(c.feed)
		first := map[*Feed]string{Deep: levelBuy, Tops: quoteATSG, DeepPlus: addIBKR}[c.feed]
		f.say(t, first, c.message)
		s := f.c.Stats()
		if s.Messages != 1 || s.Skipped != 1 || s.SkippedBy[c.reason] != 1 {
			t.Errorf("%s: %+v, want it skipped for %s", c.name, s, c.reason)
		}
		gaps, _ := emittest.JSON[market.Gap](f.q)
		if !c.gap {
			if len(gaps) != 0 {
				t.Errorf("%s: gaps %+v, want none", c.name, gaps)
			}
			continue
		}
		if len(gaps) != 1 || gaps[0].Symbol != c.symbol || gaps[0].FirstSeq != 2 || gaps[0].LastSeq != 2 ||
			gaps[0].Cause != market.GapSource || gaps[0].Channel != c.feed.Name || gaps[0].Venue != "iex" || gaps[0].Detail != c.reason {
			t.Errorf("%s: gaps %+v, want one of %q", c.name, gaps, c.symbol)
		}
	}
}

func FuzzDecoder(f *testing.F) {
	for _, m := range []string{levelBuy, levelSell, quoteATSG, tradeIBKR, breakTFC, addIBKR, modifyIBKR, deleteIBKR, executedIBKR, directory, systemStart, statusZCMD, clearIBKR} {
		b, _ := hex.DecodeString(m)
		f.Add(uint8(0), append([]byte{byte(len(b))}, b...))
	}
	open, _ := hex.DecodeString("3800" + levelBuy[4:])
	f.Add(uint8(3), append(append([]byte{30}, open...), append([]byte{30}, open...)...))
	f.Fuzz(func(t *testing.T, skip uint8, b []byte) {
		for _, feed := range []*Feed{Deep, Tops, DeepPlus} {
			x := newFixture(feed)
			seq := uint64(skip & 1)
			for rest := b; len(rest) > 0; seq++ {
				n := min(int(rest[0]), len(rest)-1)
				if n == 0 && skip&2 != 0 {
					x.NewSession()
				}
				x.Message(int64(seq), seq, rest[1:1+n])
				rest = rest[1+n:]
				if skip&4 != 0 {
					seq++
				}
			}
			x.Finish()
			if err := x.q.Check(); err != nil {
				t.Fatal(err)
			}
			if x.held != 0 {
				t.Fatalf("%d levels are held after the end", x.held)
			}
		}
	})
}
