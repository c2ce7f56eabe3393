package audit

import (
	"fmt"

	"chronicle/market"
)

// Kind names what is wrong.
type Kind string

// The kinds of finding.
const (
	Invalid   Kind = "invalid"       // a body does not follow its layout, or does not belong in a book stream
	Sequence  Kind = "sequence"      // clean sequences are not contiguous
	First     Kind = "first"         // a segment does not begin with a snapshot
	RawOrder  Kind = "raw_order"     // raw sequences go back
	Differs   Kind = "differs"       // a synthetic snapshot is not the book that the records before it make
	AsOf      Kind = "as_of"         // a synthetic snapshot is not as of the last event
	Place     Kind = "place"         // a synthetic snapshot is not followed by the record that made it due
	Flags     Kind = "flags"         // a synthetic snapshot has other flags than the book that it shows
	Unproved  Kind = "unproved"      // a book is called good again without proof
	Unmarked  Kind = "unmarked"      // a book is called bad, but no gap marker says since when and why
	Chain     Kind = "chain"         // an event of a good, chained book does not follow the one before
	Checksum  Kind = "checksum"      // the venue's checksum does not match a book that is called good
	Crossed   Kind = "crossed"       // an L2 book that is called good is crossed after a whole event
	Unknown   Kind = "unknown_order" // an event of a good book names an order that the book does not hold
	Execution Kind = "execution"     // the parts of an execution or a cancel contradict each other or the resting order
)

// Harmless tells whether the finding leaves every book that is called good a
// right one: something is missing from the list of gaps.
func (k Kind) Harmless() bool { return k == Unmarked }

// Mark is a place in a book stream.
type Mark struct {
	Seq    uint64 // clean
	RawSeq uint64
	Time   int64 // ts_recv
}

// Finding is something that is not as it must be.
type Finding struct {
	Kind      Kind
	At        Mark // the record at hand; its RawSeq is 0 where the body cannot be read
	EventTime int64
	Since     Mark   // the last snapshot before it: up to there nothing was wrong that is not reported
	Want, Got string // for people
}

// String gives one line.
func (f *Finding) String() string {
	return fmt.Sprintf("%s at record %d (raw %d): expected %s, found %s (proved up to record %d)", f.Kind, f.At.Seq, f.At.RawSeq, f.Want, f.Got, f.Since.Seq)
}

// finding makes a finding about the record at hand.
func (c *Checker) finding(r *Record, raw uint64, kind Kind, want, got string) *Finding {
	return &Finding{Kind: kind, At: Mark{Seq: r.Seq, RawSeq: raw, Time: r.Time}, EventTime: r.EventTime, Since: c.proved, Want: want, Got: got}
}

// find reports one finding about the record at hand.
func (c *Checker) find(r *Record, raw uint64, kind Kind, want, got string) {
	c.tell(c.finding(r, raw, kind, want, got))
}

func (c *Checker) tell(f *Finding) {
	c.stats.Findings++
	c.report(f)
}

// entryText writes an entry for people.
func entryText(e *market.Entry) string {
	return fmt.Sprintf("%c %c %d x %d, order %d, count %d", e.Action, e.Side, e.Price, e.Size, e.OrderID, e.Count)
}
