package market

import "testing"

func TestPattern(t *testing.T) {
	id := SymbolID{Venue: "kraken", Symbol: "btc_usd"}
	for pattern, want := range map[string]bool{
		"*": true, "btc_*": true, "BTC_USD": true, "kraken:*": true, "*:btc_usd": true, "kraken:btc_us?": true, "[a-c]*": true,
		"eth_*": false, "okx:*": false, "kraken:eth_*": false, "btc": false,
	} {
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		if got := p.Match(id); got != want {
			t.Errorf("%q: %v, want %v", pattern, got, want)
		}
	}
	for _, bad := range []string{"", ":", "kraken:", ":btc", "[", "a/b"} {
		if _, err := ParsePattern(bad); err == nil {
			t.Errorf("%q was taken for a pattern", bad)
		}
	}
}
