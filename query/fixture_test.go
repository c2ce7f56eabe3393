package query

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/blob"
	"chronicle/store/manifest"
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

// mover moves segments into the warm tier as a tier agent does.
type mover struct {
	t     tester
	root  string
	store *blob.Dir
	w     *manifest.Writer
}

func (r *root) mover() *mover {
	r.t.Helper()
	ctx := context.Background()
	m := &mover{t: r.t, root: r.dir, store: blob.NewDir(filepath.Join(r.dir, "archive"), TierWarm)}
	check(r.t, m.store.Create(ctx))
	w, err := manifest.OpenWriter(ctx, filepath.Join(r.dir, "manifest"), "host", manifest.WriterOptions{})
	check(r.t, err)
	m.w = w
	return m
}

// The steps of a move by copying, in order.
const (
	stepIntent = iota // announced
	stepCopied        // both copies are there
	stepAdded         // committed; the hot copy is a leftover
	stepDone          // and deleted
)

// move takes the first steps of moving a hot segment, up to and including last.
func (m *mover) move(f queue.SegmentFile, last int) {
	m.t.Helper()
	s, err := queue.OpenSegment(f.Path)
	check(m.t, err)
	row, err := manifest.Describe(s.Info(), manifest.Location{Tier: TierWarm, Key: "x/y"})
	check(m.t, err)
	check(m.t, s.Close())
	row.Key = row.ArchiveKey()
	ref := row.Ref()
	from := manifest.Location{Tier: manifest.Hot, Key: ref.HotKey()}
	m.commit(manifest.Op{Op: manifest.OpIntent, Segment: &row, From: &from})
	if last >= stepCopied {
		m.copy(f.Path, row.Key)
	}
	if last >= stepAdded {
		m.commit(manifest.Op{Op: manifest.OpAdd, Segment: &row, From: &from})
	}
	if last >= stepDone {
		m.finish(f)
	}
}

// finish deletes the hot copy of a segment that was moved up to stepAdded.
func (m *mover) finish(f queue.SegmentFile) {
	m.t.Helper()
	check(m.t, os.Remove(f.Path))
	for ref, left := range leftovers(m.w.State()) {
		if strings.HasSuffix(filepath.ToSlash(f.Path), left.Key) {
			m.commit(manifest.Op{Op: manifest.OpDelete, Of: &ref, At: &left})
		}
	}
}

func leftovers(s *manifest.State) map[manifest.Ref]manifest.Location {
	all := map[manifest.Ref]manifest.Location{}
	for _, l := range s.Leftovers() {
		all[l.Of] = l.At
	}
	return all
}

func (m *mover) copy(from, key string) {
	m.t.Helper()
	f, err := os.Open(from)
	check(m.t, err)
	defer f.Close()
	sum, err := blob.SumOf(f)
	check(m.t, err)
	_, err = f.Seek(0, 0)
	check(m.t, err)
	check(m.t, m.store.Put(context.Background(), key, f, sum))
}

func (m *mover) commit(op manifest.Op) {
	m.t.Helper()
	_, err := m.w.Commit(op)
	check(m.t, err)
}

func (m *mover) close() {
	m.t.Helper()
	check(m.t, m.w.Close())
}

// flow writes random events to a book stream.
type flow struct {
	s      *stream
	rng    *rand.Rand
	now    int64
	nextID uint64
	orders []market.Entry
}

// level gives a random L2 change.
func (f *flow) level() market.Entry {
	e := market.Entry{Side: market.Bid, Price: 90 + f.rng.Int64N(10), Size: 1 + f.rng.Int64N(50), Action: market.Modify, Count: uint32(f.rng.IntN(4))}
	if f.rng.IntN(2) == 0 {
		e.Side, e.Price = market.Ask, e.Price+10
	}
	if f.rng.IntN(4) == 0 {
		e.Action, e.Size = market.Cancel, market.UndefSize
	}
	if f.rng.IntN(12) == 0 {
		e.Action = market.Exec
	}
	return e
}

// order gives a random L3 change.
func (f *flow) order() market.Entry {
	if len(f.orders) == 0 || f.rng.IntN(3) > 0 {
		f.nextID++
		e := f.level()
		e.OrderID, e.Action, e.Size, e.Count = f.nextID, market.Add, 1+f.rng.Int64N(50), 0
		f.orders = append(f.orders, e)
		return e
	}
	e := f.orders[f.rng.IntN(len(f.orders))] // it may be gone: then it is an unknown order
	switch f.rng.IntN(3) {
	case 0:
		e.Action, e.Size = market.Modify, 1+f.rng.Int64N(50)
	case 1:
		e.Action, e.Size = market.Cancel, 1+f.rng.Int64N(20)
	default:
		e.Action, e.Size = market.Cancel, market.UndefSize
	}
	return e
}

func (f *flow) entry() market.Entry {
	if f.s.def.BookType == market.L3 {
		return f.order()
	}
	return f.level()
}

// step advances the time: often not at all, sometimes back.
func (f *flow) step() (recv, event int64) {
	f.now += f.rng.Int64N(4)
	recv = f.now
	if f.rng.IntN(15) == 0 {
		recv -= f.rng.Int64N(5)
	}
	event = recv - 100 - f.rng.Int64N(8)
	if f.rng.IntN(10) == 0 {
		event = noTime
	}
	return recv, event
}

// run writes n random records, cutting segments with probability 1/cut.
func (f *flow) run(n, cut int) {
	for range n {
		recv, event := f.step()
		switch k := f.rng.IntN(40); {
		case k == 0:
			f.s.gap(recv)
		case k == 1:
			f.snapshot(recv, event)
		case k < 5 && len(f.s.records) > 0:
			f.s.inject(recv, event)
		default:
			entries := make([]market.Entry, f.rng.IntN(4))
			for i := range entries {
				entries[i] = f.entry()
			}
			f.s.event(market.KindBook, recv, event, entries...)
		}
		if f.rng.IntN(cut) == 0 {
			f.s.roll()
		}
	}
}

// snapshot writes a venue's own snapshot of another book.
func (f *flow) snapshot(recv, event int64) {
	var entries []market.Entry
	b := book.New(f.s.def.BookType)
	f.orders = nil
	for range f.rng.IntN(12) {
		e := f.entry()
		if e.Action == market.Add || e.Action == market.Modify && f.s.def.BookType == market.L2 {
			b.Apply(&market.BookEvent{Entries: []market.Entry{e}}, market.KindBook)
		}
	}
	entries = b.AppendSnapshot(entries)
	f.s.event(market.KindSnapshot, recv, event, entries...)
}

func newFlow(s *stream, seed uint64) *flow {
	return &flow{s: s, rng: rand.New(rand.NewPCG(seed, 1)), now: 1_700_000_000_000_000_000}
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
