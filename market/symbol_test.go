package market

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseSymbolID(t *testing.T) {
	for text, want := range map[string]SymbolID{
		"binance-usdm:btc_usdt":             {"binance-usdm", "btc_usdt"},
		" XNAS:AAPL ":                       {"xnas", "aapl"},
		"xnas:brk.b":                        {"xnas", "brk.b"},
		"okx:btc-usd-220527":                {"okx", "btc-usd-220527"},
		"kraken:" + AllSymbol:               {"kraken", AllSymbol},
		"xnas:" + CanonicalSymbol("ZVZZT#"): {"xnas", "zvzzt#"},
	} {
		got, err := ParseSymbolID(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
		if again, err := ParseSymbolID(got.String()); err != nil || again != got {
			t.Errorf("%q written and read again: %v, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "aapl", ":aapl", "xnas:", "xnas:..", "xnas:a/b", "xnas:a:b", "../x:aapl", "xnas:a b", "xnas:a\x00",
		`xnas:a\b`, "xnas:" + strings.Repeat("a", 129)} {
		if got, err := ParseSymbolID(text); !errors.Is(err, ErrBadSymbol) {
			t.Errorf("%q: %v, %v; want ErrBadSymbol", text, got, err)
		}
	}
}

func TestVenuesAreSortedNames(t *testing.T) {
	if !slices.IsSorted(Venues) {
		t.Error("the venues are not in alphabetical order")
	}
	for _, v := range Venues {
		if !pathSafe(v) {
			t.Errorf("venue %q cannot be a folder", v)
		}
	}
}

// Whatever a venue calls an instrument, the folded name is a valid symbol, and
// folding it again changes nothing.
func TestCanonicalSymbol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		native := rapid.StringN(1, 10, 40).Draw(t, "native")
		if strings.TrimSpace(native) == "" {
			return
		}
		got := CanonicalSymbol(native)
		if _, err := ParseSymbolID("sim:" + got); err != nil {
			t.Fatalf("%q became %q: %v", native, got, err)
		}
		if again := CanonicalSymbol(got); again != got {
			t.Fatalf("%q became %q, and that %q", native, got, again)
		}
	})
	for native, want := range map[string]string{"BRK B": "brk_b", "ADA/XBT": "ada_xbt", ".SPX": "~2espx", "A:B": "a~3ab", "BRK.A": "brk.a"} {
		if got := CanonicalSymbol(native); got != want {
			t.Errorf("%q: %q, want %q", native, got, want)
		}
	}
}

func TestSplitPair(t *testing.T) {
	for native, want := range map[string]string{
		"BTCUSDT": "btc_usdt", "ethbtc": "eth_btc", "BTCUSD_PERP": "btc_usd_perp", "BTCUSDT_240927": "btc_usdt_240927",
		"BTCFDUSD": "btc_fdusd", "USDTTRY": "usdt_try", "BTCBUSD": "btc_busd", "BNBBUSD": "bnb_busd", "ETHTUSD": "eth_tusd",
		"BNBUSD_PERP": "bnb_usd_perp", "DOTUSD_PERP": "dot_usd_perp", "ARBUSD": "arb_usd", "USDTUSD": "usdt_usd",
		"1000SHIBUSDT": "1000shib_usdt", "USDT": "usdt", "XYZ": "xyz", "": "",
	} {
		if got := SplitPair(native); got != want {
			t.Errorf("%q: %q, want %q", native, got, want)
		}
	}
}

func TestPairSymbol(t *testing.T) {
	for _, c := range [][3]string{{"XBT", "USDT", "btc_usdt"}, {"ADA", "XBT", "ada_btc"}, {"XDG", "EUR", "doge_eur"}, {"eth", "chf", "eth_chf"}} {
		if got := PairSymbol(c[0], c[1]); got != c[2] {
			t.Errorf("%s, %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestFoldSymbol(t *testing.T) {
	for want, spellings := range map[string][]string{
		"btcusdt":    {"BTCUSDT", "BTC-USDT", "btc_usdt", "XBT/USDT", "XBTUSDT", "btc usdt"},
		"ethbtc":     {"ETHXBT", "ETH/XBT", "eth_btc", "ETH-BTC"},
		"dogeusd":    {"XDGUSD", "XDG/USD", "doge_usd"},
		"btcusdperp": {"BTCUSD_PERP", "btc_usd_perp"},
		"aapl":       {"AAPL", "aapl"},
	} {
		for _, s := range spellings {
			if got := FoldSymbol(s); got != want {
				t.Errorf("%q: %q, want %q", s, got, want)
			}
		}
	}
}
