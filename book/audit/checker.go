package audit

import (
	"fmt"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/market"
)

// Record is one record of a book stream, as its queue has it.
type Record struct {
	Seq             uint64
	Time, EventTime int64
	Kind            market.Kind
	Body            []byte // of KindBook, KindSnapshot or KindGap; not kept
}

// Stats count what a Checker has done since it was made.
type Stats struct {
	Records   uint64 // fed
	Snapshots uint64 // synthetic ones compared with the book
	Findings  uint64
}

// Checker proves one book stream after the other. Use New to make one.
type Checker struct {
	report func(*Finding)
	def    market.Definition
	book   *book.Book // nil before the first Begin
	event  market.BookEvent
	shown  []market.Entry // the book as a snapshot would show it
	sums   checksum.Checker
	stats  Stats
	state
}

// state is what is known of the stream at hand.
type state struct {
	begins bool   // the next record is the first one of a segment
	known  bool   // the book is known: a snapshot has come
	bad    bool   // the book is called bad, or must be from the next record on
	fresh  bool   // chained: the last event may have been a snapshot
	next   uint64 // clean sequence that must come; 0 is any
	raw    uint64 // raw sequence of the last event; 0 not known
	joined uint64 // and of the last venue snapshot
	due    due
	proved Mark
	healed Mark     // the last venue snapshot that is called good
	doubt  *Finding // holds unless a loss of raw records follows

	// The venue sequence and the times of the last event in the book; each is not
	// compared before it is known.
	seqKnown, timesKnown bool
	seq                  uint64
	eventTime, recvTime  int64
}

// due is what the record after a synthetic snapshot must have.
type due struct {
	on              bool
	raw             uint64
	time, eventTime int64
}

// New makes a Checker that calls report with each finding; what it is given is
// valid during the call.
func New(report func(*Finding)) *Checker { return &Checker{report: report} }

// Reset begins another stream, or the same one at another place: the next record
// should be a snapshot, and is taken as it is. Memory is kept.
func (c *Checker) Reset() { c.state = state{} }

// Lose tells that records are missing before the next one: the book is not known
// until a snapshot comes.
func (c *Checker) Lose() {
	begins := c.begins
	c.state = state{begins: begins}
}

// Stats tells what was done so far.
func (c *Checker) Stats() Stats { return c.stats }

// Proved gives the last snapshot of the stream: up to there everything has been
// compared. It is zero before the first one, and after Lose and Reset.
func (c *Checker) Proved() Mark { return c.proved }

// Healed gives the last snapshot of the venue, or empty book of a new session, that
// proves the book whatever was before it. It is zero as Proved is.
func (c *Checker) Healed() Mark { return c.healed }

// Known tells whether the book is known.
func (c *Checker) Known() bool { return c.known }

// Begin tells that a segment with the given definition begins with the next
// record. Where prices or sizes mean something else from there on, the book begins
// empty and bad, as its writer's does.
func (c *Checker) Begin(def *market.Definition) {
	old := c.def
	c.def, c.begins = *def, true
	switch {
	case c.book == nil || old.BookType != def.BookType:
		c.book = book.New(def.BookType)
		c.bad = c.known
	case !c.known:
	case old.PriceExponent != def.PriceExponent || old.SizeExponent != def.SizeExponent:
		c.book.Clear()
		c.bad = true
	}
}

// Next takes the next record of the stream. Begin must have been called before.
func (c *Checker) Next(r *Record) {
	c.stats.Records++
	if c.next != 0 && r.Seq != c.next {
		c.find(r, 0, Sequence, fmt.Sprintf("record %d", c.next), fmt.Sprintf("record %d", r.Seq))
		c.Lose()
	}
	c.next = r.Seq + 1
	if c.begins && r.Kind != market.KindSnapshot {
		c.find(r, 0, First, "a segment that begins with a snapshot", "a "+r.Kind.String())
	}
	c.begins = false
	if r.Kind != market.KindGap {
		c.settle()
	}
	var err error
	switch r.Kind {
	case market.KindSnapshot:
		err = c.snapshot(r)
	case market.KindBook:
		err = c.delta(r)
	case market.KindGap:
		err = c.gap(r)
	default:
		err = fmt.Errorf("a %v, which does not belong in a book stream", r.Kind)
	}
	if err != nil {
		c.find(r, 0, Invalid, "a record of a book stream", err.Error())
		next := c.next
		c.Lose()
		c.next = next
	}
}

// gap takes a marker: of an unrecovered gap in the present session the book is bad.
func (c *Checker) gap(r *Record) error {
	g, err := market.DecodeJSON[market.Gap](r.Body)
	if err == nil && g.Cause == market.GapRawLost {
		// The numbers of the records that were lost are given out again, and what
		// the stream had kept of them is followed by nothing.
		c.raw, c.joined, c.due, c.doubt = 0, 0, due{}, nil
		c.seqKnown, c.timesKnown = false, false
	}
	c.settle()
	if err != nil || !c.known {
		return err
	}
	c.follows(r, g.RawSeq)
	c.order(r, g.RawSeq)
	if !g.Recovered && g.Session == "" {
		c.bad = true
	}
	return nil
}

// settle reports what was in doubt before the record at hand.
func (c *Checker) settle() {
	if c.doubt != nil {
		c.tell(c.doubt)
		c.doubt = nil
	}
}

// follows checks that a record is the one which the snapshot before it was made
// for. A snapshot is never that, but where raw records were lost one may follow on another.
func (c *Checker) follows(r *Record, raw uint64) {
	d := c.due
	if c.due.on = false; !d.on {
		return
	}
	if raw == d.raw && r.Time == d.time && (r.Kind != market.KindBook || r.EventTime == d.eventTime) {
		return
	}
	f := c.finding(r, raw, Place, fmt.Sprintf("the record that made the snapshot due: raw %d, ts_recv %d, ts_event %d", d.raw, d.time, d.eventTime),
		fmt.Sprintf("a %v: raw %d, ts_recv %d, ts_event %d", r.Kind, raw, r.Time, r.EventTime))
	if r.Kind == market.KindSnapshot {
		c.doubt = f
		return
	}
	c.tell(f)
}

// order checks the raw sequence of a record. An event that waited for its venue's
// snapshot stands behind it, with a lower raw sequence; those of events never go
// back. A synthetic snapshot has that of the record which follows it.
func (c *Checker) order(r *Record, raw uint64) {
	if raw < c.raw || raw == c.raw && r.Kind == market.KindBook {
		c.find(r, raw, RawOrder, fmt.Sprintf("a raw sequence after %d", c.raw), fmt.Sprint(raw))
	}
}

// flag checks what a record calls the book, given whether the record is proof.
func (c *Checker) flag(r *Record, raw uint64, flags market.Flags, proof bool) {
	bad := flags&market.FlagMaybeBadBook != 0
	switch {
	case bad && !c.bad:
		c.find(r, raw, Unmarked, "a good book, or a gap marker before", "a book that is called bad")
	case !bad && c.bad && !proof:
		c.find(r, raw, Unproved, "a book called bad until a venue snapshot or a new session", "a book that is called good")
	}
	c.bad = bad
}

// happened takes note of a venue's event.
func (c *Checker) happened(r *Record, ev *market.BookEvent) {
	c.eventTime, c.recvTime, c.timesKnown = r.EventTime, r.Time, true
	if ev.Seq != 0 {
		c.seq, c.seqKnown = ev.Seq, true
	}
}
