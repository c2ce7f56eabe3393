package audit

import (
	"slices"

	"pgregory.net/rapid"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/market"
)

// item is a record of a stream in the making, not yet encoded.
type item struct {
	Record
	ev  market.BookEvent
	gap market.Gap
	def *market.Definition // not nil: a segment begins here
}

func (it *item) synthetic() bool {
	return it.Kind == market.KindSnapshot && it.ev.Attr&market.AttrSynthetic != 0
}

// proof tells whether the record may make a bad book good.
func (it *item) proof() bool {
	return it.Kind == market.KindSnapshot && it.ev.Attr&market.AttrSynthetic == 0
}

// lost tells whether the record is the marker of a gap that makes a book bad.
func (it *item) lost() bool {
	return it.Kind == market.KindGap && !it.gap.Recovered && it.gap.Session == ""
}

// feed gives the items to a checker.
func feed(c *Checker, items []item) {
	for i := range items {
		it := &items[i]
		if it.def != nil {
			c.Begin(it.def)
		}
		it.encode()
		c.Next(&it.Record)
	}
}

func (it *item) encode() {
	switch {
	case it.Kind == market.KindGap:
		it.Body = market.EncodeJSON(&it.gap)
	case it.Kind == market.KindBook || it.Kind == market.KindSnapshot:
		it.Body = make([]byte, it.ev.Size(it.Kind))
		it.ev.Put(it.Body, it.Kind)
	}
}

// clone copies items so that a change to one is seen by nobody else.
func clone(items []item) []item {
	out := slices.Clone(items)
	for i := range out {
		out[i].ev.Entries = slices.Clone(out[i].ev.Entries)
	}
	return out
}

// writer writes a book stream as the pipeline does, from drawn input.
type writer struct {
	t     *rapid.T
	def   market.Definition
	book  *book.Book
	items []item
	begin bool // the next record begins a segment
	bad   bool
	raw   uint64
	now   int64

	seq              uint64 // of the last event in the book
	hole             uint64 // venue sequences that are missing before the next event
	lastEvent, lastT int64
	deltas           int
	nextID           uint64
	resolver         book.Resolver
	sums             checksum.Checker
}

func drawWriter(t *rapid.T) *writer {
	w := &writer{t: t, begin: true, now: 1_000_000, raw: 1, lastEvent: market.UndefTimestamp, lastT: market.UndefTimestamp}
	w.def = market.Definition{Venue: "v", Symbol: "s", BookType: market.L2, PriceExponent: -2, SizeExponent: -2}
	switch rapid.IntRange(0, 3).Draw(t, "type") {
	case 0:
		w.def.Chained = true
	case 1:
		w.def.Checksum = checksum.Kraken
	case 2:
		w.def.BookType = market.L3
	}
	w.book = book.New(w.def.BookType)
	w.bad = rapid.Bool().Draw(t, "bad")
	return w
}

// drawStream draws a whole stream.
func drawStream(t *rapid.T) []item {
	w := drawWriter(t)
	for range rapid.IntRange(5, 60).Draw(t, "steps") {
		w.raw += 1 + uint64(rapid.IntRange(0, 2).Draw(t, "skipped raw"))
		w.now += int64(rapid.IntRange(0, 50).Draw(t, "time"))
		switch k := rapid.IntRange(0, 39).Draw(t, "step"); {
		case k < 28:
			w.delta(w.raw)
		case k < 31:
			w.venue(w.drawBook(), false)
		case k == 31:
			w.venue(nil, rapid.Bool().Draw(t, "bad channel") && w.bad)
			if rapid.Bool().Draw(t, "at a snapshot") { // which shows that a session has begun
				w.venue(w.drawBook(), false)
			}
		case k == 32:
			w.marker(market.Gap{Cause: market.GapSequence})
			w.bad = true
		case k == 33:
			w.marker(market.Gap{Cause: market.GapSequence, Recovered: true})
		case k == 34:
			w.marker(market.Gap{Cause: market.GapSequence, Session: "gone"})
		case k == 35 && w.def.Chained:
			w.join()
		case k == 36:
			w.lostRaw()
		case k == 37 && len(w.items) > 0:
			w.redefine()
		default:
			w.begin = true
		}
	}
	return w.items
}

// put appends one record.
func (w *writer) put(it item) {
	it.Seq = uint64(len(w.items) + 1)
	if w.begin {
		def := w.def
		it.def, w.begin = &def, false
	}
	w.items = append(w.items, it)
}

// inject writes the book as it stands.
func (w *writer) inject(raw uint64, time, event int64) {
	it := item{Record: Record{Kind: market.KindSnapshot, Time: time, EventTime: event}, ev: market.BookEvent{
		RawSeq: raw, Seq: w.seq, Flags: market.FlagSnapshot | market.FlagLast, Attr: market.AttrSynthetic,
		AsOfEvent: w.lastEvent, AsOfRecv: w.lastT, Entries: w.book.AppendSnapshot(nil),
	}}
	if w.def.BookType == market.L2 {
		it.ev.Flags |= market.FlagMBP
	}
	it.ev.Flags |= w.flag()
	w.deltas = 0
	w.put(it)
}

func (w *writer) flag() market.Flags {
	if w.bad {
		return market.FlagMaybeBadBook
	}
	return 0
}

// event writes one event of the given venue sequences; 0 is none.
func (w *writer) event(kind market.Kind, raw, prev, seq uint64, entries []market.Entry) {
	it := item{Record: Record{Kind: kind, Time: w.now, EventTime: w.now - 500}, ev: market.BookEvent{RawSeq: raw, Seq: seq, PrevSeq: prev, Flags: market.FlagLast, Entries: entries}}
	if rapid.IntRange(0, 9).Draw(w.t, "no ts_event") == 0 {
		it.EventTime = market.UndefTimestamp
	}
	if kind == market.KindBook && (w.begin || w.deltas > 0 && rapid.IntRange(0, 4).Draw(w.t, "due") == 0) {
		w.inject(raw, it.Time, it.EventTime)
	}
	if w.def.BookType == market.L3 && kind == market.KindBook {
		w.resolver.Resolve(w.book, &it.ev)
	}
	res := w.book.Apply(&it.ev, kind)
	if !w.bad && (w.def.BookType == market.L3 && res.Unknown > 0 || w.def.BookType == market.L2 && w.book.Crossed()) {
		w.marker(market.Gap{Cause: market.GapUnknownOrder, RawSeq: raw})
		w.bad = true
	}
	it.ev.Flags |= w.flag()
	if w.def.Checksum != "" {
		it.ev.Attr |= market.AttrChecksum
		it.ev.Checksum, _ = w.sums.Compute(w.def.Checksum, w.book, -2, -2)
	}
	w.lastEvent, w.lastT = it.EventTime, it.Time
	if seq != 0 {
		w.seq = seq
	}
	w.deltas++
	w.put(it)
}

func (w *writer) delta(raw uint64) {
	prev := w.seq + w.hole
	w.hole = 0
	w.event(market.KindBook, raw, prev, prev+1+uint64(rapid.IntRange(0, 2).Draw(w.t, "seq")), w.drawEntries())
}

// venue writes a venue's snapshot; no entries: the empty book of a new session.
func (w *writer) venue(entries []market.Entry, bad bool) {
	w.bad = bad
	if entries == nil {
		w.event(market.KindSnapshot, w.raw, 0, 0, nil)
		return
	}
	seq := w.seq + w.hole + 3
	w.hole = 0
	w.event(market.KindSnapshot, w.raw, 0, seq, entries)
	if w.def.Chained && rapid.Bool().Draw(w.t, "joins inside") {
		w.raw++
		w.now++
		w.event(market.KindBook, w.raw, seq-2, seq+1, w.drawEntries())
	}
}

// join writes what happens around a snapshot that was waited for: a chain breaks,
// events wait, the snapshot comes with a later raw sequence than some of them.
func (w *writer) join() {
	w.marker(market.Gap{Cause: market.GapChain, RawSeq: w.raw + 1})
	w.bad = true
	w.hole = 5
	before, after := rapid.IntRange(0, 2).Draw(w.t, "before"), rapid.IntRange(0, 2).Draw(w.t, "after")
	first := w.raw + 1
	w.raw = first + uint64(before+after)
	for range before {
		w.delta(first)
		first++
	}
	w.bad = false
	w.event(market.KindSnapshot, w.raw, 0, w.seq+w.hole+1, w.drawBook())
	w.hole = 0
	for range after {
		w.delta(first)
		first++
	}
}

func (w *writer) marker(g market.Gap) {
	if g.RawSeq == 0 {
		g.RawSeq = w.raw
	}
	if w.begin {
		w.inject(g.RawSeq, w.now, market.UndefTimestamp)
	}
	w.put(item{Record: Record{Kind: market.KindGap, Time: w.now, EventTime: market.UndefTimestamp}, gap: g})
}

// lostRaw: the raw queue has lost its newest records, and gives their numbers out
// again. What was made of them may end with a snapshot that was made for nothing.
func (w *writer) lostRaw() {
	if !w.begin && rapid.Bool().Draw(w.t, "dangling") && !w.items[len(w.items)-1].synthetic() {
		w.inject(w.raw+1, w.now, w.now)
	}
	w.begin = w.begin || rapid.Bool().Draw(w.t, "cut")
	if len(w.items) > 0 {
		w.raw -= min(4, w.raw-1)
	}
	w.now++
	w.marker(market.Gap{Cause: market.GapRawLost})
	w.bad = true
}

// redefine begins a segment in which prices mean something else.
func (w *writer) redefine() {
	if w.begin {
		return
	}
	w.def.PriceExponent--
	w.begin = true
	w.book.Clear()
	w.bad = true
}

func (w *writer) drawEntries() []market.Entry {
	return rapid.SliceOfN(rapid.Custom(w.drawEntry), 0, 3).Draw(w.t, "entries")
}

// drawEntry draws a raw change: what an L3 feed leaves open is left open.
func (w *writer) drawEntry(t *rapid.T) market.Entry {
	e := market.Entry{Side: market.Bid, Price: 100 - rapid.Int64Range(0, 5).Draw(t, "price"), Size: rapid.Int64Range(1, 9).Draw(t, "size"), Action: market.Modify}
	if rapid.Bool().Draw(t, "ask") {
		e.Side, e.Price = market.Ask, e.Price+6
	}
	if rapid.IntRange(0, 99).Draw(t, "far") == 0 {
		e.Price = 200 - e.Price
	}
	if w.def.BookType == market.L2 {
		e.Count = rapid.Uint32Range(0, 2).Draw(t, "count")
		if rapid.IntRange(0, 4).Draw(t, "cancel") == 0 {
			e.Action = market.Cancel
		}
		return e
	}
	old := 1 + rapid.Uint64Range(0, w.nextID).Draw(t, "id")
	switch rapid.IntRange(0, 7).Draw(t, "order") {
	case 0:
		return market.Entry{OrderID: old, Price: market.UndefPrice, Size: market.UndefSize, Side: market.NoSide, Action: market.Cancel}
	case 1:
		return market.Entry{OrderID: old, Price: market.UndefPrice, Size: 1, Side: market.NoSide, Action: market.Fill}
	case 2:
		return market.Entry{OrderID: old, Price: e.Price, Size: e.Size, Side: market.NoSide, Action: market.Modify}
	}
	w.nextID++
	e.OrderID, e.Action = w.nextID, market.Add
	return e
}

// drawBook draws the entries of a snapshot, never none.
func (w *writer) drawBook() []market.Entry {
	b := book.New(w.def.BookType)
	for range rapid.IntRange(1, 6).Draw(w.t, "orders") {
		w.nextID++
		e := market.Entry{OrderID: w.nextID, Side: market.Bid, Price: 100 - rapid.Int64Range(0, 5).Draw(w.t, "price"), Size: 3, Action: market.Add}
		if rapid.Bool().Draw(w.t, "ask") {
			e.Side, e.Price = market.Ask, e.Price+6
		}
		if w.def.BookType == market.L2 {
			e.OrderID = 0
		}
		b.Apply(&market.BookEvent{Entries: []market.Entry{e}}, market.KindBook)
	}
	return b.AppendSnapshot(nil)
}
