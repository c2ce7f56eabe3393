package manifest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// restore gives a follower that goes on where the tables end. An error means
// that they are of no use for this manifest: another one's, or from before a
// rebuild. New tables are such, too.
func (d *database) restore(ctx context.Context, manifestDir string) (*Follower, error) {
	f := NewFollower(manifestDir)
	var text string
	if err := d.sql.QueryRowContext(ctx, "SELECT epoch, extra FROM chronicle_index").Scan(&f.epoch, &text); err != nil {
		return nil, err
	}
	if f.epoch < 0 {
		return NewFollower(manifestDir), nil // nothing was ever written
	}
	if err := d.restoreHeads(ctx, f); err != nil {
		return nil, err
	}
	if err := f.state.takeExtra(text); err != nil {
		return nil, err
	}
	if err := d.restoreSegments(ctx, f.state); err != nil {
		return nil, err
	}
	if err := d.restoreGaps(ctx, f.state); err != nil {
		return nil, err
	}
	d.state, d.epoch = f.state, f.epoch
	f.state.changed = &changes{refs: map[Ref]struct{}{}}
	return f, nil
}

// restoreHeads reads how far the tables go, and checks that the log still has
// those very commits.
func (d *database) restoreHeads(ctx context.Context, f *Follower) error {
	l, err := look(f.dir)
	if err != nil {
		return err
	}
	if l.epoch != f.epoch {
		return fmt.Errorf("the index is of rebuild %d, the log of rebuild %d", f.epoch, l.epoch)
	}
	return d.each(ctx, "SELECT writer, n, hash FROM logs", func(rows *sql.Rows) error {
		var writer string
		var h head
		if err := rows.Scan(&writer, &h.n, &h.hash); err != nil {
			return err
		}
		f.heads[writer] = h
		if h.n == 0 {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(f.dir, writer, commitName(h.n)))
		if err == nil && hashOf(b) != h.hash {
			err = fmt.Errorf("commit %d of %s is another one", h.n, writer)
		}
		return err
	})
}

func (d *database) restoreSegments(ctx context.Context, s *State) error {
	return d.each(ctx, `SELECT venue, symbol, stream, first_seq, last_seq, first_time, last_time,
		coalesce(first_event_time, -9223372036854775808), coalesce(last_event_time, -9223372036854775808),
		records, keys, kinds, bytes, hash, tier, key, definition, writer FROM segments ORDER BY venue, symbol, stream, first_seq`,
		func(rows *sql.Rows) error {
			r := &Row{Committed: true}
			var kinds, definition string
			err := rows.Scan(&r.Venue, &r.Symbol, &r.Stream, &r.FirstSeq, &r.LastSeq, &r.FirstTime, &r.LastTime,
				&r.FirstEventTime, &r.LastEventTime, &r.Records, &r.Keys, &kinds, &r.Bytes, &r.Hash, &r.Tier, &r.Key, &definition, &r.Writer)
			if err == nil {
				err = json.Unmarshal([]byte(kinds), &r.Kinds)
			}
			if err == nil {
				r.Definition, err = s.texts.parse(definition)
			}
			r.Date = Day(r.FirstTime)
			r.Segment = s.texts.segment(r.Segment)
			s.put(r)
			return err
		})
}

func (d *database) restoreGaps(ctx context.Context, s *State) error {
	return d.each(ctx, "SELECT "+gapColumns+" FROM gaps", func(rows *sql.Rows) error {
		g, err := scanGap(rows)
		s.gaps[g] = struct{}{}
		return err
	})
}

// each runs a query and calls visit for each of its rows.
func (d *database) each(ctx context.Context, query string, visit func(*sql.Rows) error, args ...any) error {
	rows, err := d.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
