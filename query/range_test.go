package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"chronicle/book"
	"chronicle/market"
)

// collect reads a range to its end, each row as the text of its values.
func collect(t tester, a *Archive, req RangeRequest) []string {
	t.Helper()
	rows, err := tryCollect(a, req)
	check(t, err)
	return rows
}

func tryCollect(a *Archive, req RangeRequest) ([]string, error) {
	s, err := a.Range(context.Background(), req)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	var rows []string
	for s.Next() {
		rows = append(rows, texts(s.RecordBatch())...)
	}
	return rows, s.Err()
}

func texts(rec arrow.RecordBatch) []string {
	rows := make([]string, rec.NumRows())
	for i := range rows {
		var values []string
		for _, c := range rec.Columns() {
			values = append(values, valueText(c, i))
		}
		rows[i] = strings.Join(values, " ")
	}
	return rows
}

func valueText(c arrow.Array, i int) string {
	switch c := c.(type) {
	case *array.Timestamp:
		if c.IsNull(i) {
			return "-"
		}
		return fmt.Sprint(int64(c.Value(i)))
	case *array.Dictionary:
		return c.Dictionary().ValueStr(c.GetValueIndex(i))
	}
	if c.IsNull(i) {
		return "-"
	}
	return c.ValueStr(i)
}

func timeText(ns int64) string {
	if ns == noTime {
		return "-"
	}
	return fmt.Sprint(ns)
}

// keyedRow is a row with what orders it.
type keyedRow struct {
	key    int64
	symbol string
	text   string
}

// naiveRange makes the rows of a schema from what was written.
func naiveRange(req RangeRequest, streams []*stream) []string {
	var all []keyedRow
	for _, s := range streams {
		running, n := noTime, newNaiveRows(s, req.Schema)
		for i := range s.records {
			r := &s.records[i]
			own := req.Clock.ofRecord(r)
			if running = max(running, own); own == noTime {
				own = running
			}
			for _, text := range n.rows(r) {
				if own != noTime && own >= req.Start && own < req.End {
					all = append(all, keyedRow{running, s.id.SymbolID.String(), text})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(x, y keyedRow) int { return cmp.Or(cmp.Compare(x.key, y.key), strings.Compare(x.symbol, y.symbol)) })
	var rows []string
	for _, r := range all[:min(int64(len(all)), limitOf(req))] {
		rows = append(rows, r.text)
	}
	return rows
}

func limitOf(req RangeRequest) int64 {
	if req.Limit == 0 {
		return math.MaxInt64
	}
	return req.Limit
}

// naiveRows makes the rows of one symbol.
type naiveRows struct {
	s      *stream
	schema string
	state  naiveState
}

func newNaiveRows(s *stream, schema string) *naiveRows {
	return &naiveRows{s: s, schema: schema, state: naiveState{book: newNaive(s.def.BookType)}}
}

func (n *naiveRows) rows(r *record) []string {
	head := fmt.Sprintf("%s %s %s", timeText(r.time), timeText(r.event), n.s.id.SymbolID)
	switch {
	case n.schema == SchemaTrades && r.kind == market.KindTrade:
		t := &r.trade
		return []string{fmt.Sprintf("%s %d %d %c %d %d %d - %d true", head, t.Seq, t.TradeID, t.Side, t.Price, t.Size, t.Flags, t.RawSeq)}
	case n.schema == SchemaMBO && r.kind != market.KindGap && !r.synthetic():
		return n.mbo(r, head)
	case strings.HasPrefix(n.schema, SchemaMBP):
		return n.mbp(r, head)
	}
	return nil
}

func (n *naiveRows) mbo(r *record, head string) []string {
	entries, flags := r.body.Entries, r.body.Flags
	if r.kind == market.KindSnapshot {
		entries = append([]market.Entry{clearEntry}, entries...)
		flags |= market.FlagSnapshot
	}
	var rows []string
	for i, e := range entries {
		f := flags &^ market.FlagLast
		if i == len(entries)-1 {
			f |= market.FlagLast
		}
		rows = append(rows, fmt.Sprintf("%s %c %c %s %s %d %d %d %d %d", head, e.Action, e.Side, timeText(e.Price), timeText(e.Size), e.OrderID, e.Count, f, r.body.Seq, r.body.RawSeq))
	}
	return rows
}

// mbp gives the row of an event that changes the book.
func (n *naiveRows) mbp(r *record, head string) []string {
	if !n.state.apply(r) {
		return nil
	}
	e := clearEntry
	for _, x := range r.body.Entries {
		if x.Action != market.Exec && r.kind == market.KindBook {
			e = x
		}
	}
	return []string{fmt.Sprintf("%s %c %c %s %s %d %d %d%s", head, e.Action, e.Side, timeText(e.Price), timeText(e.Size), r.body.Flags, r.body.Seq, r.body.RawSeq, n.text(3))}
}

func (n *naiveRows) text(depth int) string {
	bids, asks := n.state.book.side(market.Bid, depth), n.state.book.side(market.Ask, depth)
	var b strings.Builder
	for i := range depth {
		for _, side := range [][]book.Level{bids, asks} {
			if i < len(side) {
				fmt.Fprintf(&b, " %d %d %d", side[i].Price, side[i].Size, side[i].Count)
			} else {
				b.WriteString(" - - -")
			}
		}
	}
	return b.String()
}

// TestRangeEqualsReplay: over random streams, cuts, places, clocks and ranges, the
// rows are those of a plain walk over everything that was written.
func TestRangeEqualsReplay(t *testing.T) {
	base := tempDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir := mkdirTemp(base)
		defer os.RemoveAll(dir)
		r := newRoot(rt, dir)
		schema := rapid.SampledFrom([]string{SchemaTrades, SchemaMBO, "mbp-3"}).Draw(rt, "schema")
		var streams []*stream
		m := r.mover()
		for i, symbol := range []string{"abc", "def", "ghi"}[:rapid.IntRange(1, 3).Draw(rt, "symbols")] {
			s := drawStream(rt, r, schema, symbol, uint64(i))
			defer s.close()
			streams = append(streams, s)
			for _, file := range s.sealed() {
				if rapid.Bool().Draw(rt, "move") {
					m.move(file, rapid.IntRange(stepIntent, stepDone).Draw(rt, "step"))
				}
			}
		}
		m.close()
		a := r.open()
		defer a.Close()
		for range 10 {
			checkRange(rt, a, drawRange(rt, schema, streams), streams)
		}
	})
}

func drawStream(rt *rapid.T, r *root, schema, symbol string, seed uint64) *stream {
	id, def := bookID("sim", symbol), l2Def
	if schema == SchemaTrades {
		id.Stream = market.StreamTrade
	}
	if rapid.Bool().Draw(rt, "l3") {
		def.BookType = market.L3
	}
	s := r.stream(id, def)
	f := newFlow(s, seed+rapid.Uint64Range(0, 1<<40).Draw(rt, "seed"))
	n, cut := rapid.IntRange(1, 80).Draw(rt, "records"), rapid.IntRange(2, 40).Draw(rt, "cut")
	if schema == SchemaTrades {
		f.trades(n, cut)
	} else {
		f.run(n, cut)
	}
	return s
}

// trades writes n random trades, with gap markers among them.
func (f *flow) trades(n, cut int) {
	for range n {
		recv, event := f.step()
		if f.rng.IntN(20) == 0 {
			f.s.gap(recv)
		} else {
			f.s.trade(recv, event, 100+f.rng.Int64N(9), 1+f.rng.Int64N(99))
		}
		if f.rng.IntN(cut) == 0 {
			f.s.roll()
		}
	}
}

func drawRange(rt *rapid.T, schema string, streams []*stream) RangeRequest {
	req := RangeRequest{Schema: schema, PriceType: PriceFixed, Clock: rapid.SampledFrom([]Clock{ClockRecv, ClockEvent}).Draw(rt, "clock")}
	req.Start, req.End = drawTime(rt, streams[0]), drawTime(rt, streams[0])
	if req.Start > req.End {
		req.Start, req.End = req.End, req.Start
	}
	if rapid.IntRange(0, 4).Draw(rt, "limited") == 0 {
		req.Limit = int64(rapid.IntRange(1, 20).Draw(rt, "limit"))
	}
	for _, s := range streams {
		req.Symbols = append(req.Symbols, s.id.SymbolID.String())
	}
	return req
}

func checkRange(t tester, a *Archive, req RangeRequest, streams []*stream) {
	t.Helper()
	got, want := collect(t, a, req), naiveRange(req, streams)
	if !slices.Equal(got, want) {
		t.Fatalf("%+v:\ngot  %d rows\n%s\nwant %d rows\n%s", req, len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
}
