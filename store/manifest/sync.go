package manifest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"chronicle/market"
)

// sync brings the tables up to what the follower has replayed, in one
// transaction: all of it the first time or after a rebuild, else what changed.
func (d *database) sync(ctx context.Context, f *Follower) error {
	if d.state == f.state && len(f.state.changed.refs) == 0 && len(f.state.changed.gaps) == 0 {
		return nil
	}
	full := d.state != f.state
	todo := f.state.changed
	if full {
		todo = f.state.everything()
	}
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := d.transact(ctx, conn, func() error { return d.write(ctx, conn, f, todo, full) }); err != nil {
		return err
	}
	d.state, d.epoch = f.state, f.epoch
	f.state.changed = &changes{refs: map[Ref]struct{}{}}
	return nil
}

// everything lists the whole state as changed.
func (s *State) everything() *changes {
	all := &changes{refs: make(map[Ref]struct{}, len(s.segments)), gaps: s.Gaps()}
	for ref := range s.segments {
		all.refs[ref] = struct{}{}
	}
	return all
}

func (d *database) transact(ctx context.Context, conn *sql.Conn, do func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, rollbackErr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rollbackErr)
	}
	return nil
}

// write is the body of sync's transaction.
func (d *database) write(ctx context.Context, conn *sql.Conn, f *Follower, todo *changes, full bool) error {
	var err error
	if full {
		_, err = conn.ExecContext(ctx, "DELETE FROM segments; DELETE FROM gaps")
	} else {
		err = deleteChanged(ctx, conn, todo)
	}
	if err != nil {
		return err
	}
	err = appendRows(conn, "segments", func(put func(...driver.Value) error) error {
		for ref := range todo.refs {
			if row := f.state.segments[ref]; row != nil {
				if err := putSegment(put, row); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = appendGaps(conn, todo.gaps)
	}
	if err == nil {
		err = writeHeads(ctx, conn, f)
	}
	return err
}

// deleteChanged removes the rows that are to be written again.
func deleteChanged(ctx context.Context, conn *sql.Conn, todo *changes) error {
	err := appendRows(conn, "changed", func(put func(...driver.Value) error) error {
		for r := range todo.refs {
			if err := put(r.Venue, r.Symbol, r.Stream, r.FirstSeq); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `DELETE FROM segments s USING changed c WHERE s.venue = c.venue AND s.symbol = c.symbol
		AND s.stream = c.stream AND s.first_seq = c.first_seq; DELETE FROM changed`)
	return err
}

// appendRows loads rows into a table.
func appendRows(conn *sql.Conn, table string, rows func(put func(...driver.Value) error) error) error {
	return conn.Raw(func(raw any) error {
		c, ok := raw.(driver.Conn)
		if !ok {
			return fmt.Errorf("load table %s: not a database connection", table)
		}
		a, err := duckdb.NewAppenderFromConn(c, "", table)
		if err != nil {
			return fmt.Errorf("load table %s: %w", table, err)
		}
		if err := errors.Join(rows(a.AppendRow), a.Close()); err != nil {
			return fmt.Errorf("load table %s: %w", table, err)
		}
		return nil
	})
}

func putSegment(put func(...driver.Value) error, r *Row) error {
	kinds, err := json.Marshal(r.Kinds)
	definition, err2 := json.Marshal(r.Definition)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return put(r.Venue, r.Symbol, r.Stream, dayOf(r.FirstTime), dayOf(r.LastTime),
		r.FirstSeq, r.LastSeq, r.FirstTime, r.LastTime, nullTime(r.FirstEventTime), nullTime(r.LastEventTime),
		r.Records, r.Keys, string(kinds), r.Bytes, r.Hash, r.Tier, r.Key, string(definition), r.Writer)
}

func dayOf(t int64) time.Time { return time.Unix(0, t).UTC().Truncate(24 * time.Hour) }

func nullTime(t int64) driver.Value {
	if t == market.UndefTimestamp {
		return nil
	}
	return t
}

func appendGaps(conn *sql.Conn, gaps []Gap) error {
	return appendRows(conn, "gaps", func(put func(...driver.Value) error) error {
		for _, g := range gaps {
			err := put(g.Venue, g.Symbol, g.Channel, g.Start, g.End, g.FirstSeq, g.LastSeq, g.Cause, g.Recovered, g.Detail)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// writeHeads records up to which commits the tables go.
func writeHeads(ctx context.Context, conn *sql.Conn, f *Follower) error {
	text, err := f.state.extra()
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "UPDATE chronicle_index SET epoch = ?, extra = ?", f.epoch, text); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "DELETE FROM logs"); err != nil {
		return err
	}
	for writer, h := range f.heads {
		if _, err := conn.ExecContext(ctx, "INSERT INTO logs VALUES (?, ?, ?)", writer, h.n, h.hash); err != nil {
			return err
		}
	}
	return nil
}
