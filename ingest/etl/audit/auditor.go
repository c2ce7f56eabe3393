package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"chronicle/book/audit"
	"chronicle/market"
)

// Config says what to audit, and how much of the machine it may cost.
type Config struct {
	CleanDir   string // the clean queues. Required
	LedgerPath string // <state of the ETL>/ledger.jsonl, made with the first row. Required

	// Has tells which instruments are to be audited: those of the shard, where there
	// are shards. Default: all.
	Has func(market.SymbolID) bool

	// Share is how much of one processor the audit may take, above 0 and at most 1.
	// Default 0.05: some hundred thousand
	// records a second where snapshots are small and few.
	Share float64

	// Interval is the pause between two rounds. Default 10 s.
	Interval time.Duration

	// MaxLag is for how long a stream may wait before the audit goes on with its
	// newest snapshot and counts the ones before it as skipped. Default 15 minutes;
	// negative for never.
	MaxLag time.Duration

	Log *slog.Logger // default: discards
}

func (c *Config) fill() error {
	if c.CleanDir == "" || c.LedgerPath == "" {
		return fmt.Errorf("audit: CleanDir %q and LedgerPath %q must be given", c.CleanDir, c.LedgerPath)
	}
	if c.Share == 0 {
		c.Share = 0.05
	}
	if !(c.Share > 0 && c.Share <= 1) {
		return fmt.Errorf("audit: Share %v: give a part of one processor, above 0 and at most 1", c.Share)
	}
	if c.Interval < 0 {
		return fmt.Errorf("audit: Interval %v: give 0 for the default, or more", c.Interval)
	}
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	if c.MaxLag == 0 {
		c.MaxLag = 15 * time.Minute
	}
	if c.Has == nil {
		c.Has = func(market.SymbolID) bool { return true }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Stats count what was done since New.
type Stats struct {
	Streams    int           `json:"streams"`    // book streams
	Snapshots  uint64        `json:"snapshots"`  // compared with the book that the records before them make
	Records    uint64        `json:"records"`    // read for that
	Mismatches uint64        `json:"mismatches"` // findings for which a book may be wrong although it is called good
	Unmarked   uint64        `json:"unmarked"`   // books that are called bad, and no gap marker says why
	Skipped    uint64        `json:"skipped"`    // snapshots that were passed over to keep up
	Moved      uint64        `json:"moved"`      // times that a segment was moved away before all of it was proved
	Unreadable uint64        `json:"unreadable"` // segments that could not be read to their end
	Open       int           `json:"open"`       // rows of the ledger whose books are not proved again
	Lag        time.Duration `json:"lag"`        // what was committed longer ago has been looked at
}

// Auditor proves the book streams below one clean directory, again and again.
type Auditor struct {
	cfg      Config
	log      *slog.Logger
	pace     pacer
	ledger   *ledger
	checkers map[market.BookType]*audit.Checker // the memory of the largest book of each type
	budget   int                                // maxVisit, but for tests
	waiting  []audit.Row                        // could not be written yet; at most one open row per stream

	// Of the visit under way.
	at      *stream
	reading uint64 // first sequence of the segment at hand
	known   uint64 // sequence of the record that was fed at an earlier visit already

	mu      sync.Mutex
	streams map[market.SymbolID]*stream // guarded by mu; only Run adds
	sorted  []*stream                   // by symbol
	stats   Stats                       // guarded by mu; Lag is made when asked
	begun   time.Time
}

// New reads the ledger, if there is one. An error says what is wrong with it or
// with the configuration.
func New(cfg Config) (*Auditor, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	l, torn, err := openLedger(cfg.LedgerPath)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if torn {
		cfg.Log.Warn("the ledger ends in a broken line, which the next row replaces: a crash left it before it was durable", "path", cfg.LedgerPath)
	}
	a := &Auditor{
		cfg: cfg, log: cfg.Log, ledger: l, pace: pacer{share: cfg.Share, clock: wallClock},
		checkers: map[market.BookType]*audit.Checker{}, budget: maxVisit, streams: map[market.SymbolID]*stream{},
	}
	a.begun = a.pace.clock.now()
	a.stats.Open = l.open
	return a, nil
}

// Run audits until ctx is done, which is its normal end. What it cannot read is
// counted and logged, and no reason to end.
func (a *Auditor) Run(ctx context.Context) error {
	for {
		err := a.Once(ctx)
		if err == nil {
			err = a.pace.idle(ctx, a.cfg.Interval)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Once looks at every stream once, and proves what it has up to its newest
// snapshot, or a bounded part of it where that is very much. It returns an error
// only when ctx is done.
func (a *Auditor) Once(ctx context.Context) error {
	a.pace.began = a.pace.clock.now()
	a.discover()
	for _, s := range a.sorted {
		if err := a.pace.rest(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.visit(ctx, s); err != nil {
			return err
		}
	}
	a.retry()
	return nil
}

// Stats may be called from any goroutine.
func (a *Auditor) Stats() Stats {
	now := a.pace.clock.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.stats
	st.Streams = len(a.streams)
	for _, s := range a.streams {
		st.Lag = max(st.Lag, now.Sub(s.caught))
	}
	return st
}

// count changes the statistics.
func (a *Auditor) count(change func(*Stats)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.stats)
}

// discover takes in the streams that are new.
func (a *Auditor) discover() {
	now := a.pace.clock.now()
	found := false
	for _, venue := range folders(a.cfg.CleanDir) {
		for _, symbol := range folders(filepath.Join(a.cfg.CleanDir, venue)) {
			id := market.SymbolID{Venue: venue, Symbol: symbol}
			if a.streams[id] != nil || !a.cfg.Has(id) {
				continue
			}
			s := &stream{id: id, caught: now}
			if len(a.sorted) == 0 {
				s.caught = a.begun // what was there before counts from the start
			}
			if info, err := os.Stat(s.dir(a.cfg.CleanDir)); err != nil || !info.IsDir() {
				continue // no book yet
			}
			a.mu.Lock()
			a.streams[id] = s
			a.mu.Unlock()
			found = true
		}
	}
	if !found {
		return
	}
	a.sorted = a.sorted[:0]
	for _, s := range a.streams {
		a.sorted = append(a.sorted, s)
	}
	slices.SortFunc(a.sorted, func(x, y *stream) int {
		if c := strings.Compare(x.id.Venue, y.id.Venue); c != 0 {
			return c
		}
		return strings.Compare(x.id.Symbol, y.id.Symbol)
	})
}

// folders lists the folders in dir; none if it cannot be read.
func folders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}
