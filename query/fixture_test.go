package query

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/queue"
)

// tester is what fixtures need of testing.TB and rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func check(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// record is one record as it was written, for the oracle.
type record struct {
	seq         uint64
	time, event int64
	kind        market.Kind
	body        market.BookEvent // book, snapshot
	trade       market.Trade
	gap         market.Gap
	raw         []byte // other kinds
}

func (r *record) synthetic() bool {
	return r.kind == market.KindSnapshot && r.body.Attr&market.AttrSynthetic != 0
}

// root is an archive in the making.
type root struct {
	t   tester
	dir string
}

func newRoot(t tester, dir string) *root {
	return &root{t: t, dir: dir}
}

func (r *root) open() *Archive {
	r.t.Helper()
	a, err := Open(context.Background(), Config{Root: r.dir})
	check(r.t, err)
	return a
}

// stream writes one clean stream and remembers what it wrote.
type stream struct {
	t       tester
	root    *root
	id      streamID
	def     market.Definition
	w       *queue.Writer
	records []record
	book    *book.Book
	bad     bool
	seq     uint64 // the venue's
	raw     uint64
	last    [2]int64 // ts_recv and ts_event of the last event
}

func (r *root) stream(id streamID, def market.Definition) *stream {
	r.t.Helper()
	def.Venue, def.Symbol = id.Venue, id.Symbol
	s := &stream{t: r.t, root: r, id: id, def: def, book: book.New(def.BookType), last: [2]int64{noTime, noTime}}
	s.openWriter()
	return s
}

func (s *stream) openWriter() {
	s.t.Helper()
	w, err := queue.OpenWriter(s.dir(), queue.Options{ManualRoll: true, NoSync: true, Meta: marshalMeta(s.id, s.def)})
	check(s.t, err)
	s.w = w
}

func marshalMeta(id streamID, def market.Definition) []byte {
	b, err := json.Marshal(market.StreamMeta{Venue: id.Venue, Symbol: id.Symbol, Stream: id.Stream, Definition: def})
	if err != nil {
		panic(err)
	}
	return b
}

func (s *stream) dir() string {
	return filepath.Join(s.root.dir, "queues", "clean", s.id.Venue, s.id.Symbol, s.id.Stream+".q")
}

// append writes one record. On a book stream a segment's first record is a
// snapshot of the book as it stands.
func (s *stream) append(r record) {
	s.t.Helper()
	if s.id.Stream == market.StreamBook && s.w.SegmentRecords() == 0 && !r.synthetic() {
		s.inject(r.time, r.event)
	}
	var flags uint16
	if r.kind == market.KindSnapshot || s.w.SegmentRecords() == 0 {
		flags = queue.FlagKey
	}
	rec := queue.Record{Time: r.time, EventTime: r.event, Kind: uint16(r.kind), Flags: flags, Body: s.encode(&r)}
	seq, err := s.w.Append(rec)
	check(s.t, err)
	r.seq = seq
	s.records = append(s.records, r)
}

func (s *stream) encode(r *record) []byte {
	switch r.kind {
	case market.KindTrade:
		b := make([]byte, market.TradeSize)
		r.trade.Put(b)
		return b
	case market.KindGap:
		return market.EncodeJSON(&r.gap)
	case market.KindBook, market.KindSnapshot:
	default:
		return r.raw
	}
	b := make([]byte, r.body.Size(r.kind))
	r.body.Put(b, r.kind)
	return b
}

// event writes a book event or a venue's snapshot and applies it.
func (s *stream) event(kind market.Kind, time, event int64, entries ...market.Entry) {
	s.t.Helper()
	s.raw++
	s.seq++
	if kind == market.KindSnapshot {
		s.bad = false
	}
	ev := market.BookEvent{RawSeq: s.raw, Seq: s.seq, Flags: market.FlagLast, Entries: entries, AsOfEvent: event, AsOfRecv: time}
	if kind != market.KindSnapshot {
		ev.AsOfEvent, ev.AsOfRecv = 0, 0
	}
	if s.bad {
		ev.Flags |= market.FlagMaybeBadBook
	}
	if s.w.SegmentRecords() == 0 {
		s.inject(time, event)
	}
	s.book.Apply(&ev, kind)
	s.last = [2]int64{time, event}
	s.append(record{time: time, event: event, kind: kind, body: ev})
}

// inject writes a snapshot of the book as it stands.
func (s *stream) inject(time, event int64) {
	s.t.Helper()
	ev := market.BookEvent{
		RawSeq: s.raw, Seq: s.seq, Flags: market.FlagSnapshot | market.FlagLast, Attr: market.AttrSynthetic,
		AsOfRecv: s.last[0], AsOfEvent: s.last[1], Entries: s.book.AppendSnapshot(nil),
	}
	if s.bad {
		ev.Flags |= market.FlagMaybeBadBook
	}
	s.append(record{time: time, event: event, kind: market.KindSnapshot, body: ev})
}

// gap writes a gap marker; the book is not trusted after it.
func (s *stream) gap(time int64) {
	s.t.Helper()
	s.raw++
	s.append(record{time: time, event: noTime, kind: market.KindGap, gap: market.Gap{
		RawSeq: s.raw, Venue: s.id.Venue, Symbol: s.id.Symbol, Channel: "ch", Start: max(s.last[0], 0), End: time, Cause: market.GapDisconnect,
	}})
	s.bad = true
}

func (s *stream) trade(time, event, price, size int64) {
	s.t.Helper()
	s.raw++
	s.seq++
	side := market.Bid
	if s.seq%2 == 0 {
		side = market.Ask
	}
	s.append(record{time: time, event: event, kind: market.KindTrade, trade: market.Trade{
		RawSeq: s.raw, Seq: s.seq, TradeID: 1000 + s.seq, Price: price, Size: size, Side: side, Flags: market.FlagLast,
	}})
}

func (s *stream) roll() {
	s.t.Helper()
	check(s.t, s.w.Roll())
}

func (s *stream) close() {
	s.t.Helper()
	check(s.t, s.w.Close())
}

// sealed lists the stream's sealed hot segments.
func (s *stream) sealed() []queue.SegmentFile {
	s.t.Helper()
	files, err := queue.ListSegments(s.dir())
	check(s.t, err)
	var sealed []queue.SegmentFile
	for _, f := range files {
		if f.Sealed {
			sealed = append(sealed, f)
		}
	}
	return sealed
}

func bookID(venue, symbol string) streamID {
	return streamID{market.SymbolID{Venue: venue, Symbol: symbol}, market.StreamBook}
}

func tempDir(tb testing.TB) string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		dir, err := os.MkdirTemp("/dev/shm", "chronicle-query-")
		if err == nil {
			tb.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return tb.TempDir()
}
