package proof

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/ingest/etl"
	"chronicle/market"
	"chronicle/query"
)

// The instruments of the gap matrix: three channels, and every way in which a book
// can be sent.
const (
	orders  = 1 + iota // L3, channel c1
	orders2            // L3, c1
	far                // L3, c2
	levels             // L2 with snapshots, c1
	chain              // L2 with a chain of its own, c3
	proved             // L2 with checksums, c3
	fresh              // L3, c1, defined only when the case says so
)

var matrixDefs = map[uint32]market.Definition{
	orders:  {Symbol: "orders", BookType: market.L3, Channel: "c1"},
	orders2: {Symbol: "orders2", BookType: market.L3, Channel: "c1"},
	far:     {Symbol: "far", BookType: market.L3, Channel: "c2"},
	levels:  {Symbol: "levels", BookType: market.L2, Channel: "c1"},
	chain:   {Symbol: "chain", BookType: market.L2, Channel: "c3", Chained: true},
	proved:  {Symbol: "proved", BookType: market.L2, Channel: "c3", Checksum: checksum.OKX},
	fresh:   {Symbol: "fresh", BookType: market.L3, Channel: "c1"},
}

// matrix is the world of one case: a script, and the books that it should make.
type matrix struct {
	*script
	t     *testing.T
	books map[uint32]*book.Book
	count uint64 // of orders
}

// gapCase is one thing that goes wrong.
type gapCase struct {
	name   string
	strike func(m *matrix)
	bad    []string          // instruments whose books are not trusted any more
	rows   map[string]string // what the gap ledger gains: causes by instrument
	beside []string          // instruments whose trade streams are marked too
	vain   func(m *matrix)   // what proves nothing
	heal   func(m *matrix)   // what does
}

func (m *matrix) begin() {
	m.session(market.SessionSourceBegin, "")
	for _, c := range []string{"c1", "c2", "c3"} {
		m.session(market.SessionNew, c)
	}
	m.defineAll()
	for _, id := range []uint32{levels, chain, proved} {
		m.whole(id)
	}
	m.move()
	m.trades()
}

func (m *matrix) defineAll() {
	for _, id := range []uint32{orders, orders2, far, levels, chain, proved} {
		m.define(id, matrixDefs[id])
	}
}

// apply sends an event and keeps the book that a listener who missed nothing has.
func (m *matrix) apply(kind market.Kind, id uint32, ev market.BookEvent) {
	m.t.Helper()
	if m.books[id] == nil {
		m.books[id] = book.New(matrixDefs[id].BookType)
	}
	b := m.books[id]
	b.Apply(&ev, kind)
	if matrixDefs[id].Checksum != "" && ev.Checksum == 0 {
		ev.Checksum, _ = checksum.Compute(matrixDefs[id].Checksum, b, -2, 0)
		ev.Attr |= market.AttrChecksum
	}
	m.event(kind, id, ev)
}

// send is the next event of an instrument.
func (m *matrix) send(id uint32, entries ...market.Entry) {
	m.t.Helper()
	m.seq[id]++
	m.apply(market.KindBook, id, market.BookEvent{Seq: m.seq[id], PrevSeq: m.seq[id] - 1, Entries: entries})
}

// whole is a venue's snapshot of the book that there really is.
func (m *matrix) whole(id uint32) {
	m.t.Helper()
	m.seq[id]++
	m.apply(market.KindSnapshot, id, market.BookEvent{Seq: m.seq[id], Entries: []market.Entry{
		{Side: market.Bid, Price: 1000, Size: 5, Action: market.Add}, {Side: market.Ask, Price: 1010, Size: 5, Action: market.Add},
	}})
}

// change makes an innocent change of one book.
func (m *matrix) change(id uint32) {
	m.t.Helper()
	if matrixDefs[id].BookType == market.L3 {
		m.count++
		m.send(id, add(m.count, market.Bid, 990, 3))
		return
	}
	m.send(id, level(market.Bid, 995, int64(1+m.seq[id]%7)))
}

// move changes every book that is defined.
func (m *matrix) move() {
	for _, id := range slices.Sorted(maps.Keys(matrixDefs)) {
		if id != fresh || m.books[fresh] != nil {
			m.change(id)
		}
	}
}

func (m *matrix) trades() {
	for _, id := range []uint32{orders, levels, far, chain, proved} {
		m.append(market.KindTrade, id, tradeBody(market.Trade{TradeID: uint64(m.now), Price: 1000, Size: 1, Side: market.Bid}))
	}
}

// restart is a new venue session of a channel: its L3 books are empty.
func (m *matrix) restart(channel string) {
	m.session(market.SessionNew, channel)
	m.empty(channel)
}

func (m *matrix) empty(channel string) {
	for id, d := range matrixDefs {
		if d.Channel == channel && d.BookType == market.L3 && m.books[id] != nil {
			m.books[id].Clear()
			m.seq[id] = 0
		}
	}
}

// snapshots proves books of the L2 instruments.
func (m *matrix) snapshots(ids ...uint32) {
	for _, id := range ids {
		m.whole(id)
	}
}

var gapCases = []gapCase{
	{
		name:   "sequence hole",
		strike: func(m *matrix) { m.gap(market.Gap{Channel: "c1", FirstSeq: 5, LastSeq: 6, Cause: market.GapSequence}) },
		bad:    []string{"orders", "orders2", "levels"},
		rows:   map[string]string{"orders": "sequence", "orders2": "sequence", "levels": "sequence"},
		beside: []string{"orders", "levels"},
		vain: func(m *matrix) {
			m.gap(market.Gap{Channel: "c1", FirstSeq: 5, LastSeq: 6, Cause: market.GapSequence, Recovered: true})
			m.restart("c2") // another channel's
		},
		heal: func(m *matrix) { m.restart("c1"); m.snapshots(levels) },
	},
	{
		name: "sequence hole that was recovered",
		strike: func(m *matrix) {
			m.gap(market.Gap{Channel: "c1", FirstSeq: 5, LastSeq: 6, Cause: market.GapSequence, Recovered: true})
		},
		rows:   map[string]string{"orders": "sequence", "orders2": "sequence", "levels": "sequence"},
		beside: []string{"orders", "levels"},
	},
	{
		name: "sequence hole of a session that is over",
		strike: func(m *matrix) {
			m.gap(market.Gap{Channel: "c1", FirstSeq: 5, LastSeq: 6, Cause: market.GapSequence, Session: "YESTERDAY"})
		},
		rows:   map[string]string{"orders": "sequence", "orders2": "sequence", "levels": "sequence"},
		beside: []string{"orders", "levels"},
	},
	{
		name: "instrument first seen behind a hole",
		strike: func(m *matrix) {
			m.gap(market.Gap{Channel: "c1", FirstSeq: 5, LastSeq: 6, Cause: market.GapSequence})
			m.define(fresh, matrixDefs[fresh])
			m.change(fresh)
		},
		bad:    []string{"orders", "orders2", "levels", "fresh"},
		rows:   map[string]string{"orders": "sequence", "orders2": "sequence", "levels": "sequence"},
		beside: []string{"orders", "levels"},
		heal:   func(m *matrix) { m.restart("c1"); m.snapshots(levels) },
	},
	{
		name: "reconnect",
		strike: func(m *matrix) {
			m.gap(market.Gap{Channel: "c1", Cause: market.GapDisconnect})
			m.session(market.SessionConnect, "c1")
		},
		bad:    []string{"orders", "orders2", "levels"},
		rows:   map[string]string{"orders": "disconnect", "orders2": "disconnect", "levels": "disconnect"},
		beside: []string{"orders", "levels"},
		heal:   func(m *matrix) { m.restart("c1"); m.snapshots(levels) },
	},
	{
		name:   "connection that is up again, of which nothing else is told",
		strike: func(m *matrix) { m.session(market.SessionConnect, "c1") },
		bad:    []string{"orders", "orders2", "levels"},
		heal:   func(m *matrix) { m.restart("c1"); m.snapshots(levels) },
	},
	{
		name: "feed started again",
		strike: func(m *matrix) {
			m.session(market.SessionSourceBegin, "")
			m.defineAll()
		},
		bad:    []string{"orders", "orders2", "far", "levels", "chain", "proved"},
		rows:   map[string]string{"orders": "disconnect", "orders2": "disconnect", "far": "disconnect", "levels": "disconnect", "chain": "disconnect", "proved": "disconnect"},
		beside: []string{"orders", "levels", "far", "chain", "proved"},
		heal: func(m *matrix) {
			m.restart("c1")
			m.restart("c2")
			m.snapshots(levels, chain, proved)
		},
	},
	{
		name:   "venue sequence reset",
		strike: func(m *matrix) { m.restart("c1") },
	},
	{
		name: "venue sequence reset, and nothing tells when",
		strike: func(m *matrix) {
			m.appendAt(0, market.KindSession, 0, market.EncodeJSON(&market.Session{Event: market.SessionNew, Venue: "sim", Channel: "c1"}))
			m.empty("c1")
		},
	},
	{
		name: "wrong checksum",
		strike: func(m *matrix) {
			m.seq[proved]++ // the change before it was lost, and has no number that would show it
			m.books[proved].Apply(&market.BookEvent{Entries: []market.Entry{level(market.Bid, 1001, 9)}}, market.KindBook)
			m.change(proved)
		},
		bad:  []string{"proved"},
		rows: map[string]string{"proved": "checksum"},
		vain: func(m *matrix) { m.send(proved, level(market.Bid, 1001, 9)); m.change(proved) }, // from here on checksums match
		heal: func(m *matrix) { m.snapshots(proved) },
	},
	{
		name:   "order that the book does not hold",
		strike: func(m *matrix) { m.send(orders, cancel(4711)) },
		bad:    []string{"orders"},
		rows:   map[string]string{"orders": "unknown_order"},
		vain:   func(m *matrix) { m.gap(market.Gap{Channel: "c1", Cause: market.GapSequence, Recovered: true}) },
		heal:   func(m *matrix) { m.restart("c1") },
	},
	{
		name:   "crossed book of levels",
		strike: func(m *matrix) { m.send(levels, level(market.Bid, 1011, 1)) },
		bad:    []string{"levels"},
		rows:   map[string]string{"levels": "crossed"},
		vain:   func(m *matrix) { m.send(levels, level(market.Bid, 1011, 0)) }, // it is not crossed any more
		heal:   func(m *matrix) { m.snapshots(levels) },
	},
	{
		name: "locked book of levels, crossed book of orders",
		strike: func(m *matrix) {
			m.send(levels, level(market.Bid, 1010, 1))
			m.count += 2
			m.send(orders, add(m.count-1, market.Ask, 1010, 1))
			m.send(orders, add(m.count, market.Bid, 1011, 1))
		},
	},
	{
		name: "broken chain",
		strike: func(m *matrix) {
			m.seq[chain] += 2
			m.change(chain)
		},
		bad:  []string{"chain"},
		rows: map[string]string{"chain": "chain"},
		vain: func(m *matrix) { // older than what waits for it
			m.event(market.KindSnapshot, chain, market.BookEvent{Seq: 1, Entries: []market.Entry{add(0, market.Bid, 1, 1)}})
		},
		heal: func(m *matrix) { m.snapshots(chain) },
	},
	{
		name: "late join",
		strike: func(m *matrix) {
			m.restart("c1")
			m.gap(market.Gap{Channel: "c1", FirstSeq: 1, LastSeq: 100, Cause: market.GapLateJoin})
			m.define(fresh, matrixDefs[fresh])
			m.change(fresh)
		},
		bad:    []string{"orders", "orders2", "levels", "fresh"},
		rows:   map[string]string{"orders": "late_join", "orders2": "late_join", "levels": "late_join"},
		beside: []string{"orders", "levels"},
		heal:   func(m *matrix) { m.restart("c1"); m.snapshots(levels) },
	},
	{
		name:   "damaged source",
		strike: func(m *matrix) { m.gap(market.Gap{Cause: market.GapSource}) }, // of no channel: of all
		bad:    []string{"orders", "orders2", "far", "levels", "chain", "proved"},
		rows:   map[string]string{"orders": "source", "orders2": "source", "far": "source", "levels": "source", "chain": "source", "proved": "source"},
		beside: []string{"orders", "levels", "far", "chain", "proved"},
		heal: func(m *matrix) {
			m.restart("c1")
			m.restart("c2")
			m.snapshots(levels, chain, proved)
		},
	},
	{
		name:   "damaged message of one instrument",
		strike: func(m *matrix) { m.gap(market.Gap{Channel: "c1", Symbol: "orders2", Cause: market.GapSource}) },
		bad:    []string{"orders2"},
		rows:   map[string]string{"orders2": "source"},
		heal:   func(m *matrix) { m.restart("c1") },
	},
	{
		name:   "source without sequence",
		strike: func(m *matrix) { m.gap(market.Gap{Channel: "c2", Cause: market.GapUnsequenced}) },
		bad:    []string{"far"},
		rows:   map[string]string{"far": "unsequenced"},
		beside: []string{"far"},
		vain:   func(m *matrix) { m.restart("c1") },
		heal:   func(m *matrix) { m.restart("c2") },
	},
}

// TestGapMatrix strikes with one thing at a time: it touches the books that it
// concerns and no others; each stream that it concerns has a marker; the gap ledger
// has a row; and the book is called good again by what proves it, and by nothing else.
func TestGapMatrix(t *testing.T) {
	for _, c := range gapCases {
		t.Run(c.name, func(t *testing.T) {
			m := &matrix{t: t, script: newScript(t, site{fastDir(t)}), books: map[uint32]*book.Book{}}
			m.begin()
			m.look("at first", nil)
			before := m.ledger()
			marked := m.markers()
			c.strike(m)
			m.move()
			m.look("struck", c.bad)
			m.gained(before, marked, &c)
			if c.vain != nil {
				c.vain(m)
			}
			for range 30 { // a new segment and several snapshots later
				m.move()
			}
			m.look("after what proves nothing", c.bad)
			if c.heal != nil {
				c.heal(m)
				m.move()
			}
			m.look("proved", nil)
			m.site.wantSound(t, c.name)
		})
	}
}

// config makes segments and snapshots that are a few records long.
func (m *matrix) config() etl.Config {
	cfg := m.site.config()
	cfg.Policy.ReplayBudget, cfg.Policy.RollBytes, cfg.Policy.SnapshotInterval = 9, 9000, 40*time.Second
	return cfg
}

// look has the ETL take in what there is and asks query for every book.
func (m *matrix) look(when string, bad []string) {
	m.t.Helper()
	refine(m.t, m.config())
	a := m.archive()
	defer a.Close()
	for id, def := range matrixDefs {
		if m.books[id] == nil {
			continue
		}
		got, err := a.BookAt(m.t.Context(), query.BookRequest{Symbol: "sim:" + def.Symbol, At: m.now, Depth: 100})
		if err != nil {
			m.t.Fatalf("%s: %s: %v", when, def.Symbol, err)
		}
		if degraded := got.Condition == query.ConditionDegraded; degraded != slices.Contains(bad, def.Symbol) {
			m.t.Errorf("%s: the book of %s is %s; degraded should be %v", when, def.Symbol, got.Condition, bad)
		}
		if got.Condition == query.ConditionAvailable && (!slices.Equal(got.Bids, m.books[id].Levels(market.Bid, 0, []book.Level{})) || !slices.Equal(got.Asks, m.books[id].Levels(market.Ask, 0, []book.Level{}))) {
			m.t.Errorf("%s: the book of %s is called available and is %v %v", when, def.Symbol, got.Bids, got.Asks)
		}
	}
}

func (m *matrix) archive() *query.Archive {
	m.t.Helper()
	a, err := query.Open(m.t.Context(), query.Config{Root: m.site.root})
	must(m.t, err)
	return a
}

// ledger gives the causes in the gap ledger by instrument, as query answers.
func (m *matrix) ledger() map[string][]string {
	m.t.Helper()
	a := m.archive()
	defer a.Close()
	causes := map[string][]string{}
	for id, def := range matrixDefs {
		if m.books[id] == nil {
			continue
		}
		rows, err := a.Range(m.t.Context(), query.RangeRequest{Schema: query.SchemaGap, Symbols: []string{"sim:" + def.Symbol}})
		must(m.t, err)
		for rows.Next() {
			batch := rows.RecordBatch()
			at := batch.Schema().FieldIndices("cause")[0]
			for i := range int(batch.NumRows()) {
				causes[def.Symbol] = append(causes[def.Symbol], batch.Column(at).ValueStr(i))
			}
		}
		must(m.t, rows.Err())
		rows.Release()
	}
	return causes
}

// markers counts the gap markers of every stream.
func (m *matrix) markers() map[string]int {
	m.t.Helper()
	n := map[string]int{}
	for stream, records := range m.site.streams(m.t) {
		for _, r := range records {
			if market.Kind(r.Kind) == market.KindGap {
				n[stream]++
			}
		}
	}
	return n
}

// gained checks the rows and markers that a case has made.
func (m *matrix) gained(before map[string][]string, marked map[string]int, c *gapCase) {
	m.t.Helper()
	after := m.ledger()
	for _, def := range matrixDefs {
		got := strings.Join(after[def.Symbol][min(len(before[def.Symbol]), len(after[def.Symbol])):], " ")
		if want := c.rows[def.Symbol]; got != want {
			m.t.Errorf("the gap ledger of %s gains %q, want %q", def.Symbol, got, want)
		}
	}
	want := map[string]int{}
	for symbol := range c.rows {
		want["sim/"+symbol+"/book"] = 1
		want["sim/"+symbol+"/status"] = 1 // it has the definition, and every marker
	}
	for _, symbol := range c.beside {
		want["sim/"+symbol+"/trade"] = 1
	}
	for stream, n := range m.markers() {
		if n -= marked[stream]; n != want[stream] {
			m.t.Errorf("%s has %d new markers, want %d", stream, n, want[stream])
		}
		delete(want, stream)
	}
	for stream, n := range want {
		m.t.Errorf("there is no stream %s, which should have %d markers", stream, n)
	}
}
