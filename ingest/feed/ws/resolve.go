package ws

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"chronicle/market"
)

// Resolve finds the venue's own names of the symbols that were asked for. listed
// are the names in the venue's list; where it is empty, guess makes the name. A
// symbol may carry the venue before a colon. One that the venue does not list is
// logged as an error and left out, so that a delisted instrument does not end the
// feed of the others; when none is left that is the error.
func Resolve(wanted, listed []string, guess func(symbol string) string, log *slog.Logger) ([]string, error) {
	byFold := make(map[string]string, len(listed))
	for _, native := range listed {
		fold := market.FoldSymbol(native)
		if old, ok := byFold[fold]; !ok || native < old {
			byFold[fold] = native
		}
	}
	var out, unknown []string
	seen := make(map[string]bool)
	for _, w := range wanted {
		symbol := strings.TrimSpace(w[strings.LastIndexByte(w, ':')+1:])
		native, ok := byFold[market.FoldSymbol(symbol)]
		if len(listed) == 0 {
			native, ok = guess(symbol), symbol != ""
		}
		switch {
		case !ok:
			unknown = append(unknown, w)
		case !seen[native]:
			seen[native] = true
			out = append(out, native)
		}
	}
	if len(unknown) > 0 {
		log.Error("the venue does not list these symbols: they are left out", "symbols", unknown)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("symbols %q: the venue lists none of them", wanted)
	}
	return out, nil
}

// Chunks cuts symbols into groups of at most n, one for each connection.
func Chunks(symbols []string, n int) (out [][]string) {
	for len(symbols) > n {
		out, symbols = append(out, symbols[:n]), symbols[n:]
	}
	return append(out, symbols)
}

// Name gives the name of connection i of a plan, from 0.
func Name(i int) string { return "ws." + strconv.Itoa(i+1) }
