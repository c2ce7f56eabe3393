package market

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadSymbol is returned for text that cannot name an instrument.
var ErrBadSymbol = errors.New("not a symbol")

// SymbolID names an instrument: venue and symbol, both lower case, such as
// binance-usdm and btc_usdt. It is comparable and usable as a map key.
type SymbolID struct {
	Venue  string `json:"venue"`
	Symbol string `json:"symbol"`
}

// String gives "venue:symbol".
func (s SymbolID) String() string { return s.Venue + ":" + s.Symbol }

// Venues are the venue names that Chronicle uses, in alphabetical order.
var Venues = []string{"binance-coinm", "binance-spot", "binance-usdm", "bybit", "coinbase", "iex", "kraken", "okx", "sim", "xnas"}

// ParseSymbolID reads "venue:symbol". Upper case is folded.
func ParseSymbolID(s string) (SymbolID, error) {
	venue, symbol, ok := strings.Cut(strings.ToLower(strings.TrimSpace(s)), ":")
	if !ok || !pathSafe(venue) || !pathSafe(symbol) {
		return SymbolID{}, fmt.Errorf("%q: %w (write venue:symbol, for instance binance-usdm:btc_usdt)", s, ErrBadSymbol)
	}
	return SymbolID{Venue: venue, Symbol: symbol}, nil
}

// pathSafe tells whether s can be one element of a path on any store.
func pathSafe(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !symbolByte(s[i]) {
			return false
		}
	}
	return true
}

func symbolByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("_-.+=^#$~*", c) >= 0
}

// CanonicalSymbol folds a symbol to the characters a SymbolID may hold: lower
// case, separators "/" and " " as "_", and anything else as "~" and two hex digits.
func CanonicalSymbol(native string) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(native))
	for _, c := range []byte(strings.ToLower(strings.TrimSpace(native))) {
		switch {
		case c == '/' || c == ' ':
			out = append(out, '_')
		case symbolByte(c) && (c != '.' || len(out) > 0):
			out = append(out, c)
		default:
			out = append(out, '~', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}

// quoteCurrencies are tried longest first against the end of a pair written
// without a separator. They are the quote assets that Binance and Bybit list.
var quoteCurrencies = []string{"fdusd", "usdt", "usdc", "busd", "tusd", "usdp", "bidr", "dai", "usd", "eur", "gbp", "try", "brl", "jpy", "aud", "rub", "uah", "ngn", "zar", "pln", "ron", "ars", "mxn", "czk", "bnb", "btc", "eth", "trx", "xrp", "doge", "dot"}

// PairSymbol gives the symbol of a currency pair from its parts: ("BTC","USDT")
// is btc_usdt. The old codes XBT and XDG become btc and doge.
func PairSymbol(base, quote string) string {
	return CanonicalSymbol(currency(base) + "_" + currency(quote))
}

func currency(code string) string {
	switch code = strings.ToLower(code); code {
	case "xbt":
		return "btc"
	case "xdg":
		return "doge"
	}
	return code
}

// SplitPair gives the symbol of a pair written without a separator, by its
// known quote currency: "BTCUSDT" is btc_usdt. What follows an underscore is a
// contract's suffix and is kept: "BTCUSD_PERP" is btc_usd_perp. Text with no
// known quote currency is only folded.
func SplitPair(native string) string {
	pair, suffix, _ := strings.Cut(strings.ToLower(native), "_")
	for _, q := range quoteCurrencies {
		if base, ok := strings.CutSuffix(pair, q); ok && canQuote(base, q) {
			pair = base + "_" + q
			break
		}
	}
	if suffix != "" {
		pair += "_" + suffix
	}
	return CanonicalSymbol(pair)
}

// canQuote tells whether base and quote make a pair. Where base would be left with
// less than three letters, busd and tusd are the end of another base and usd:
// BNBUSD is bnb_usd, not bn_busd, and USDTUSD is usdt_usd.
func canQuote(base, quote string) bool {
	if quote == "busd" || quote == "tusd" {
		return len(base) > 2 && base != "usd"
	}
	return base != ""
}

// FoldSymbol reduces a spelling to what it has in common with other spellings
// of the same symbol: BTCUSDT, BTC-USDT, btc_usdt, XBTUSDT and XBT/USDT (as btcusdt).
func FoldSymbol(s string) string {
	s = strings.ToLower(s)
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '_' || r == '/' || r == ' ' })
	for i, p := range parts {
		parts[i] = currency(p)
	}
	folded := strings.Join(parts, "")
	for _, old := range []string{"xbt", "xdg"} {
		if rest, ok := strings.CutPrefix(folded, old); ok {
			folded = currency(old) + rest
		}
		if rest, ok := strings.CutSuffix(folded, old); ok {
			folded = rest + currency(old)
		}
	}
	return folded
}
