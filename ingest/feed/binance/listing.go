package binance

import (
	"strings"

	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// listing is what exchangeInfo says of an instrument.
type listing struct{ base, quote, tick, lot string }

// list reads the instruments of an exchangeInfo response.
func (s *Session) list(symbols []byte) {
	for a := scan.Elements(symbols); a.Next(); {
		var name string
		var l listing
		for o := scan.Members(a.Value); o.Next(); {
			switch text := scan.Text(o.Value); string(o.Key) {
			case "symbol":
				name = string(text)
			case "baseAsset":
				l.base = string(text)
			case "quoteAsset":
				l.quote = string(text)
			case "filters":
				l.steps(o.Value)
			}
		}
		if name != "" {
			s.listed[name] = l
		}
	}
}

// steps reads the smallest price and quantity from the filters.
func (l *listing) steps(filters []byte) {
	for a := scan.Elements(filters); a.Next(); {
		var kind, tick, step string
		for o := scan.Members(a.Value); o.Next(); {
			switch text := scan.Text(o.Value); string(o.Key) {
			case "filterType":
				kind = string(text)
			case "tickSize":
				tick = string(text)
			case "stepSize":
				step = string(text)
			}
		}
		switch kind {
		case "PRICE_FILTER":
			l.tick = plain(tick)
		case "LOT_SIZE":
			l.lot = plain(step)
		}
	}
}

// plain gives a decimal without trailing zeros: 0.01000000 is 0.01.
func plain(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// symbolOf gives btc_usdt for BTCUSDT, and keeps a contract's suffix: BTCUSD_PERP
// is btc_usd_perp.
func (s *Session) symbolOf(native string) string {
	l, ok := s.listed[native]
	pair, suffix, _ := strings.Cut(native, "_")
	if !ok || !strings.EqualFold(pair, l.base+l.quote) {
		return market.SplitPair(native)
	}
	symbol := market.PairSymbol(l.base, l.quote)
	if suffix != "" {
		symbol += "_" + market.CanonicalSymbol(suffix)
	}
	return symbol
}
