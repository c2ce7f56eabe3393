package sim

import (
	"fmt"
	"math"
	"strings"
)

// Options describe a simulated session. All but Rate decide its messages.
type Options struct {
	Seed uint64 // seed of everything that is random
	// Symbols are up to 8 characters each, the busiest first; default AAPL, MSFT, NVDA.
	Symbols []string
	// Exponent is that of the power law of activity: the k-th symbol acts in
	// proportion to 1/(k+2.7)^Exponent. Default 1; below 0 all are alike.
	Exponent float64
	// Messages is the session's length. The market closes in time for the last
	// message to be the end of the day, and nothing follows it. Default 0: no end.
	// A session too short for opening and closing just stops.
	Messages uint64
	// Rate is the mean number of messages a second, over all symbols, that Send
	// keeps; default 1000.
	Rate float64
	// Session is the session's name, up to 10 characters. A receiver takes two
	// sessions of one name for the same session. Default "SIM" and 7 digits of the seed.
	Session string
}

func (o *Options) fill() error {
	if len(o.Symbols) == 0 {
		o.Symbols = []string{"AAPL", "MSFT", "NVDA"}
	}
	if o.Rate == 0 {
		o.Rate = 1000
	}
	if o.Exponent == 0 {
		o.Exponent = 1
	}
	if o.Session == "" {
		o.Session = fmt.Sprintf("SIM%07d", o.Seed%10_000_000)
	}
	if o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0) {
		return fmt.Errorf("sim: rate %v: must be a positive number of messages a second", o.Rate)
	}
	if math.IsNaN(o.Exponent) || o.Exponent > 5 {
		return fmt.Errorf("sim: exponent %v: at most 5", o.Exponent)
	}
	if len(o.Session) > 10 {
		return fmt.Errorf("sim: session %q: at most 10 characters", o.Session)
	}
	return checkSymbols(o.Symbols)
}

// MaxSymbols bounds the symbols of a session: a locate number has two bytes.
const MaxSymbols = math.MaxUint16

func checkSymbols(symbols []string) error {
	if len(symbols) > MaxSymbols {
		return fmt.Errorf("sim: %d symbols: at most %d", len(symbols), MaxSymbols)
	}
	seen := make(map[string]bool, len(symbols))
	for _, s := range symbols {
		if s == "" || len(s) > 8 || strings.TrimSpace(s) != s || seen[s] {
			return fmt.Errorf("sim: symbol %q: 1 to 8 characters, each once", s)
		}
		seen[s] = true
	}
	return nil
}

// known are the symbols that come first in Symbols.
var known = []string{"AAPL", "AMZN", "GOOG", "MSFT", "NVDA", "TSLA", "META", "AMD", "INTC", "QQQ"}

// Symbols makes n symbols for a session: some that everybody knows, then made-up
// ones of five letters. It is nil when n is not 1 to MaxSymbols.
func Symbols(n int) []string {
	if n < 1 || n > MaxSymbols {
		return nil
	}
	names := append(make([]string, 0, n+len(known)), known...)
	for i := 0; len(names) < n; i++ {
		names = append(names, madeUp(i))
	}
	return names[:n]
}

// madeUp spells i in letters, Z and four more: no known symbol begins with Z.
func madeUp(i int) string {
	b := [5]byte{'Z'}
	for k := 4; k > 0; k-- {
		b[k] = 'A' + byte(i%26)
		i /= 26
	}
	return string(b[:])
}
