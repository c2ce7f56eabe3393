package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"chronicle/book/audit"
	"chronicle/market"
)

// doubted is a book stream of which the ledger lists records 5 to 8, proved again by
// a venue's snapshot at record 11; at record 8 the snapshot is not the book.
//
//	record  1  2  3  4  5  6  7  8  9 10 11 12
//	kind    S  B  B  B  s  B  B  s  B  B  S  B     s: synthetic
//	time   10 10 20 30 40 40 50 60 60 70 80 90
func doubted(t *testing.T) (*root, audit.Row) {
	t.Helper()
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "a_usd"), market.Definition{BookType: market.L2, PriceExponent: -2})
	change := func(time, size int64) {
		s.event(market.KindBook, time, time, market.Entry{Side: market.Bid, Price: 100 + time, Size: size, Action: market.Add})
	}
	change(10, 1)
	change(20, 2)
	change(30, 3)
	s.inject(40, 40)
	change(40, 4)
	change(50, 5)
	s.book.Apply(&market.BookEvent{Entries: []market.Entry{{Side: market.Bid, Price: 7, Size: 7, Action: market.Add}}}, market.KindBook)
	s.inject(60, 60)
	change(60, 6)
	change(70, 7)
	s.event(market.KindSnapshot, 80, 80, market.Entry{Side: market.Bid, Price: 9, Size: 9, Action: market.Add})
	change(90, 9)
	s.close()
	trades := r.stream(streamID{s.id.SymbolID, market.StreamTrade}, market.Definition{BookType: market.L2})
	trades.trade(55, 55, 1, 1)
	trades.close()
	return r, audit.Row{
		Venue: "sim", Symbol: "a_usd", Stream: "book", FirstSeq: 5, LastSeq: 8, FirstRawSeq: 4, LastRawSeq: 6, Start: 40, End: 60, Cause: market.GapAudit,
		Finding: audit.Differs, Detail: "expected one book; found another",
	}
}

// note appends rows to a ledger.
func (r *root) note(shard string, rows ...audit.Row) {
	r.t.Helper()
	path := filepath.Join(r.dir, "queues", "etl", shard, ledgerName)
	check(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	check(r.t, err)
	for i := range rows {
		_, err := f.Write(rows[i].Line())
		check(r.t, err)
	}
	check(r.t, f.Close())
}

// conditions gives the condition of the book at 10, 20, ... 90, a letter each; ! for
// an error that says DataLoss.
func conditions(t *testing.T, a *Archive, onGap OnGap) string {
	t.Helper()
	out := ""
	for at := int64(10); at <= 90; at += 10 {
		ans, err := a.BookAt(t.Context(), BookRequest{Symbol: "sim:a_usd", At: at, Depth: 5, OnGap: onGap})
		var e *Error
		switch {
		case errors.As(err, &e) && e.Code == DataLoss:
			out += "!"
		case err != nil:
			t.Fatal(err)
		case ans.Condition == ConditionDegraded && onGap == GapNull && len(ans.Bids) == 0:
			out += "0"
		default:
			out += ans.Condition[:1]
		}
	}
	return out
}

// TestDoubtedBook: books in an interval of the ledger are degraded, whether the row
// was there when the archive was opened, came later, or was closed since.
func TestDoubtedBook(t *testing.T) {
	r, row := doubted(t)
	a := r.open()
	defer a.Close()
	if got := conditions(t, a, GapMark); got != "aaaaaaaaa" {
		t.Errorf("without a ledger: %s", got)
	}
	r.note("", row)
	if got := conditions(t, a, GapMark); got != "aaadddddd" {
		t.Errorf("open: %s", got)
	}
	row.ProvedSeq, row.ProvedRawSeq, row.ProvedTime = 11, 9, 80
	r.note("", row)
	for onGap, want := range map[OnGap]string{GapMark: "aaaddddaa", GapNull: "aaa0000aa", GapError: "aaa!!!!aa"} {
		if got := conditions(t, a, onGap); got != want {
			t.Errorf("closed, %s: %s, want %s", onGap, got, want)
		}
	}
	other := row
	other.Symbol, other.ProvedSeq = "b_usd", 0
	r.note("shard-b", other)
	if got := conditions(t, a, GapMark); got != "aaaddddaa" {
		t.Errorf("with another symbol's: %s", got)
	}
	other.Symbol, other.FirstSeq, other.LastSeq = "a_usd", 12, 12
	r.note("shard-b", other)
	if got := conditions(t, a, GapMark); got != "aaaddddad" {
		t.Errorf("with another shard's: %s", got)
	}
}

// TestDoubtedRange: rows of books are flagged, a snapshot that is known to differ
// does not end the range, and trades are as they were.
func TestDoubtedRange(t *testing.T) {
	r, row := doubted(t)
	a := r.open()
	defer a.Close()
	read := func(schema string, onGap OnGap) (flags []int, err error) {
		s, err := a.Range(context.Background(), RangeRequest{Schema: schema, Symbols: []string{"sim:a_usd"}, OnGap: onGap})
		if err != nil {
			return nil, err
		}
		defer s.Release()
		for s.Next() {
			rec := s.RecordBatch()
			for i, f := range rec.Schema().Fields() {
				if f.Name != "flags" {
					continue
				}
				for _, v := range rec.Column(i).(*array.Uint8).Uint8Values() {
					flags = append(flags, int(market.Flags(v)&market.FlagMaybeBadBook))
				}
			}
		}
		return flags, s.Err()
	}
	if _, err := read("mbp-1", GapMark); err == nil || !strings.Contains(err.Error(), "differs from the book") {
		t.Errorf("without a ledger: %v", err)
	}
	r.note("", row)
	if _, err := a.Range(context.Background(), RangeRequest{Schema: "mbo", Symbols: []string{"sim:a_usd"}, Start: 95, OnGap: GapError}); err == nil {
		t.Error("an open interval touches a range in which there is no record yet")
	}
	row.ProvedSeq, row.ProvedTime = 11, 80
	r.note("", row)
	for schema, want := range map[string][]int{
		"mbp-1": {0, 0, 0, 4, 4, 4, 4, 0, 0}, "mbo": {0, 0, 0, 4, 4, 4, 4, 0, 0, 0}, "trades": {0},
	} {
		if got, err := read(schema, GapMark); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: flags %v, want %v (%v)", schema, got, want, err)
		}
		_, err := read(schema, GapError)
		var e *Error
		if wrong := schema != "trades"; wrong != (errors.As(err, &e) && e.Code == DataLoss) {
			t.Errorf("%s, error wanted: %v", schema, err)
		}
	}
	if s, err := a.Range(context.Background(), RangeRequest{Schema: "mbo", Symbols: []string{"sim:a_usd"}, Start: 81, OnGap: GapError}); err != nil {
		t.Errorf("after the interval: %v", err)
	} else {
		s.Release()
	}
}

// TestDoubtsAreGaps: the rows are in the gap schema, in the order of time among
// the markers, and make the symbol degraded.
func TestDoubtsAreGaps(t *testing.T) {
	r, row := doubted(t)
	s := r.stream(streamID{market.SymbolID{Venue: "sim", Symbol: "a_usd"}, market.StreamStatus}, market.Definition{BookType: market.L2})
	s.gap(15)
	s.gap(65)
	s.close()
	later := row
	later.FirstSeq, later.LastSeq, later.Start, later.End, later.ProvedSeq, later.ProvedTime = 12, 12, 85, 90, 20, 95
	r.note("", later, row)
	a := r.open()
	defer a.Close()
	list := func(start, end int64) (out []string) {
		st, err := a.Range(context.Background(), RangeRequest{Schema: SchemaGap, Symbols: []string{"sim:a_usd"}, Start: start, End: end})
		check(t, err)
		defer st.Release()
		for st.Next() {
			rec := st.RecordBatch()
			text := func(name string, i int) string { return rec.Column(rec.Schema().FieldIndices(name)[0]).ValueStr(i) }
			for i := range int(rec.NumRows()) {
				out = append(out, fmt.Sprint(text("cause", i), " ", strings.TrimSuffix(text("ts_recv", i)[26:], "Z"), " ", text("end", i)))
			}
			if strings.Contains(text("cause", 0), "audit") && (!strings.Contains(text("detail", 0), "records 5 to 8") || text("raw_sequence", 0) != "6") {
				t.Errorf("detail %q, raw_sequence %s", text("detail", 0), text("raw_sequence", 0))
			}
		}
		check(t, st.Err())
		if n := st.Stats().Gaps; end == 1000 && n != int64(len(out)) {
			t.Errorf("%d gaps counted, %d listed", n, len(out))
		}
		return out
	}
	if got := list(0, 1000); len(got) != 4 || !strings.HasPrefix(got[0], "disconnect 015 ") || got[1] != "audit 06 (null)" || !strings.HasPrefix(got[2], "disconnect 065 ") || !strings.HasPrefix(got[3], "audit 09 ") {
		t.Errorf("listed %q", got)
	}
	if got := list(66, 80); len(got) != 1 || got[0] != "audit 06 (null)" { // it is open
		t.Errorf("listed from 66 to 80: %q", got)
	}
	if got := list(0, 40); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "audit") }) {
		t.Errorf("listed before 40: %q", got)
	}
	info, err := a.Symbol(t.Context(), "sim:a_usd")
	if check(t, err); info.Condition != ConditionDegraded {
		t.Errorf("condition %s", info.Condition)
	}
}

// TestShardFolders: a folder that is younger than the file system's clock can tell
// is looked at again.
func TestShardFolders(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	st, err := os.Stat(dir)
	check(t, err)
	s := shardFolders{changed: st.ModTime()}
	if names, err := s.list(dir); err != nil || len(names) != 1 {
		t.Errorf("%q %v", names, err)
	}
}

// TestLedgerFile: a line that is being written is none yet; damage is an error
// that names the file, and is over when the file is whole again.
func TestLedgerFile(t *testing.T) {
	r, row := doubted(t)
	path := filepath.Join(r.dir, "queues", "etl", ledgerName)
	r.note("", row)
	whole, err := os.ReadFile(path)
	check(t, err)
	a := r.open()
	defer a.Close()
	check(t, os.WriteFile(path, whole[:40], 0o644))
	if got := conditions(t, a, GapMark); got != "aaaaaaaaa" {
		t.Errorf("half a line: %s", got)
	}
	check(t, os.WriteFile(path, append([]byte("no row\n"), whole...), 0o644))
	for range 2 {
		_, err := a.BookAt(t.Context(), BookRequest{Symbol: "sim:a_usd", At: 10, Depth: 1})
		var e *Error
		if !errors.As(err, &e) || e.Code != DataLoss || !strings.Contains(err.Error(), path) {
			t.Errorf("damaged: %v", err)
		}
	}
	check(t, os.WriteFile(path, whole, 0o644))
	if got := conditions(t, a, GapMark); got != "aaadddddd" {
		t.Errorf("whole again: %s", got)
	}
	check(t, os.Remove(path))
	if got := conditions(t, a, GapMark); got != "aaaaaaaaa" {
		t.Errorf("removed: %s", got)
	}
}
