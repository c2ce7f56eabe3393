package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/book/audit"
	"chronicle/market"
	"chronicle/store/queue"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clean writes one clean book stream as the ETL does: an L2 book, one change per
// event, a snapshot at each segment's start and where it is told.
type clean struct {
	t    testing.TB
	id   market.SymbolID
	w    *queue.Writer
	book *book.Book
	raw  uint64
	now  int64
	last int64 // time of the last event
	bad  bool

	spoil func(*market.BookEvent) // changes the next record before it is written
}

func newClean(t testing.TB, dir, symbol string) *clean {
	t.Helper()
	c := &clean{t: t, id: market.SymbolID{Venue: "sim", Symbol: symbol}, book: book.New(market.L2), now: 1_700_000_000_000_000_000, last: market.UndefTimestamp}
	def := market.Definition{Venue: "sim", Symbol: symbol, BookType: market.L2, PriceExponent: -2}
	meta, err := json.Marshal(market.StreamMeta{Venue: "sim", Symbol: symbol, Stream: market.StreamBook, Definition: def})
	must(t, err)
	c.w, err = queue.OpenWriter(c.dir(dir), queue.Options{ManualRoll: true, NoSync: true, SegmentBytes: 1 << 20, Meta: meta})
	must(t, err)
	t.Cleanup(func() { _ = c.w.Close() })
	return c
}

func (c *clean) dir(clean string) string {
	return filepath.Join(clean, filepath.FromSlash(market.StreamPath(c.id.Venue, c.id.Symbol, market.StreamBook)))
}

func (c *clean) put(kind market.Kind, time int64, ev *market.BookEvent) {
	c.t.Helper()
	if c.bad {
		ev.Flags |= market.FlagMaybeBadBook
	}
	if c.spoil != nil {
		c.spoil(ev)
		c.spoil = nil
	}
	b := make([]byte, ev.Size(kind))
	ev.Put(b, kind)
	r := queue.Record{Time: time, EventTime: time, Kind: uint16(kind), Body: b}
	if kind == market.KindSnapshot {
		r.Flags = queue.FlagKey
	}
	_, err := c.w.Append(r)
	must(c.t, err)
}

// snapshot writes the book as it stands, before the next event.
func (c *clean) snapshot() {
	c.put(market.KindSnapshot, c.now+1, &market.BookEvent{
		RawSeq: c.raw + 1, Flags: market.FlagSnapshot | market.FlagLast | market.FlagMBP, Attr: market.AttrSynthetic,
		AsOfEvent: c.last, AsOfRecv: c.last, Entries: c.book.AppendSnapshot(nil),
	})
}

// events writes n changes, each of a level of its own.
func (c *clean) events(n int) {
	c.t.Helper()
	for range n {
		if c.w.SegmentRecords() == 0 {
			c.snapshot()
		}
		c.now++
		c.raw++
		ev := market.BookEvent{RawSeq: c.raw, Flags: market.FlagLast, Entries: []market.Entry{
			{Side: market.Bid, Price: int64(c.raw % 100), Size: int64(c.raw), Action: market.Modify},
		}}
		c.book.Apply(&ev, market.KindBook)
		c.last = c.now
		c.put(market.KindBook, c.now, &ev)
	}
}

// rounds writes n snapshots, each after a few events.
func (c *clean) rounds(n int) {
	for range n {
		c.events(5)
		c.snapshot()
		c.events(1)
	}
}

// venue writes a venue's snapshot, which proves the book.
func (c *clean) venue() {
	c.now++
	c.raw++
	c.bad = false
	ev := market.BookEvent{RawSeq: c.raw, Flags: market.FlagSnapshot | market.FlagLast, Entries: []market.Entry{{Side: market.Bid, Price: 7, Size: 7, Action: market.Add}}}
	c.book.Apply(&ev, market.KindSnapshot)
	c.last = c.now
	c.put(market.KindSnapshot, c.now, &ev)
}

// wrong makes the next record show or change something else.
func (c *clean) wrong() {
	c.spoil = func(ev *market.BookEvent) {
		ev.Entries = slices.Clone(ev.Entries)
		ev.Entries[0].Size += 1000
	}
}

func (c *clean) roll() { must(c.t, c.w.Roll()) }

// stopped is a clock that stands still but when the auditor sleeps.
type stopped struct {
	t      time.Time
	step   time.Duration // by which it goes on when it is read
	slept  time.Duration
	onRest func()
}

func (s *stopped) clock() clock {
	return clock{
		now: func() time.Time { s.t = s.t.Add(s.step); return s.t },
		sleep: func(ctx context.Context, d time.Duration) error {
			s.t, s.slept = s.t.Add(d), s.slept+d
			if s.onRest != nil {
				s.onRest()
			}
			return ctx.Err()
		},
	}
}

// newAuditor makes an auditor with a clock that stands still.
func newAuditor(t testing.TB, dir string, change func(*Config)) (*Auditor, *stopped) {
	t.Helper()
	cfg := Config{CleanDir: filepath.Join(dir, "clean"), LedgerPath: filepath.Join(dir, "etl", "ledger.jsonl")}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	must(t, err)
	s := &stopped{t: time.Unix(1_800_000_000, 0)}
	a.pace.clock, a.begun = s.clock(), s.t
	return a, s
}

// ledgerRows reads the ledger.
func ledgerRows(t testing.TB, dir string) []audit.Row {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "etl", "ledger.jsonl"))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	rows, whole, err := audit.ReadRows(b)
	must(t, err)
	if whole != len(b) {
		t.Fatalf("%d bytes after the rows", len(b)-whole)
	}
	return rows
}

func ledgerLines(t testing.TB, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "etl", "ledger.jsonl"))
	if os.IsNotExist(err) {
		return 0
	}
	must(t, err)
	return bytes.Count(b, []byte{'\n'})
}
