package manifest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// IndexOptions are the options of OpenIndex.
type IndexOptions struct {
	// Log takes what happened to the index file. Default: nothing is logged.
	Log *slog.Logger
}

// Index answers questions about the archive, from any number of goroutines.
//
// It has two halves. Planning (Segments, At) is answered from the replayed State
// in memory: finding one segment among 10,000 of a stream takes 30 µs there and
// 600 µs in SQL (BenchmarkLocate), and every read begins with it, many of them at
// once. Listings
// (Symbols, Coverage, Gaps, SQL) are answered by DuckDB, which is brought up to
// date when one is asked for. With a file the database also spares the replay of
// the whole log at the next start.
type Index struct {
	opts IndexOptions

	mu       sync.RWMutex // guards the fields below
	follower *Follower
	changes  uint64 // counts refreshes that brought something new
	closed   bool

	sqlMu   sync.Mutex // guards the fields below; taken before mu
	db      *database  // nil: not opened yet
	symbols []SymbolInfo
	listed  uint64 // the value of changes that symbols belong to, plus one
}

// OpenIndex replays the logs below manifestDir. dbPath is the file of the DuckDB
// database; empty is a database in memory. A file that is damaged, or of another
// version, or does not fit the log, is put aside and built anew, which is logged. A
// file that another process holds is ErrIndexLocked.
func OpenIndex(ctx context.Context, manifestDir, dbPath string, opts IndexOptions) (*Index, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	x := &Index{opts: opts, follower: NewFollower(manifestDir)}
	if dbPath != "" {
		if err := x.openFile(ctx, dbPath); err != nil {
			return nil, err
		}
	}
	if _, err := x.Refresh(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open index: %w", err), x.Close())
	}
	return x, nil
}

// openFile opens the database file and takes over what it knows.
func (x *Index) openFile(ctx context.Context, path string) error {
	db, err := openDatabase(ctx, path, x.opts.Log)
	if err != nil {
		return err
	}
	x.db = db
	restored, err := db.restore(ctx, x.follower.dir)
	if err == nil {
		x.follower = restored
		return nil
	}
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), db.close())
	}
	x.opts.Log.Warn("index does not fit the manifest log: building it anew", "file", path, "reason", err)
	if err := db.reset(ctx); err != nil {
		return errors.Join(fmt.Errorf("open index %s: %w", path, err), db.close())
	}
	return nil
}

// Refresh takes in new commits, or a rebuilt log, and tells whether there were any. It is cheap
// when there are none: one small directory listing and one failing open per
// writer. Readers call it before each plan, after they have listed the hot
// queues: a segment that leaves the queue is then in one of the two lists.
func (x *Index) Refresh(ctx context.Context) (bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return false, fmt.Errorf("refresh index: %w", ErrClosed)
	}
	before := x.follower.epoch
	n, err := x.follower.Refresh(ctx)
	changed := n > 0 || x.follower.epoch != before
	if changed {
		x.changes++
	}
	if err != nil {
		return changed, fmt.Errorf("refresh index: %w", err)
	}
	return changed, nil
}

// Segments gives the segments that a filter chooses, stream by stream, each
// ordered by first sequence.
func (x *Index) Segments(ctx context.Context, f Filter) ([]Row, error) {
	return read(ctx, x, func(s *State) []Row { return s.Find(f) })
}

// At gives the segment in which the replay for time t ends; see State.At.
func (x *Index) At(ctx context.Context, id StreamID, c Clock, t int64) (row Row, ok bool, err error) {
	type answer struct {
		row Row
		ok  bool
	}
	a, err := read(ctx, x, func(s *State) (a answer) {
		a.row, a.ok = s.At(id, c, t)
		return a
	})
	return a.row, a.ok, err
}

// Streams gives the streams of the archive, in order.
func (x *Index) Streams(ctx context.Context) ([]StreamID, error) {
	return read(ctx, x, (*State).Streams)
}

// Removed gives the sequences that were deleted from a stream on purpose.
func (x *Index) Removed(ctx context.Context, id StreamID) ([]SeqRange, error) {
	return read(ctx, x, func(s *State) []SeqRange { return s.Removed(id) })
}

// read asks the state.
func read[T any](ctx context.Context, x *Index, ask func(*State) T) (answer T, err error) {
	if err := ctx.Err(); err != nil {
		return answer, err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return answer, ErrClosed
	}
	return ask(x.follower.state), nil
}

// SQL gives the database, up to date with the last Refresh, for reading: the
// tables are described in docs/formats/manifest.md.
func (x *Index) SQL(ctx context.Context) (*sql.DB, error) {
	x.sqlMu.Lock()
	defer x.sqlMu.Unlock()
	db, err := x.synced(ctx)
	if err != nil {
		return nil, err
	}
	return db.sql, nil
}

// synced brings the database up to date. The caller holds sqlMu.
func (x *Index) synced(ctx context.Context) (*database, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if x.isClosed() {
		return nil, ErrClosed
	}
	if x.db == nil {
		db, err := openDatabase(ctx, "", x.opts.Log)
		if err != nil {
			return nil, err
		}
		x.db = db
	}
	// A read lock is enough: it keeps Refresh away, and sqlMu other syncs.
	x.mu.RLock()
	defer x.mu.RUnlock()
	if err := x.db.sync(ctx, x.follower); err != nil {
		return nil, fmt.Errorf("bring index up to date: %w", err)
	}
	return x.db, nil
}

// Close writes what is new to the index file and closes it.
func (x *Index) Close() error {
	x.sqlMu.Lock()
	defer x.sqlMu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	if x.db == nil {
		return nil
	}
	var err error
	if x.db.path != "" {
		err = x.db.sync(context.Background(), x.follower)
	}
	return errors.Join(err, x.db.close())
}
