package market

import (
	"fmt"
	"path"
	"strings"
)

// Pattern selects instruments: "btc_*" by symbol on any venue, "kraken:*" by
// both. * stands for any run of characters, ? for one, [a-f] for one of several.
// Case is ignored.
type Pattern struct {
	venue, symbol string
}

// ParsePattern reads a pattern.
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{venue: "*", symbol: strings.ToLower(s)}
	if venue, symbol, ok := strings.Cut(p.symbol, ":"); ok {
		p.venue, p.symbol = venue, symbol
	}
	for _, part := range []string{p.venue, p.symbol} {
		if _, err := path.Match(part, ""); err != nil || part == "" || strings.Contains(part, "/") {
			return Pattern{}, fmt.Errorf("%q is not a pattern of symbols: write btc_*, kraken:* or kraken:btc_usd", s)
		}
	}
	return p, nil
}

// Match tells whether the pattern selects an instrument.
func (p Pattern) Match(id SymbolID) bool {
	venue, _ := path.Match(p.venue, id.Venue) // parsed: it is a pattern
	symbol, _ := path.Match(p.symbol, id.Symbol)
	return venue && symbol
}
