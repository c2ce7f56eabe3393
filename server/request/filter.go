package request

import (
	"path"

	"chronicle/market"
)

// Filter picks instruments by glob patterns, where * stands for any text and ?
// for one byte. Empty patterns let everything through.
type Filter struct {
	Venue  string `json:"venue,omitempty"`
	Symbol string `json:"symbol,omitempty"` // symbol without venue
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 128

// ParseCriteria reads the criteria of Flight's ListFlights: nothing, or a JSON
// object.
func ParseCriteria(b []byte) (Filter, error) {
	var f Filter
	if len(b) == 0 {
		return f, nil
	}
	if err := strict(b, &f, "criteria", "venue, symbol"); err != nil {
		return f, err
	}
	return f, f.Check()
}

// Check refuses patterns that can match nothing.
func (f Filter) Check() error {
	if err := checkPattern("venue", f.Venue); err != nil {
		return err
	}
	return checkPattern("symbol", f.Symbol)
}

func checkPattern(field, pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || len(pattern) > maxPattern {
		return refuse(field, clip(pattern), "a pattern with * and ?, such as btc_*", "not a pattern")
	}
	return nil
}

// Match tells whether the filter lets an instrument through. The filter has
// been checked.
func (f Filter) Match(id market.SymbolID) bool {
	return matches(f.Venue, id.Venue) && matches(f.Symbol, id.Symbol)
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
