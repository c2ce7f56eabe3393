// Package manifesttest makes small archives for the tests of store: clean queues
// as the ETL writes them, with books, trades and gaps, from a seed.
package manifesttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// Epoch is the ts_recv of a stream's first record, unless it says otherwise:
// 2024-08-08 00:00 UTC.
var Epoch = time.Date(2024, 8, 8, 0, 0, 0, 0, time.UTC).UnixNano()

// Root is a root folder with the usual layout.
type Root struct {
	Dir      string
	Clean    string // clean queues
	Raw      string // raw queue
	Archive  string // the warm tier's place, not made yet
	Manifest string
}

// NewRoot lays out a root below dir.
func NewRoot(tb testing.TB, dir string) Root {
	tb.Helper()
	r := Root{
		Dir: dir, Clean: filepath.Join(dir, "queues", "clean"), Raw: filepath.Join(dir, "queues", "raw_main.q"),
		Archive: filepath.Join(dir, "archive"), Manifest: filepath.Join(dir, "manifest"),
	}
	check(tb, os.MkdirAll(r.Clean, 0o755))
	return r
}

// Stream describes the queue to write.
type Stream struct {
	Venue, Symbol, Stream string
	Segments              int           // sealed ones
	Live                  bool          // one more, which stays unsealed
	Records               int           // per segment; default 8
	Start                 int64         // ts_recv of the first record, ns; default Epoch
	Step                  time.Duration // between records; default 1 s
	GapIn                 int           // segment, from 1, that gets a gap record; 0 is none
	Spoil                 bool          // the last synthetic snapshot is not the book: a defect for fsck to find
}

// ID gives the stream's name.
func (s *Stream) ID() manifest.StreamID {
	return manifest.StreamID{Venue: s.Venue, Symbol: s.Symbol, Stream: s.Stream}
}

// Dir gives the stream's queue below the folder of the clean queues.
func (s *Stream) Dir(clean string) string {
	return filepath.Join(clean, filepath.FromSlash(market.StreamPath(s.Venue, s.Symbol, s.Stream)))
}

// Write appends the stream to its queue and gives the files of its sealed segments.
func Write(tb testing.TB, clean string, s Stream) []string {
	tb.Helper()
	if s.Records == 0 {
		s.Records = 8
	}
	if s.Start == 0 {
		s.Start = Epoch
	}
	if s.Step == 0 {
		s.Step = time.Second
	}
	def := market.Definition{
		Venue: s.Venue, Symbol: s.Symbol, Native: s.Symbol, BookType: market.L2,
		PriceExponent: -2, SizeExponent: -3, Channel: "c1",
	}
	meta, err := json.Marshal(market.StreamMeta{Venue: s.Venue, Symbol: s.Symbol, Stream: s.Stream, Definition: def})
	check(tb, err)
	w, err := queue.OpenWriter(s.Dir(clean), queue.Options{Meta: meta, NoSync: true})
	check(tb, err)
	g := &generator{Stream: s, w: w, book: book.New(market.L2), rng: rand.New(rand.NewPCG(1, uint64(s.Start)))}
	for i := range s.Segments {
		g.spoil = s.Spoil && i == s.Segments-1
		check(tb, g.segment(i+1 == s.GapIn))
		check(tb, w.Roll())
	}
	if s.Live {
		check(tb, g.segment(false))
	}
	check(tb, w.Close())
	return sealed(tb, s.Dir(clean))
}

func sealed(tb testing.TB, dir string) []string {
	tb.Helper()
	files, err := queue.ListSegments(dir)
	check(tb, err)
	var paths []string
	for _, f := range files {
		if f.Sealed {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// generator writes records.
type generator struct {
	Stream
	w     *queue.Writer
	book  *book.Book
	rng   *rand.Rand
	n     int64
	spoil bool
	bad   bool  // a gap has come
	due   bool  // the next record is the one that the snapshot before it was made for
	last  int64 // n of the last event
}

// segment writes one segment's records.
func (g *generator) segment(gap bool) error {
	for i := range g.Records {
		var err error
		switch {
		case gap && i == g.Records/2:
			err = g.gap()
		case g.Stream.Stream == market.StreamBook:
			err = g.bookRecord(i == 0)
		default:
			err = g.trade(i == 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// instant gives the number of the next instant; the record after a snapshot that
// was made for it shares the snapshot's.
func (g *generator) instant() int64 {
	if g.due {
		return g.n - 1
	}
	return g.n
}

// raw gives the raw sequence of the next record.
func (g *generator) raw() uint64 {
	if g.due {
		return g.w.NextSeq() - 1
	}
	return g.w.NextSeq()
}

func (g *generator) time(n int64) int64 { return g.Start + n*int64(g.Step) }

// append writes one record at the next instant.
func (g *generator) append(kind market.Kind, key bool, body []byte) error {
	t := g.time(g.instant())
	g.n++
	g.due = false
	r := queue.Record{Time: t, EventTime: t - 1000, Kind: uint16(kind), Body: body}
	if key {
		r.Flags = queue.FlagKey
	}
	_, err := g.w.Append(r)
	return err
}

func (g *generator) bookRecord(first bool) error {
	ev := market.BookEvent{RawSeq: g.raw(), Seq: uint64(g.n + 1), Flags: market.FlagLast}
	if g.bad {
		ev.Flags |= market.FlagMaybeBadBook
	}
	kind, synthetic := market.KindBook, first && g.n > 0 // the first snapshot is the venue's own: it joins
	if first {
		kind = market.KindSnapshot
		ev.AsOfEvent, ev.AsOfRecv = market.UndefTimestamp, market.UndefTimestamp
		ev.Entries = g.book.AppendSnapshot(nil)
		if g.spoil {
			wrong := g.change(market.Ask)
			wrong.Action = market.Add
			wrong.Price += 100
			ev.Entries = append(ev.Entries, wrong)
		}
	} else {
		ev.Entries = []market.Entry{g.change(market.Bid), g.change(market.Ask)}
		if res := g.book.Apply(&ev, kind); !res.OK() {
			return fmt.Errorf("the book refuses a change: %+v", res)
		}
	}
	if synthetic {
		ev.Attr, ev.Seq = market.AttrSynthetic, uint64(g.last+1)
		ev.Flags |= market.FlagSnapshot | market.FlagMBP
		ev.AsOfRecv, ev.AsOfEvent = g.time(g.last), g.time(g.last)-1000
	} else {
		g.last = g.instant()
		ev.Seq = uint64(g.last + 1)
	}
	body := make([]byte, ev.Size(kind))
	ev.Put(body, kind)
	err := g.append(kind, first, body)
	g.due = synthetic
	return err
}

// change sets a level to a new size.
func (g *generator) change(side market.Side) market.Entry {
	price := 1000 - g.rng.Int64N(20)
	if side == market.Ask {
		price = 1001 + g.rng.Int64N(20)
	}
	return market.Entry{Side: side, Action: market.Modify, Price: price, Size: 1 + g.rng.Int64N(1000)}
}

func (g *generator) trade(first bool) error {
	t := market.Trade{RawSeq: g.raw(), Seq: uint64(g.n + 1), Price: 1000, Size: 1 + g.rng.Int64N(9), Side: market.Bid}
	body := make([]byte, market.TradeSize)
	t.Put(body)
	return g.append(market.KindTrade, first, body)
}

func (g *generator) gap() error {
	end := g.time(g.instant())
	g.bad = true
	return g.append(market.KindGap, false, market.EncodeJSON(&market.Gap{
		RawSeq: g.raw(), Venue: g.Venue, Channel: "c1", Start: end - int64(g.Step), End: end,
		FirstSeq: 7, LastSeq: 9, Cause: market.GapSequence, Detail: "three packets <lost>",
	}))
}

// WriteRaw writes a raw queue of sealed segments and one live one.
func WriteRaw(tb testing.TB, dir string, segments int) {
	tb.Helper()
	w, err := queue.OpenWriter(dir, queue.Options{NoSync: true})
	check(tb, err)
	for i := range segments {
		for j := range 5 {
			_, err := w.Append(queue.Record{Time: Epoch + int64(i*5+j), EventTime: Epoch, Kind: 6, Tag: 1, Body: []byte("raw")})
			check(tb, err)
		}
		if i < segments-1 {
			check(tb, w.Roll())
		}
	}
	check(tb, w.Close())
}

// Rows gives the rows of segment files, as they would be in a tier.
func Rows(tb testing.TB, tier string, paths []string) []manifest.Segment {
	tb.Helper()
	rows := make([]manifest.Segment, 0, len(paths))
	for _, path := range paths {
		seg, err := queue.OpenSegment(path)
		check(tb, err)
		row, err := manifest.Describe(seg.Info(), manifest.Location{Tier: tier, Key: "unknown"})
		check(tb, errors.Join(err, seg.Close()))
		row.Key = row.ArchiveKey()
		rows = append(rows, row)
	}
	return rows
}

// Fake makes rows of segments that do not exist: n of them, each of 100 records
// and 100 seconds.
func Fake(id manifest.StreamID, n int, start int64) []manifest.Segment {
	rows := make([]manifest.Segment, n)
	for i := range rows {
		first := start + int64(i)*100e9
		rows[i] = manifest.Segment{
			Venue: id.Venue, Symbol: id.Symbol, Stream: id.Stream, Date: manifest.Day(first),
			FirstSeq: uint64(i)*100 + 1, LastSeq: uint64(i)*100 + 100, FirstTime: first, LastTime: first + 99e9,
			FirstEventTime: first - 1000, LastEventTime: first + 99e9 - 1000, Records: 100, Keys: 1,
			Kinds: map[uint16]uint64{uint16(market.KindBook): 99, uint16(market.KindSnapshot): 1}, Bytes: 1 << 20,
			Hash: fmt.Sprintf("sha256:%064x", i+1), Tier: "warm",
			Definition: market.Definition{Venue: id.Venue, Symbol: id.Symbol, Native: id.Symbol, BookType: market.L2, PriceExponent: -2, SizeExponent: -3},
		}
		rows[i].Key = rows[i].ArchiveKey()
	}
	return rows
}

// Adds makes the operations that add rows.
func Adds(rows []manifest.Segment) []manifest.Op {
	ops := make([]manifest.Op, len(rows))
	for i := range rows {
		ops[i] = manifest.Op{Op: manifest.OpAdd, Segment: &rows[i]}
	}
	return ops
}
