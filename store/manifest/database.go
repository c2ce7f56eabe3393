package manifest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"chronicle/internal/filelock"
)

// indexFormat is the version of the tables below.
const indexFormat = 1

// schema is the index's. There are no keys: the State in memory, from which the
// rows come, has no duplicates. "first" and "last" columns are nanoseconds.
const schema = `
CREATE TABLE chronicle_index (format INTEGER, epoch INTEGER, extra VARCHAR);
CREATE TABLE logs (writer VARCHAR, n UBIGINT, hash VARCHAR);
CREATE TABLE segments (
	venue VARCHAR, symbol VARCHAR, stream VARCHAR, date DATE, last_date DATE,
	first_seq UBIGINT, last_seq UBIGINT,
	first_time BIGINT, last_time BIGINT, first_event_time BIGINT, last_event_time BIGINT,
	records UBIGINT, keys UBIGINT, kinds VARCHAR, bytes BIGINT, hash VARCHAR,
	tier VARCHAR, key VARCHAR, definition VARCHAR, writer VARCHAR);
CREATE TABLE gaps (
	venue VARCHAR, symbol VARCHAR, channel VARCHAR, start_time BIGINT, end_time BIGINT,
	first_seq UBIGINT, last_seq UBIGINT, cause VARCHAR, recovered BOOLEAN, detail VARCHAR);
CREATE TABLE changed (venue VARCHAR, symbol VARCHAR, stream VARCHAR, first_seq UBIGINT);
`

var tables = []string{"chronicle_index", "logs", "segments", "gaps", "changed"}

// database is the DuckDB half of an Index. Its owner serialises the calls.
type database struct {
	path  string // empty: in memory
	sql   *sql.DB
	lock  *filelock.Lock // nil: in memory
	log   *slog.Logger
	epoch int
	state *State // what the tables hold, brought up to date with its changes
}

// openDatabase opens a database and makes its tables if it has none.
func openDatabase(ctx context.Context, path string, log *slog.Logger) (*database, error) {
	d := &database{path: path, log: log}
	if path != "" {
		var err error
		if d.lock, err = filelock.Acquire(path + ".lock"); errors.Is(err, filelock.ErrLocked) {
			return nil, locked(path, err)
		} else if err != nil {
			return nil, fmt.Errorf("open index: %w", err)
		}
	}
	err := d.open(ctx)
	if err != nil && d.damaged(ctx, err) {
		d.log.Warn("index file is damaged or of another version: building it anew", "file", path, "reason", err)
		if err = d.putAside(); err == nil {
			err = d.open(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open index: %w", err), d.close())
	}
	return d, nil
}

func locked(path string, err error) error {
	return fmt.Errorf("%s: %w: stop that process, give this one another file, or none (the index is then kept in memory): %w", path, ErrIndexLocked, err)
}

var (
	errFormat  = errors.New("index file has another version")
	errForeign = errors.New("the file is a database of something else: give another path for the index")
)

// open connects, and makes the tables or checks their version.
func (d *database) open(ctx context.Context) error {
	connector, err := duckdb.NewConnector(d.path, nil)
	if err != nil {
		if strings.Contains(err.Error(), "Could not set lock") {
			return locked(d.path, err)
		}
		return err
	}
	d.sql = sql.OpenDB(connector)
	names, err := d.tableNames(ctx)
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return d.create(ctx)
	case !names["chronicle_index"]:
		return fmt.Errorf("%s: %w", d.path, errForeign)
	}
	var format int
	if err := d.sql.QueryRowContext(ctx, "SELECT format FROM chronicle_index").Scan(&format); err != nil {
		return err
	}
	if format != indexFormat {
		return fmt.Errorf("%w: %d, not %d", errFormat, format, indexFormat)
	}
	return nil
}

func (d *database) tableNames(ctx context.Context) (map[string]bool, error) {
	rows, err := d.sql.QueryContext(ctx, "SELECT table_name FROM duckdb_tables()")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names[name] = true
	}
	return names, rows.Err()
}

func (d *database) create(ctx context.Context) error {
	_, err := d.sql.ExecContext(ctx, "BEGIN;"+schema+
		fmt.Sprintf("INSERT INTO chronicle_index VALUES (%d, -1, ''); COMMIT", indexFormat))
	return err
}

// damaged tells whether an error of open is the file's fault, so that a new one
// is the cure: not a lock, not the folder's permissions, nobody else's database.
func (d *database) damaged(ctx context.Context, err error) bool {
	if d.path == "" || ctx.Err() != nil || errors.Is(err, ErrIndexLocked) || errors.Is(err, errForeign) {
		return false
	}
	st, statErr := os.Stat(d.path)
	if statErr != nil || !st.Mode().IsRegular() {
		return false
	}
	f, openErr := os.OpenFile(d.path, os.O_RDWR, 0)
	return openErr == nil && f.Close() == nil
}

// putAside renames the file to .damaged, replacing an earlier one: it might,
// after all, be somebody's only copy of something.
func (d *database) putAside() error {
	var err error
	if d.sql != nil {
		err = d.sql.Close()
		d.sql = nil
	}
	if removeErr := os.Remove(d.path + ".wal"); !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	if renameErr := os.Rename(d.path, d.path+".damaged"); renameErr != nil {
		return errors.Join(err, renameErr)
	}
	return err
}

// reset empties the database.
func (d *database) reset(ctx context.Context) error {
	d.state = nil
	var b strings.Builder
	b.WriteString("BEGIN;")
	for _, name := range tables {
		b.WriteString("DROP TABLE IF EXISTS " + name + ";")
	}
	b.WriteString("COMMIT")
	if _, err := d.sql.ExecContext(ctx, b.String()); err != nil {
		return err
	}
	return d.create(ctx)
}

// close gives the file back.
func (d *database) close() error {
	var err error
	if d.sql != nil {
		err = d.sql.Close()
	}
	return errors.Join(err, d.lock.Release())
}

// extra is the part of a State that has no table of its own.
type extra struct {
	Moves     []Move
	Leftovers []Leftover
	Removed   []removedRanges
}

type removedRanges struct {
	Stream StreamID
	Ranges []SeqRange
}

func (s *State) extra() (string, error) {
	e := extra{Moves: s.Moves(), Leftovers: s.Leftovers()}
	for id, ranges := range s.removed {
		e.Removed = append(e.Removed, removedRanges{id, ranges})
	}
	b, err := json.Marshal(e)
	return string(b), err
}

func (s *State) takeExtra(text string) error {
	var e extra
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	for _, m := range e.Moves {
		s.moves[m.Segment.Ref()] = m
		s.tiers[m.Segment.Tier] = true
	}
	for _, l := range e.Leftovers {
		s.leftovers[l.Of] = l
	}
	for _, r := range e.Removed {
		s.removed[r.Stream] = r.Ranges
	}
	return nil
}
