package tests

import (
	"fmt"
	"path/filepath"
	"testing"

	"chronicle/market"
	"chronicle/query"
	"chronicle/tape"
)

// moment is the book that a follower of the tape has after the last message
// captured at a time.
type moment struct {
	recv   int64
	digest uint64
	good   bool
}

// TestTapeAgreesWithArchive: wherever a strategy that follows the raw queue calls
// its book good, the archive gives the same book for that moment.
func TestTapeAgreesWithArchive(t *testing.T) {
	for _, c := range []struct {
		recording
		symbols []string
		good    int // percent of the moments that must be good at least
	}{
		{usdm, []string{"binance-usdm:btc_usdt"}, 99},
		{spot, []string{"binance-spot:btc_usdt"}, 99},
		{kraken, []string{"kraken:ada_btc", "kraken:xmr_usd", "kraken:eth_chf"}, 99},
		{okx, []string{"okx:btc_usdt"}, 99},
		{itch, nil, 0},
	} {
		t.Run(c.source, func(t *testing.T) {
			root := t.TempDir()
			c.replay(t, root)
			a, err := query.Open(t.Context(), query.Config{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if c.symbols == nil {
				all, err := a.Symbols(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range all[:min(len(all), 100)] {
					c.symbols = append(c.symbols, s.Symbol)
				}
			}
			compared := 0
			for _, symbol := range c.symbols {
				compared += compareTape(t, a, root, symbol, c.good)
			}
			if compared == 0 {
				t.Error("no moment was compared")
			}
		})
	}
}

// compareTape follows a symbol and compares its good moments with the archive.
func compareTape(t *testing.T, a *query.Archive, root, symbol string, good int) (compared int) {
	t.Helper()
	moments := followTape(t, root, symbol)
	right := 0
	for i, m := range moments {
		if !m.good {
			continue
		}
		right++
		if i%max(len(moments)/100, 1) != 0 {
			continue
		}
		b, err := a.BookAt(t.Context(), query.BookRequest{Symbol: symbol, At: m.recv, Depth: 1, Clock: query.ClockRecv})
		if err != nil {
			t.Fatalf("%s at %d: %v", symbol, m.recv, err)
		}
		if want := fmt.Sprintf("%016x", m.digest); b.Proof.Digest != want {
			t.Errorf("%s at %d: the archive's book has digest %s, the follower's %s", symbol, m.recv, b.Proof.Digest, want)
		}
		compared++
	}
	if right*100 < good*len(moments) {
		t.Errorf("%s: %d of %d moments are good on the tape, want %d %%", symbol, right, len(moments), good)
	}
	return compared
}

// followTape gives the book's states along the tape.
func followTape(t *testing.T, root, symbol string) (all []moment) {
	t.Helper()
	id, err := market.ParseSymbolID(symbol)
	if err != nil {
		t.Fatal(err)
	}
	f := tape.NewFollower(id)
	r, err := tape.Open(filepath.Join(root, "queues", "raw_main.q"), tape.Oldest(), tape.Options{Want: f.Wants})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	last := int64(0)
	for {
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			return all
		}
		if !f.Apply(m) {
			continue
		}
		now := moment{recv: m.TsRecv, digest: f.Book().Digest(), good: f.Good()}
		switch {
		case m.TsRecv < last: // the archive's clock does not go back
			now.recv = last
			fallthrough
		case m.TsRecv == last && len(all) > 0:
			all[len(all)-1] = now
		default:
			all = append(all, now)
		}
		last = now.recv
	}
}
