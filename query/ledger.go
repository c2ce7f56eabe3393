package query

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"chronicle/book/audit"
	"chronicle/market"
	"chronicle/store/queue"
)

// ledgerName is the file in the state folder of an ETL, queues/etl or
// queues/etl/<shard>, that lists the intervals in which its self-audit could not
// prove a book: see docs/formats/ledger.md.
const ledgerName = "ledger.jsonl"

// doubts are the rows of the ledgers that concern one instrument, by time.
type doubts []audit.Row

// cover tells whether the book after a record of the book stream may be wrong.
func (d doubts) cover(seq uint64) bool {
	for i := range d {
		if d[i].Stream == market.StreamBook && d[i].Covers(seq) {
			return true
		}
	}
	return false
}

// ledgers keeps what the ledgers say. A file is read again when it has changed.
type ledgers struct {
	mu     sync.Mutex
	shards shardFolders
	files  map[string]*ledgerFile
}

type ledgerFile struct {
	size    int64
	changed time.Time
	rows    map[market.SymbolID]doubts
}

// shardFolders lists the folders below queues/etl, as a look found them.
type shardFolders struct {
	changed time.Time
	settled bool // as in hotListing
	names   []string
}

// doubts gives what the ledgers say of an instrument as they are now. Where
// there is no ledger it costs two system calls.
func (a *Archive) doubts(id market.SymbolID) (doubts, error) {
	l := &a.ledgers
	l.mu.Lock()
	defer l.mu.Unlock()
	dir := filepath.Join(a.cfg.Root, "queues", "etl")
	names, err := l.shards.list(dir)
	if err != nil {
		return nil, unavailable(err, "the folder of the ETL's state cannot be listed")
	}
	var all doubts
	for i := -1; i < len(names); i++ {
		path := filepath.Join(dir, ledgerName)
		if i >= 0 {
			path = filepath.Join(dir, names[i], ledgerName)
		}
		f, err := l.read(path)
		if err != nil {
			return nil, err
		}
		if f != nil {
			all = append(all, f.rows[id]...)
		}
	}
	slices.SortStableFunc(all, func(x, y audit.Row) int { return cmp.Compare(x.End, y.End) })
	return all, nil
}

// list gives the folders in dir; none where there is no dir.
func (s *shardFolders) list(dir string) ([]string, error) {
	looked := time.Now()
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.settled && s.changed.Equal(st.ModTime()) {
		return s.names, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	*s = shardFolders{changed: st.ModTime(), settled: looked.Sub(st.ModTime()) > settleTime}
	for _, e := range entries {
		if e.IsDir() {
			s.names = append(s.names, e.Name())
		}
	}
	return s.names, nil
}

// read gives a ledger, from memory if the file has not changed; nil when there is none.
func (l *ledgers) read(path string) (*ledgerFile, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err, "the ledger %s cannot be read", path)
	}
	if f := l.files[path]; f != nil && f.size == st.Size() && f.changed.Equal(st.ModTime()) {
		return f, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, unavailable(err, "the ledger %s cannot be read", path)
	}
	rows, _, err := audit.ReadRows(b)
	if err != nil {
		return nil, damaged(err, "the ledger %s is damaged: correct the line, or move the file away", path)
	}
	f := &ledgerFile{size: st.Size(), changed: st.ModTime(), rows: map[market.SymbolID]doubts{}}
	for _, r := range rows {
		id := market.SymbolID{Venue: r.Venue, Symbol: r.Symbol}
		f.rows[id] = append(f.rows[id], r)
	}
	if l.files == nil {
		l.files = map[string]*ledgerFile{}
	}
	l.files[path] = f
	return f, nil
}

// doubter is a maker whose rows show books.
type doubter interface{ doubt(doubts) }

// addDoubts tells the makers of books what is doubted, and makes the rows of the
// gap schema that stand in no stream.
func (s *Stream) addDoubts(a *Archive, ids []market.SymbolID, newMaker func() maker) error {
	switch s.spec.schema.name {
	case SchemaMBO, SchemaMBP, SchemaGap:
	default:
		return nil // what was received is right, whatever the book
	}
	for i, id := range ids {
		rows, err := a.doubts(id)
		if err != nil {
			return err
		}
		if s.spec.schema.name == SchemaGap {
			s.addLedger(i, rows, newMaker)
			continue
		}
		if err := s.refuse(id, rows); err != nil {
			return err
		}
		for _, src := range s.all {
			if d, ok := src.maker.(doubter); ok && src.symbol == i {
				d.doubt(rows)
			}
		}
	}
	return nil
}

// refuse fails where no doubtful book is wanted and there is one in the range.
func (s *Stream) refuse(id market.SymbolID, rows doubts) error {
	for i := range rows {
		if r := &rows[i]; s.spec.OnGap == GapError && r.Stream == market.StreamBook && r.Touches(s.spec.Start, s.spec.end) {
			return gapError(id, fmt.Sprintf("the book may be wrong from %s on: %s", FormatTime(r.Start), r.Detail))
		}
	}
	return nil
}

// addLedger adds the source of one symbol's rows that touch the range.
func (s *Stream) addLedger(symbol int, rows doubts, newMaker func() maker) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r audit.Row) bool { return !r.Touches(s.spec.Start, s.spec.end) })
	if len(rows) > 0 {
		s.all = append(s.all, &source{maker: newMaker(), symbol: symbol, spec: &s.spec, ledger: rows, key: noTime})
	}
}

// nextRow goes to the next row of a ledger, as if it were a gap marker; io.EOF
// when there is none.
func (s *source) nextRow() error {
	if len(s.ledger) == 0 {
		return io.EOF
	}
	r := &s.ledger[0]
	s.ledger = s.ledger[1:]
	g := &market.Gap{
		RawSeq: r.LastRawSeq, Start: r.Start, End: r.ProvedTime, Cause: r.Cause,
		Detail: fmt.Sprintf("%s, records %d to %d of the %s stream: %s", r.Finding, r.FirstSeq, r.LastSeq, r.Stream, r.Detail),
	}
	if r.Open() {
		g.End = noTime // it goes on
	}
	s.maker.(*gapMaker).gap = g
	s.record = queue.Record{Time: r.End, EventTime: noTime, Kind: uint16(market.KindGap)}
	s.key = max(s.key, r.End)
	s.gaps++
	return nil
}
