package query

import (
	"chronicle/book"
	"chronicle/market"
	"chronicle/store/queue"
)

// replayer rebuilds one book from a book stream: first a snapshot, then every
// record that follows it, in order.
type replayer struct {
	id      streamID
	def     market.Definition
	book    *book.Book
	check   *book.Book // a snapshot met in passing, to compare with
	event   market.BookEvent
	ahead   market.BookEvent // a record after the cut
	started bool
	doubts  doubts // what the ledger says of the stream

	// The state after the last record.
	tsEvent, tsRecv int64  // of the last venue event in the book
	sequence        uint64 // the venue's, of that event
	rawSequence     uint64 // of the last record
	degraded        bool
	last            uint64 // queue sequence of the last record
	deltas          int    // since the snapshot
	snapshot        SnapshotProof
}

// begin prepares for a snapshot: what was held before counts no more.
func (r *replayer) begin(id streamID, def *market.Definition) {
	if r.book == nil || r.def.BookType != def.BookType {
		r.book, r.check = book.New(def.BookType), book.New(def.BookType)
	}
	r.book.Clear()
	r.id, r.def, r.started = id, *def, false
	r.tsEvent, r.tsRecv, r.sequence = noTime, noTime, 0
}

// define takes note of the definition of a new segment. Where prices or sizes
// mean something else from there on, the book is begun anew, as its writer does.
func (r *replayer) define(def *market.Definition) {
	if r.def.BookType != def.BookType || r.def.PriceExponent != def.PriceExponent || r.def.SizeExponent != def.SizeExponent {
		r.begin(r.id, def)
	}
	r.def = *def
}

// apply takes the next record of the stream. It tells whether the record is an
// event that changed the book; r.event then holds it.
func (r *replayer) apply(rec *queue.Record, s *segment) (changed bool, err error) {
	kind := market.Kind(rec.Kind)
	switch {
	case kind == market.KindSnapshot:
		changed, err = r.applySnapshot(rec)
	case !r.started:
		return false, damaged(nil, "%s: %v: record %d is a %v where a snapshot should be", r.id, s, rec.Seq, kind)
	case kind == market.KindBook:
		changed, err = r.applyDelta(rec)
	case kind == market.KindGap:
		err = r.applyGap(rec)
	default:
		return false, damaged(nil, "%s: %v: record %d is a %v, which does not belong there", r.id, s, rec.Seq, kind)
	}
	if err != nil {
		return false, damaged(err, "%s: %v: record %d", r.id, s, rec.Seq)
	}
	if r.doubts.cover(rec.Seq) {
		r.degraded = true
		r.event.Flags |= market.FlagMaybeBadBook
	}
	r.last = rec.Seq
	return changed, nil
}

// applySnapshot loads a snapshot. One that was made from the book itself must
// equal the book, if there is one yet: otherwise one of the two is wrong. Where the
// ledger says so already, the snapshot counts, and the book is degraded.
func (r *replayer) applySnapshot(rec *queue.Record) (bool, error) {
	ev := &r.event
	if err := ev.Decode(rec.Body, market.KindSnapshot); err != nil {
		return false, err
	}
	synthetic := ev.Attr&market.AttrSynthetic != 0
	r.degraded, r.rawSequence = ev.Flags&market.FlagMaybeBadBook != 0, ev.RawSeq
	if synthetic && r.started {
		if err := r.compare(ev); err == nil || !r.doubts.cover(rec.Seq) {
			return false, err
		}
	}
	if res := r.book.Apply(ev, market.KindSnapshot); synthetic && !res.OK() {
		return false, errorString("the snapshot contradicts itself")
	}
	r.started, r.deltas = true, 0
	r.snapshot = SnapshotProof{Sequence: rec.Seq, Time: rec.Time}
	if synthetic {
		r.tsEvent, r.tsRecv, r.sequence = ev.AsOfEvent, ev.AsOfRecv, ev.Seq
		return false, nil
	}
	r.tsEvent, r.tsRecv, r.sequence = rec.EventTime, rec.Time, ev.Seq
	return true, nil
}

// compare checks the held book against a snapshot made from it.
func (r *replayer) compare(ev *market.BookEvent) error {
	if res := r.check.Apply(ev, market.KindSnapshot); !res.OK() {
		return errorString("the snapshot contradicts itself")
	}
	if r.check.Digest() != r.book.Digest() {
		return errorString("the snapshot differs from the book that the records before it make")
	}
	return nil
}

func (r *replayer) applyDelta(rec *queue.Record) (bool, error) {
	ev := &r.event
	if err := ev.Decode(rec.Body, market.KindBook); err != nil {
		return false, err
	}
	res := r.book.Apply(ev, market.KindBook)
	r.degraded, r.rawSequence = ev.Flags&market.FlagMaybeBadBook != 0, ev.RawSeq
	r.deltas++
	r.tsEvent, r.tsRecv = rec.EventTime, rec.Time
	if ev.Seq != 0 {
		r.sequence = ev.Seq
	}
	return changes(ev) > res.Unknown+res.Duplicate+res.Invalid, nil
}

func (r *replayer) applyGap(rec *queue.Record) error {
	g, err := market.DecodeJSON[market.Gap](rec.Body)
	if err != nil {
		return err
	}
	r.degraded, r.rawSequence = r.degraded || !g.Recovered, g.RawSeq
	return nil
}

// announces tells whether the record that follows the cut says that records were
// already missing at t: a gap marker stands where the gap was noticed, and what
// was missing may have been sent at any time since its Start. more is true when
// the record says nothing and the next one has to be asked: a snapshot that the
// marker made due stands before it.
func (r *replayer) announces(rec *queue.Record, t int64) (missing, more bool, err error) {
	switch market.Kind(rec.Kind) {
	case market.KindGap:
		g, err := market.DecodeJSON[market.Gap](rec.Body)
		if err != nil {
			return false, false, err
		}
		return !g.Recovered && g.Start < t, false, nil
	case market.KindSnapshot:
		if err := r.ahead.Decode(rec.Body, market.KindSnapshot); err != nil {
			return false, false, err
		}
		return false, r.ahead.Attr&market.AttrSynthetic != 0, nil
	}
	return false, false, nil
}

// changes counts the entries that are meant to change the book.
func changes(ev *market.BookEvent) int {
	n := 0
	for i := range ev.Entries {
		if a := ev.Entries[i].Action; a != market.Exec && a != market.Fill {
			n++
		}
	}
	return n
}

// errorString is an error that is only text.
type errorString string

func (e errorString) Error() string { return string(e) }
