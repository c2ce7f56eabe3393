package bybit

import (
	"bytes"
	"strings"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

const spot = "spot"

// Response reads an instruments-info response; others are counted only.
func (s *Session) Response(_ int64, _, url, body []byte) {
	if !scan.Valid(body) {
		s.e.Skip(emit.BadJSON)
		return
	}
	if bytes.Contains(url, []byte("/instruments-info")) {
		s.list(member(body, "result"))
	}
	s.e.Message()
}

func (s *Session) list(result []byte) {
	category := string(scan.Text(member(result, "category")))
	for a := scan.Elements(member(result, "list")); a.Next(); {
		var symbol string
		var l listing
		for o := scan.Members(a.Value); o.Next(); {
			switch text := string(scan.Text(o.Value)); string(o.Key) {
			case "symbol":
				symbol = text
			case "baseCoin":
				l.base = text
			case "quoteCoin":
				l.quote = text
			case "settleCoin":
				l.currency = text
			case "contractType":
				l.contract = text
			case "priceFilter":
				l.tick = string(scan.Text(member(o.Value, "tickSize")))
			case "lotSizeFilter":
				l.lot = string(scan.Text(member(o.Value, "qtyStep")))
				if l.lot == "" {
					l.lot = string(scan.Text(member(o.Value, "basePrecision")))
				}
			}
		}
		if l.currency == "" {
			l.currency = l.quote
		}
		if symbol != "" {
			s.listed[name{category, symbol}] = l
		}
	}
}

// member gives the raw value of an object's member; nil where it has none.
func member(object []byte, key string) (v []byte) {
	for o := scan.Members(object); o.Next(); {
		if string(o.Key) == key {
			v = o.Value
		}
	}
	return v
}

// symbolOf gives btc_usdt for spot BTCUSDT, btc_usdt_perp for linear BTCUSDT,
// btc_usdt_25dec26 for BTCUSDT-25DEC26, and btc_usdc_perp for BTCPERP.
func (s *Session) symbolOf(n name) string {
	l, listed := s.listed[n]
	listed = listed && l.base != "" && l.quote != ""
	if n.category == spot {
		if listed {
			return market.PairSymbol(l.base, l.quote)
		}
		return market.SplitPair(n.symbol)
	}
	if n.category == "option" {
		return market.CanonicalSymbol(strings.ReplaceAll(n.symbol, "-", "_"))
	}
	pair, expiry, dated := strings.Cut(n.symbol, "-")
	base, perp := strings.CutSuffix(pair, "PERP")
	symbol := market.SplitPair(pair)
	switch {
	case listed:
		symbol = market.PairSymbol(l.base, l.quote)
		if after, ok := strings.CutPrefix(pair, l.base+l.quote); ok && !dated {
			expiry, dated = after, after != ""
		}
	case perp && base != "":
		symbol = market.PairSymbol(base, "USDC")
	}
	if !dated {
		expiry = "perp"
	}
	return market.CanonicalSymbol(symbol + "_" + expiry)
}

// nativeOf gives the venue's symbol, unlike in every category.
func nativeOf(n name) string {
	if n.category == spot {
		return n.symbol
	}
	return n.category + "/" + n.symbol
}

// exponent gives the exponent that holds every multiple of step, such as "0.10".
func exponent(step string, unknown int8) int8 {
	if step == "" {
		return unknown
	}
	for exp := int8(0); exp >= -18; exp-- {
		if _, err := market.ParseFixed(step, exp); err == nil {
			return exp
		}
	}
	return unknown
}
