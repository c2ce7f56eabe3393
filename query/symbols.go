package query

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chronicle/market"
)

// maxCandidates bounds the symbols that an error lists.
const maxCandidates = 10

// ResolveSymbol gives the instrument that a spelling means: venue:symbol, else
// the venue's own spelling, else any spelling that differs only in case and
// separators; the last two with or without "venue:" before them. A spelling that
// fits several instruments is refused.
func (a *Archive) ResolveSymbol(ctx context.Context, spelling string) (market.SymbolID, error) {
	spelling = strings.TrimSpace(spelling)
	if id, err := market.ParseSymbolID(spelling); err == nil {
		known, err := a.knows(ctx, id)
		if err != nil || known {
			return id, asError(err)
		}
	}
	table, err := a.symbolTable(ctx, false)
	if err != nil {
		return market.SymbolID{}, asError(err)
	}
	found := table.match(spelling)
	if len(found) == 0 { // an instrument may have been renamed since the table was made
		if table, err = a.symbolTable(ctx, true); err != nil {
			return market.SymbolID{}, asError(err)
		}
		found = table.match(spelling)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return market.SymbolID{}, &Error{
			Code: NotFound, Field: "symbol", Given: spelling, Allowed: listSymbols(table.close(spelling)), Detail: "no such symbol in the archive",
		}
	}
	return market.SymbolID{}, invalid("symbol", spelling, listSymbols(found), "the spelling fits several symbols: write venue:symbol")
}

// knows tells whether the archive has a stream of the instrument, without
// looking at any other.
func (a *Archive) knows(ctx context.Context, id market.SymbolID) (bool, error) {
	if _, err := os.Stat(filepath.Join(a.clean, id.Venue, id.Symbol)); err == nil {
		return true, nil
	}
	streams, err := a.streamsOf(ctx, id)
	return len(streams) > 0, err
}

// allStreams are the clean streams that an instrument may have.
var allStreams = []string{market.StreamBook, market.StreamTrade, market.StreamQuote, market.StreamStatus}

// streamsOf gives the streams of one instrument.
func (a *Archive) streamsOf(ctx context.Context, id market.SymbolID) ([]string, error) {
	var streams []string
	for _, name := range allStreams {
		sid := streamID{id, name}
		if _, err := os.Stat(a.streamDir(sid)); err == nil {
			streams = append(streams, name)
			continue
		}
		segs, err := a.tiered(ctx, sid)
		if err != nil {
			return nil, err
		}
		if len(segs) > 0 {
			streams = append(streams, name)
		}
	}
	return streams, nil
}

// match gives the instruments that a spelling fits, by the strictest rule that
// any fits.
func (t *symbolTable) match(spelling string) []market.SymbolID {
	venue, symbol, ok := strings.Cut(spelling, ":")
	if !ok || !slices.Contains(t.venues(), strings.ToLower(venue)) {
		venue, symbol = "", spelling
	}
	folded := market.FoldSymbol(symbol)
	rules := []func(market.SymbolID) bool{
		func(id market.SymbolID) bool { return t.natives[id] == symbol },
		func(id market.SymbolID) bool { return id.Symbol == strings.ToLower(symbol) },
		func(id market.SymbolID) bool {
			return market.FoldSymbol(id.Symbol) == folded || market.FoldSymbol(t.natives[id]) == folded
		},
	}
	for _, fits := range rules {
		var found []market.SymbolID
		for _, id := range t.sorted {
			if (venue == "" || id.Venue == strings.ToLower(venue)) && id.Symbol != market.AllSymbol && fits(id) {
				found = append(found, id)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func (t *symbolTable) venues() []string {
	var venues []string
	for _, id := range t.sorted {
		if n := len(venues); n == 0 || venues[n-1] != id.Venue {
			venues = append(venues, id.Venue)
		}
	}
	return venues
}

// close gives the instruments whose names are the most like a spelling.
func (t *symbolTable) close(spelling string) []market.SymbolID {
	_, symbol, ok := strings.Cut(spelling, ":")
	if !ok {
		symbol = spelling
	}
	folded := market.FoldSymbol(symbol)
	distances := make(map[market.SymbolID]int, len(t.sorted))
	for _, id := range t.sorted {
		distances[id] = distance(folded, market.FoldSymbol(id.Symbol))
	}
	near := slices.Clone(t.sorted)
	slices.SortStableFunc(near, func(x, y market.SymbolID) int { return cmp.Compare(distances[x], distances[y]) })
	return near[:min(len(near), maxCandidates)]
}

// distance counts the insertions, deletions and replacements between two short
// texts.
func distance(a, b string) int {
	a, b = a[:min(len(a), 32)], b[:min(len(b), 32)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func listSymbols(ids []market.SymbolID) string {
	if len(ids) == 0 {
		return "none: the archive is empty"
	}
	var names []string
	for _, id := range ids[:min(len(ids), maxCandidates)] {
		names = append(names, id.String())
	}
	if more := len(ids) - len(names); more > 0 {
		return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
