package manifest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"chronicle/market"
)

// SymbolInfo describes an instrument of the archive. Times are ts_recv in
// nanoseconds; what is still in the hot queues is not counted.
type SymbolInfo struct {
	Venue      string            `json:"venue"`
	Symbol     string            `json:"symbol"`
	Streams    []string          `json:"streams"` // in alphabetical order
	FirstTime  int64             `json:"first_time"`
	LastTime   int64             `json:"last_time"`
	Segments   uint64            `json:"segments"`
	Records    uint64            `json:"records"`
	Bytes      int64             `json:"bytes"`
	Days       uint64            `json:"days"`       // UTC days with data
	Definition market.Definition `json:"definition"` // of the latest segment
}

// Conditions of a symbol-day. One without a row in Coverage is missing.
const (
	Available = "available"
	Degraded  = "degraded" // a gap that was not recovered
	Missing   = "missing"
)

// Coverage tells what the archive has of one stream on one UTC day.
type Coverage struct {
	Venue     string `json:"venue"`
	Symbol    string `json:"symbol"`
	Stream    string `json:"stream"`
	Date      string `json:"date"`
	FirstTime int64  `json:"first_time"` // within the day
	LastTime  int64  `json:"last_time"`
	Segments  uint64 `json:"segments"` // that reach into the day
	Records   uint64 `json:"records"`  // of the segments that begin on the day
	Bytes     int64  `json:"bytes"`    // likewise
	Gaps      uint64 `json:"gaps"`     // of the symbol that reach into the day
	Condition string `json:"condition"`
}

// daysCTE gives one row per segment and day that it reaches into.
const daysCTE = `WITH days AS (SELECT *, unnest(generate_series(date, last_date, INTERVAL 1 DAY))::DATE AS day FROM segments)`

// Symbols lists the instruments by venue and symbol. The answer is kept until
// the archive changes; the caller must not change it.
func (x *Index) Symbols(ctx context.Context) ([]SymbolInfo, error) {
	x.sqlMu.Lock()
	defer x.sqlMu.Unlock()
	x.mu.RLock()
	now := x.changes + 1
	x.mu.RUnlock()
	if x.listed == now && !x.isClosed() {
		return x.symbols, nil
	}
	db, err := x.synced(ctx)
	if err != nil {
		return nil, err
	}
	var all []SymbolInfo
	err = db.each(ctx, daysCTE+`, counts AS (SELECT venue, symbol, count(DISTINCT day)::UBIGINT AS days FROM days GROUP BY ALL)
		SELECT s.venue, s.symbol, string_agg(DISTINCT stream, ',' ORDER BY stream), min(first_time), max(last_time),
			count(*)::UBIGINT, sum(records)::UBIGINT, sum(bytes)::BIGINT, any_value(days), arg_max(definition, last_time)
		FROM segments s JOIN counts c ON s.venue = c.venue AND s.symbol = c.symbol
		GROUP BY s.venue, s.symbol ORDER BY s.venue, s.symbol`, func(rows *sql.Rows) error {
		var i SymbolInfo
		var streams, definition string
		err := rows.Scan(&i.Venue, &i.Symbol, &streams, &i.FirstTime, &i.LastTime, &i.Segments, &i.Records, &i.Bytes, &i.Days, &definition)
		if err == nil {
			err = json.Unmarshal([]byte(definition), &i.Definition)
		}
		i.Streams = strings.Split(streams, ",")
		all = append(all, i)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list symbols: %w", err)
	}
	x.symbols, x.listed = slices.Clip(all), now
	return x.symbols, nil
}

func (x *Index) isClosed() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.closed
}

// Coverage tells, per stream and day, what the archive has. Of the filter, the
// names are used, and Start and End, which choose the days they touch; the clock
// is ts_recv. Streams and days are in order.
func (x *Index) Coverage(ctx context.Context, f Filter) ([]Coverage, error) {
	var all []Coverage
	err := x.list(ctx, daysCTE+`, clipped AS (
			SELECT *, epoch_ns(day::TIMESTAMP) AS day_start, epoch_ns(day::TIMESTAMP) + 86399999999999 AS day_end FROM days),
		covered AS (
			SELECT venue, symbol, stream, day, day_start, day_end,
				min(greatest(first_time, day_start)) AS first_time, max(least(last_time, day_end)) AS last_time, count(*)::UBIGINT AS segments,
				coalesce(sum(records) FILTER (WHERE day = date), 0)::UBIGINT AS records,
				coalesce(sum(bytes) FILTER (WHERE day = date), 0)::BIGINT AS bytes
			FROM clipped GROUP BY ALL)
		SELECT venue, symbol, stream, strftime(day, '%Y-%m-%d'), first_time, last_time, segments, records, bytes,
			(SELECT count(*)::UBIGINT FROM gaps g WHERE `+gapTouchesDay+`),
			(SELECT count(*) = 0 FROM gaps g WHERE `+gapTouchesDay+` AND NOT g.recovered)
		FROM covered c
		WHERE `+nameMatch+` AND (? = '' OR stream = ?) AND day_end >= ? AND day_start < ?
		ORDER BY venue, symbol, stream, day`, func(rows *sql.Rows) error {
		var c Coverage
		var good bool
		err := rows.Scan(&c.Venue, &c.Symbol, &c.Stream, &c.Date, &c.FirstTime, &c.LastTime, &c.Segments, &c.Records, &c.Bytes, &c.Gaps, &good)
		c.Condition = Degraded
		if good {
			c.Condition = Available
		}
		all = append(all, c)
		return err
	}, f.Venue, f.Venue, f.Symbol, f.Symbol, f.Stream, f.Stream, f.Start, f.end())
	return all, err
}

const (
	nameMatch     = `(? = '' OR venue = ?) AND (? = '' OR symbol = ?)`
	gapTouchesDay = `g.venue = c.venue AND g.symbol = c.symbol AND g.start_time <= c.day_end AND g.end_time >= c.day_start`
	gapColumns    = `venue, symbol, channel, start_time, end_time, first_seq, last_seq, cause, recovered, detail`
)

// end gives the upper bound as a number.
func (f *Filter) end() int64 {
	if f.End == 0 {
		return noEnd
	}
	return f.End
}

// Gaps gives the ledger's rows that touch [Start, End) of the filter, by start.
// Of the filter, Venue and Symbol are used besides; the clock is ts_recv.
func (x *Index) Gaps(ctx context.Context, f Filter) ([]Gap, error) {
	var all []Gap
	err := x.list(ctx, `SELECT `+gapColumns+` FROM gaps WHERE `+nameMatch+` AND end_time >= ? AND start_time < ?
		ORDER BY start_time, end_time, venue, symbol, channel, first_seq, last_seq, cause, detail`, func(rows *sql.Rows) error {
		g, err := scanGap(rows)
		all = append(all, g)
		return err
	}, f.Venue, f.Venue, f.Symbol, f.Symbol, f.Start, f.end())
	return all, err
}

func scanGap(rows *sql.Rows) (g Gap, err error) {
	err = rows.Scan(&g.Venue, &g.Symbol, &g.Channel, &g.Start, &g.End, &g.FirstSeq, &g.LastSeq, &g.Cause, &g.Recovered, &g.Detail)
	return g, err
}

// list runs a listing on an up-to-date database.
func (x *Index) list(ctx context.Context, query string, visit func(*sql.Rows) error, args ...any) error {
	x.sqlMu.Lock()
	defer x.sqlMu.Unlock()
	db, err := x.synced(ctx)
	if err != nil {
		return err
	}
	if err := db.each(ctx, query, visit, args...); err != nil {
		return fmt.Errorf("list from index: %w", err)
	}
	return nil
}
