package query

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chronicle/market"
	"chronicle/store/manifest"
)

// symbolTable is every instrument that the archive has.
type symbolTable struct {
	stamp   string // of what it was made from; empty: not made yet
	natives map[market.SymbolID]string
	sorted  []market.SymbolID
}

// symbolTable gives the table of all instruments, made anew if the manifest or
// the folders of the clean queues have changed, or if anew is set.
func (a *Archive) symbolTable(ctx context.Context, anew bool) (*symbolTable, error) {
	hot, stamp, err := a.hotSymbols()
	if err != nil {
		return nil, err
	}
	version, err := a.refresh(ctx)
	if err != nil {
		return nil, err
	}
	stamp = fmt.Sprintf("%d %s", version, stamp)
	a.catalog.mu.Lock()
	old := a.catalog.symbols
	a.catalog.mu.Unlock()
	if old.stamp == stamp && !anew {
		return &old, nil
	}
	table := symbolTable{stamp: stamp, natives: map[market.SymbolID]string{}}
	streams, err := a.index.Streams(ctx)
	if err != nil {
		return nil, err
	}
	if anew {
		old.natives = nil
	}
	if err := a.fill(ctx, &table, hot, streams, old.natives); err != nil {
		return nil, err
	}
	a.catalog.mu.Lock()
	a.catalog.symbols = table
	a.catalog.mu.Unlock()
	return &table, nil
}

// fill names every instrument; natives are those known already.
func (a *Archive) fill(ctx context.Context, t *symbolTable, hot []market.SymbolID, tiered []manifest.StreamID, natives map[market.SymbolID]string) error {
	for _, s := range tiered {
		t.natives[market.SymbolID{Venue: s.Venue, Symbol: s.Symbol}] = ""
	}
	for _, id := range hot {
		t.natives[id] = ""
	}
	for id := range t.natives {
		if native, ok := natives[id]; ok {
			t.natives[id] = native
		} else if def, err := a.definition(ctx, id); err == nil {
			t.natives[id] = def.Native
		} else if ctx.Err() != nil {
			return ctx.Err()
		} else {
			a.cfg.Log.Warn("definition cannot be read; the symbol is found by its own name only", "symbol", id, "error", err)
		}
		t.sorted = append(t.sorted, id)
	}
	slices.SortFunc(t.sorted, func(x, y market.SymbolID) int { return strings.Compare(x.String(), y.String()) })
	return nil
}

// hotSymbols lists the instruments that have clean queues, with a stamp that
// changes when one comes or goes.
func (a *Archive) hotSymbols() (ids []market.SymbolID, stamp string, err error) {
	venues, err := os.ReadDir(a.clean)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", unavailable(err, "the clean queues cannot be listed")
	}
	var b strings.Builder
	for _, v := range venues {
		symbols, err := os.ReadDir(filepath.Join(a.clean, v.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", unavailable(err, "the clean queues of %s cannot be listed", v.Name())
		}
		for _, s := range symbols {
			if id, err := market.ParseSymbolID(v.Name() + ":" + s.Name()); err == nil && s.IsDir() {
				ids = append(ids, id)
				fmt.Fprintf(&b, "%s ", id)
			}
		}
	}
	return ids, b.String(), nil
}
