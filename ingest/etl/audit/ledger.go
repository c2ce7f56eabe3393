package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chronicle/book/audit"
	"chronicle/internal/durable"
	"chronicle/market"
)

// ledger is the file that findings are kept in, and what it says.
type ledger struct {
	path string
	rows map[market.SymbolID][]audit.Row
	size int64 // bytes of the file that are rows
	open int   // rows that are not proved again
}

// openLedger reads the ledger at path, if there is one. torn tells whether a last
// line, which was not durable, has been broken off by a crash.
func openLedger(path string) (l *ledger, torn bool, err error) {
	l = &ledger{path: path, rows: map[market.SymbolID][]audit.Row{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("ledger: %w", err)
	}
	rows, whole, err := audit.ReadRows(b)
	if err != nil {
		return nil, false, fmt.Errorf("ledger %s: %w: correct the line, or move the file away (the intervals that it lists are then taken for good)", path, err)
	}
	for i := range rows {
		l.keep(&rows[i])
	}
	l.size = int64(whole)
	return l, whole < len(b), nil
}

// keep remembers a row, in the place of an earlier one of its key.
func (l *ledger) keep(r *audit.Row) {
	id := market.SymbolID{Venue: r.Venue, Symbol: r.Symbol}
	if r.Open() {
		l.open++
	}
	for i := range l.rows[id] {
		if old := &l.rows[id][i]; old.Key() == r.Key() {
			if old.Open() {
				l.open--
			}
			*old = *r
			return
		}
	}
	l.rows[id] = append(l.rows[id], *r)
}

// covers tells whether what is wrong at a record is on record already.
func (l *ledger) covers(id market.SymbolID, seq uint64) bool {
	for i := range l.rows[id] {
		if l.rows[id][i].Covers(seq) {
			return true
		}
	}
	return false
}

// add appends a row; it is durable when the call returns. After an error the row is
// not there, and the next one takes its place in the file.
func (l *ledger) add(r *audit.Row) error {
	if err := durable.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	f, err := durable.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	line := r.Line()
	if err := errors.Join(l.write(f, line), f.Close()); err != nil {
		return fmt.Errorf("ledger %s: %w", l.path, err)
	}
	l.size += int64(len(line))
	l.keep(r)
	return nil
}

func (l *ledger) write(f *os.File, line []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > l.size { // torn by a crash, or left by a write that failed
		if err := durable.Truncate(f, l.size); err != nil {
			return err
		}
	}
	if err := durable.WriteAt(f, line, l.size); err != nil {
		return err
	}
	if err := durable.Sync(f); err != nil {
		return err
	}
	if l.size > 0 {
		return nil
	}
	dir := filepath.Dir(l.path) // its own name, too, may be one that could not be synced before
	return errors.Join(durable.SyncDir(dir), durable.SyncDir(filepath.Dir(dir)))
}
