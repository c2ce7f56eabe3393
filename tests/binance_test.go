package tests

import (
	"sort"
	"testing"

	"chronicle/book"
	"chronicle/market"
	"chronicle/query"
)

// ticker is a venue's own best bid and offer.
type ticker struct {
	last               uint64
	bid, bsz, ask, asz float64
}

// TestBinanceBooks asks the archive for the book at each depth event's ts_recv and
// compares its best prices and sizes with the venue's own bookTicker.
//
// The first event of a book is the first that ends after the REST snapshot. On
// USD-M two of those arrived before the snapshot did and 6,545 after it; on spot
// one before and 3,448 after.
func TestBinanceBooks(t *testing.T) {
	for _, c := range []struct {
		rec                   recording
		symbol                string
		all, afterTheSnapshot int
	}{
		{usdm, "binance-usdm:btc_usdt", 6547, 6545},
		{spot, "binance-spot:btc_usdt", 3449, 3448},
	} {
		t.Run(c.rec.source, func(t *testing.T) {
			a, sum := c.rec.archived(t)
			if sum.Skipped != 0 || sum.Gaps != 0 {
				t.Errorf("skipped %d, gaps %d, want none", sum.Skipped, sum.Gaps)
			}
			all := binanceLines(t, c.rec)
			if uint64(len(all)) != sum.Messages {
				t.Errorf("%d messages, the recording has %d", sum.Messages, len(all))
			}
			right, late := checkBooks(t, a, c.symbol, all)
			if right != c.all || late != c.afterTheSnapshot {
				t.Errorf("%d books right (%d after the snapshot), want %d (%d)", right, late, c.all, c.afterTheSnapshot)
			}
			checkBinanceTrades(t, a, c.symbol, all)
		})
	}
}

func checkBooks(t *testing.T, a *query.Archive, symbol string, all []binanceLine) (right, late int) {
	t.Helper()
	var tickers []ticker
	var snapshot binanceLine
	for _, l := range all {
		if l.LastUpdateID != 0 {
			snapshot = l
		}
		if d := l.Data; l.Stream == "btcusdt@bookTicker" {
			tickers = append(tickers, ticker{d.Last, number(t, text(d.BidPx)), number(t, text(d.BidSz)), number(t, text(d.AskPx)), number(t, text(d.AskSz))})
		}
	}
	for _, l := range all {
		if l.Data.Event != "depthUpdate" || l.Data.Last <= snapshot.LastUpdateID {
			continue
		}
		i := sort.Search(len(tickers), func(i int) bool { return tickers[i].last > l.Data.Last }) - 1
		got, err := a.BookAt(t.Context(), query.BookRequest{Symbol: symbol, At: l.ts, Depth: 1, Clock: "recv"})
		if err != nil {
			t.Fatalf("book at %d: %v", l.ts, err)
		}
		if got.Condition != "available" || got.Sequence != l.Data.Last || got.TsRecv != l.ts {
			t.Fatalf("book at %d: condition %s, sequence %d, ts_recv %d; want sequence %d", l.ts, got.Condition, got.Sequence, got.TsRecv, l.Data.Last)
		}
		want := tickers[i]
		want.last = 0
		if best(got) == want {
			right++
			if l.ts > snapshot.ts {
				late++
			}
		}
	}
	return right, late
}

func best(b *query.BookAnswer) ticker {
	d := b.Definition
	px := func(l book.Level) (float64, float64) {
		return market.FixedToFloat(l.Price, d.PriceExponent), market.FixedToFloat(l.Size, d.SizeExponent)
	}
	var k ticker
	if len(b.Bids) > 0 && len(b.Asks) > 0 {
		k.bid, k.bsz = px(b.Bids[0])
		k.ask, k.asz = px(b.Asks[0])
	}
	return k
}

func checkBinanceTrades(t *testing.T, a *query.Archive, symbol string, all []binanceLine) {
	t.Helper()
	var want []trade
	for _, l := range all {
		if d := l.Data; d.Event == "trade" {
			side := "B"
			if d.BuyerMaker {
				side = "A"
			}
			want = append(want, trade{d.ID, number(t, d.Price), number(t, d.Size), side, d.TradeTime * 1e6})
		}
	}
	compareTrades(t, archivedTrades(t, a, symbol), want)
}
