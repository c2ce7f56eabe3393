package tape

import (
	"slices"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/market"
)

// maxHeld bounds the events of a chained instrument that wait for a snapshot.
const maxHeld = 50_000

// Follower keeps the book of one instrument along the tape, and knows whether it
// can be trusted, by the rules of the refined archive:
//
//   - An L3 book is good from the beginning of its venue session on, an L2 book
//     from a snapshot of the venue on. A chained book (Binance) joins its snapshot
//     at the place that the venue's sequence gives it.
//   - A gap, an outage, a broken chain, an unknown order or a checksum that does
//     not match make it bad, until the next proof. It is kept all the same.
//
// So it must see every message of the tape from the start on, gaps and sessions
// included. It belongs to one goroutine, and allocates only while its book grows.
type Follower struct {
	symbol market.SymbolID

	def      *market.Definition // nil until it is seen
	book     *book.Book
	resolver book.Resolver
	check    checksum.Checker
	good     bool

	// Chained instruments.
	waiting bool   // for a snapshot
	fresh   bool   // the last thing applied was a snapshot
	seq     uint64 // venue sequence of the last event applied
	held    []market.BookEvent

	sound map[string]bool // by channel: its venue session was seen from the start, without a gap
}

// NewFollower follows the book of symbol, in Chronicle's own spelling.
func NewFollower(symbol market.SymbolID) *Follower {
	return &Follower{symbol: symbol, book: book.New(market.L2), sound: make(map[string]bool)}
}

// Wants tells whether a definition is the followed instrument's; for Options.Want.
func (f *Follower) Wants(d *market.Definition) bool { return d.SymbolID() == f.symbol }

// Book gives the book as it is now. It changes with Apply and must not be changed
// otherwise; a new definition may replace it.
func (f *Follower) Book() *book.Book { return f.book }

// Good tells whether the book is known to be right.
func (f *Follower) Good() bool { return f.good }

// Definition gives the instrument's definition; nil before it was seen.
func (f *Follower) Definition() *market.Definition { return f.def }

// Apply takes the next message of the tape, of whatever instrument, and tells
// whether the book was changed by it.
func (f *Follower) Apply(m *Message) bool {
	switch m.Kind {
	case market.KindSession:
		return f.session(m.Session)
	case market.KindGap:
		f.gap(m.Gap)
		return false
	}
	if m.Instrument == nil || m.Instrument != f.def && m.Instrument.SymbolID() != f.symbol {
		return false
	}
	if m.Instrument != f.def {
		f.define(m.Instrument)
	}
	switch {
	case m.Kind != market.KindBook && m.Kind != market.KindSnapshot:
		return false
	case f.def.Chained:
		return f.chained(&m.Book, m.Kind)
	case m.Kind == market.KindSnapshot:
		f.good = true
	}
	f.apply(&m.Book, m.Kind)
	return true
}

// define takes the definition that is in force from here on.
func (f *Follower) define(def *market.Definition) {
	old := f.def
	f.def = def
	if old != nil && old.BookType == def.BookType && old.PriceExponent == def.PriceExponent && old.SizeExponent == def.SizeExponent {
		return // the book goes on
	}
	f.book = book.New(def.BookType)
	f.distrust()
	f.good = def.BeginsEmpty() && f.sound[def.Channel]
}

func (f *Follower) distrust() {
	f.good, f.fresh, f.waiting = false, false, true
	f.held = f.held[:0]
}

func (f *Follower) session(s *market.Session) bool {
	mine := f.def != nil && s.Channel == f.def.Channel
	switch {
	case s.Venue != f.symbol.Venue:
	case s.Event == market.SessionSourceBegin:
		clear(f.sound)
		f.distrust()
	case s.Event == market.SessionConnect && mine:
		f.distrust()
	case s.Event == market.SessionNew:
		f.sound[s.Channel] = true
		if mine && f.def.BeginsEmpty() {
			f.book.Clear()
			f.good = true
			return true
		}
	}
	return false
}

func (f *Follower) gap(g *market.Gap) {
	if g.Venue != f.symbol.Venue || g.Recovered || g.Session != "" {
		return
	}
	f.unsound(g.Channel)
	if f.def != nil && (g.Channel == "" || g.Channel == f.def.Channel) && (g.Symbol == "" || g.Symbol == f.symbol.Symbol) {
		f.distrust()
	}
}

// unsound notes that a channel lacks messages; all of them, if it has no name.
func (f *Follower) unsound(channel string) {
	if channel != "" {
		f.sound[channel] = false
		return
	}
	clear(f.sound)
}

// chained applies the rule of venues whose events name the one they follow: after
// a snapshot of sequence S the first event is the one with PrevSeq <= S < Seq, and
// from there on each follows the one before.
func (f *Follower) chained(ev *market.BookEvent, kind market.Kind) bool {
	switch {
	case kind == market.KindSnapshot:
		return f.join(ev)
	case f.waiting:
		f.hold(ev)
		return false
	case ev.Seq <= f.seq:
		return false // a repetition
	case ev.PrevSeq == f.seq || f.fresh && ev.PrevSeq <= f.seq:
		f.fresh, f.seq = false, ev.Seq
		f.apply(ev, kind)
		return true
	}
	f.distrust()
	f.hold(ev)
	return false
}

// hold keeps an event for the snapshot to come; of too many the oldest go, which
// a later snapshot contains.
func (f *Follower) hold(ev *market.BookEvent) {
	if len(f.held) == maxHeld {
		f.held = slices.Delete(f.held, 0, maxHeld/2)
	}
	h := *ev
	h.Entries = slices.Clone(ev.Entries)
	f.held = append(f.held, h)
}

// join starts from a snapshot, and applies the events held that it lacks.
func (f *Follower) join(snap *market.BookEvent) bool {
	if !f.waiting && snap.Seq < f.seq {
		return false // the book is newer
	}
	held := f.held
	for len(held) > 0 && held[0].Seq <= snap.Seq {
		held = held[1:]
	}
	if len(held) > 0 && held[0].PrevSeq > snap.Seq {
		return false // too old for the events that wait
	}
	f.waiting, f.fresh, f.good, f.seq = false, true, true, snap.Seq
	f.apply(snap, market.KindSnapshot)
	f.held = nil // what follows may break the chain and hold anew
	for i := range held {
		f.chained(&held[i], market.KindBook)
	}
	return true
}

// apply changes the book; what does not fit makes it bad.
func (f *Follower) apply(ev *market.BookEvent, kind market.Kind) {
	l3 := f.def.BookType == market.L3
	if l3 && kind == market.KindBook {
		f.resolver.Resolve(f.book, ev)
	}
	res := f.book.Apply(ev, kind)
	if f.def.Depth > 0 && !l3 {
		ev.Entries = f.book.Truncate(market.Bid, f.def.Depth, ev.Entries)
		ev.Entries = f.book.Truncate(market.Ask, f.def.Depth, ev.Entries)
	}
	if l3 && res.Unknown > 0 {
		f.good = false
	}
	if ev.Attr&market.AttrChecksum != 0 {
		sum, known := f.check.Compute(f.def.Checksum, f.book, f.def.PriceExponent, f.def.SizeExponent)
		if known && sum != ev.Checksum {
			f.good = false
		}
	}
}
