package query

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"chronicle/market"
)

// listed makes an archive of some instruments, the first one moved to the warm tier.
func listed(t *testing.T) *root {
	t.Helper()
	r := newRoot(t, tempDir(t))
	m := r.mover()
	for i, d := range []market.Definition{
		{Venue: "binance-usdm", Symbol: "btc_usdt", Native: "BTCUSDT"},
		{Venue: "binance-spot", Symbol: "btc_usdt", Native: "BTCUSDT"},
		{Venue: "okx", Symbol: "btc-usdt", Native: "BTC-USDT"},
		{Venue: "kraken", Symbol: "eth_usd", Native: "ETH/USD"},
		{Venue: "xnas", Symbol: "aapl", Native: "AAPL"},
	} {
		d.BookType, d.PriceExponent = market.L2, -2
		s := r.stream(bookID(d.Venue, d.Symbol), d)
		s.event(market.KindBook, int64(100+i), int64(100+i))
		s.event(market.KindBook, int64(200+i), int64(200+i))
		if i == 0 {
			s.roll()
			m.move(s.sealed()[0], stepDone)
		}
		if i == 4 {
			s.gap(300)
		}
		s.close()
	}
	m.close()
	return r
}

func TestResolveSymbol(t *testing.T) {
	a := listed(t).open()
	defer a.Close()
	for spelling, want := range map[string]string{
		"binance-usdm:btc_usdt": "binance-usdm:btc_usdt", "BINANCE-USDM:BTC_USDT": "binance-usdm:btc_usdt",
		"binance-usdm:BTCUSDT": "binance-usdm:btc_usdt", "binance-spot:btc/usdt": "binance-spot:btc_usdt",
		"BTC-USDT": "okx:btc-usdt", "ETH/USD": "kraken:eth_usd", "ethusd": "kraken:eth_usd", "eth usd": "kraken:eth_usd",
		"AAPL": "xnas:aapl", " aapl ": "xnas:aapl",
	} {
		if got, err := a.ResolveSymbol(context.Background(), spelling); err != nil || got.String() != want {
			t.Errorf("%q is %v, %v, want %s", spelling, got, err, want)
		}
	}
	for _, spelling := range []string{"BTCUSDT", "btc_usdt", "btcusdt"} {
		_, err := a.ResolveSymbol(context.Background(), spelling)
		wantError(t, err, InvalidArgument, "symbol", "binance-spot:btc_usdt, binance-usdm:btc_usdt")
	}
	for _, spelling := range []string{"apl", "xnas:aap", "sim:aapl", "", ":", "_all", "../../etc"} {
		_, err := a.ResolveSymbol(context.Background(), spelling)
		wantError(t, err, NotFound, "symbol", "xnas:aapl")
	}
}

// TestResolveNewSymbol: an instrument is found as soon as it is there.
func TestResolveNewSymbol(t *testing.T) {
	r := listed(t)
	a := r.open()
	defer a.Close()
	_, err := a.ResolveSymbol(context.Background(), "SOLUSDT")
	wantError(t, err, NotFound, "symbol", "no such symbol")
	s := r.stream(bookID("sim", "sol_usdt"), market.Definition{Native: "SOLUSDT", BookType: market.L2})
	s.event(market.KindBook, 1, 1)
	s.close()
	if got, err := a.ResolveSymbol(context.Background(), "SOLUSDT"); err != nil || got.Symbol != "sol_usdt" {
		t.Errorf("a new instrument is %v, %v", got, err)
	}
}

func TestEmptyArchive(t *testing.T) {
	a := newRoot(t, tempDir(t)).open()
	defer a.Close()
	_, err := a.ResolveSymbol(context.Background(), "btc_usdt")
	wantError(t, err, NotFound, "symbol", "the archive is empty")
	if symbols, err := a.Symbols(context.Background()); err != nil || len(symbols) != 0 {
		t.Errorf("an empty archive lists %v, %v", symbols, err)
	}
}

func TestSymbols(t *testing.T) {
	a := listed(t).open()
	defer a.Close()
	for range 2 { // the second time from what was kept
		symbols, err := a.Symbols(context.Background())
		check(t, err)
		var text []string
		for _, s := range symbols {
			b, err := json.Marshal(s)
			check(t, err)
			text = append(text, string(b))
		}
		if len(symbols) != 5 || !slices.IsSortedFunc(symbols, func(x, y SymbolInfo) int { return strings.Compare(x.Symbol, y.Symbol) }) {
			t.Fatalf("symbols %s", text)
		}
		want := `{"symbol":"xnas:aapl","native":"AAPL","book_type":"l2","price_exponent":-2,"size_exponent":0,"streams":["book"],` +
			`"records":4,"condition":"degraded","first":"1970-01-01T00:00:00.000000104Z","last":"1970-01-01T00:00:00.000000300Z"}`
		if text[4] != want {
			t.Errorf("got  %s\nwant %s", text[4], want)
		}
		if s := symbols[1]; s.Symbol != "binance-usdm:btc_usdt" || s.Records != 3 || s.Condition != ConditionAvailable || s.First != 100 || s.Last != 200 {
			t.Errorf("moved symbol %+v", s)
		}
	}
}

func TestSegments(t *testing.T) {
	a := listed(t).open()
	defer a.Close()
	all, err := a.Segments(context.Background(), SegmentFilter{})
	check(t, err)
	if len(all) != 5 {
		t.Fatalf("segments %+v", all)
	}
	one, err := a.Segments(context.Background(), SegmentFilter{Symbol: "binance-usdm:BTCUSDT", Stream: "book", Start: 200, End: 201})
	check(t, err)
	if len(one) != 1 || one[0].Tier != TierWarm || !one[0].Sealed || !strings.HasPrefix(one[0].Hash, "sha256:") || one[0].Records != 3 {
		t.Errorf("segments %+v", one)
	}
	if none, err := a.Segments(context.Background(), SegmentFilter{Symbol: "aapl", Start: 301}); err != nil || len(none) != 0 {
		t.Errorf("segments %+v, %v", none, err)
	}
}
