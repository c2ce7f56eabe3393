package ws

import (
	"time"

	"chronicle/book"
	"chronicle/book/checksum"
	"chronicle/market"
)

// maxPending bounds the events that are remembered while a snapshot is awaited,
// as the ETL's own bound does.
const maxPending = 50_000

// watched is one book of the plan: what the ETL will think of it, and what is
// being done about it.
type watched struct {
	guard   *guard
	native  string
	conn    *connection
	fetched bool // its snapshots come by HTTP

	def     market.Definition // zero until it is defined
	book    *book.Book        // where the venue sends checksums; else nil
	check   checksum.Checker
	good    bool
	waiting bool // chained: no snapshot has joined yet
	fresh   bool // chained: the last thing applied was a snapshot
	seq     uint64
	pending []link // chained and waiting: the events since

	reason string    // why it is not good
	since  time.Time // when it became good, while it is
	heard  bool      // an event of it has come over this connection
	busy   bool      // a GET is under way
	tries  int       // in this row of attempts
	next   time.Time // when the next one is due
}

// link is an event's place in the chain.
type link struct{ seq, prev uint64 }

// define takes a definition; prices or sizes that mean something else make the
// book begin anew, as in the ETL.
func (w *watched) define(d *market.Definition) {
	old := w.def
	w.def = *d
	if old.ID != 0 && old.PriceExponent == d.PriceExponent && old.SizeExponent == d.SizeExponent && old.Checksum == d.Checksum && old.Chained == d.Chained {
		return
	}
	w.book = nil
	if checksum.Known(d.Checksum) && d.BookType == market.L2 {
		w.book = book.New(market.L2)
	}
	w.pending = nil
	w.lost("definition")
}

// lost notes that the book is not good any more.
func (w *watched) lost(reason string) {
	w.waiting, w.fresh = w.def.Chained, false
	if !w.good {
		return
	}
	now := time.Now()
	if now.Sub(w.since) >= calmAfter {
		w.tries = 0
	}
	w.good, w.reason = false, reason
	w.next = now.Add(w.guard.backoff.wait(w.tries))
	w.guard.wake = true
}

// found notes that a snapshot has made the book good.
func (w *watched) found() {
	if !w.good {
		w.good, w.since = true, time.Now()
	}
}

// due tells whether a whole book is to be asked for now.
func (w *watched) due(now time.Time) bool {
	return !w.good && !w.busy && w.conn.life != nil && !w.next.After(now)
}

// asked notes that a whole book was asked for.
func (w *watched) asked(now time.Time, get bool) {
	w.tries++
	w.busy = get
	w.next = now.Add(w.guard.patience + w.guard.backoff.wait(w.tries))
}

// saw follows one event of the book by the ETL's rules.
func (w *watched) saw(kind market.Kind, ev *market.BookEvent) {
	if !w.heard && kind == market.KindBook {
		w.heard = true
		if w.fetched && !w.good && !w.busy { // now a snapshot can join
			w.next, w.guard.wake = time.Now(), true
		}
	}
	if w.def.Chained {
		w.chained(kind, link{ev.Seq, ev.PrevSeq})
		return
	}
	if kind == market.KindSnapshot {
		w.found()
	}
	if w.book != nil && w.good {
		w.verify(kind, ev)
	}
}

// verify applies an event and compares the venue's checksum.
func (w *watched) verify(kind market.Kind, ev *market.BookEvent) {
	w.book.Apply(ev, kind)
	if w.def.Depth > 0 && kind == market.KindBook {
		ev.Entries = w.book.Truncate(market.Bid, w.def.Depth, ev.Entries)
		ev.Entries = w.book.Truncate(market.Ask, w.def.Depth, ev.Entries)
	}
	if ev.Attr&market.AttrChecksum == 0 {
		return
	}
	sum, known := w.check.Compute(w.def.Checksum, w.book, w.def.PriceExponent, w.def.SizeExponent)
	if known && sum != ev.Checksum {
		w.lost(string(market.GapChecksum))
	}
}

// chained follows a chain of events that a snapshot joins.
func (w *watched) chained(kind market.Kind, l link) {
	switch {
	case kind == market.KindSnapshot && w.waiting:
		w.join(l.seq)
	case kind == market.KindSnapshot:
		if l.seq >= w.seq {
			w.seq, w.fresh = l.seq, true
			w.found()
		}
	case w.waiting:
		w.hold(l)
	case l.seq <= w.seq: // a repetition
	case l.prev == w.seq || w.fresh && l.prev <= w.seq:
		w.seq, w.fresh = l.seq, false
	default:
		w.lost(string(market.GapChain))
		w.waiting = true
		w.hold(l)
	}
}

func (w *watched) hold(l link) {
	if w.pending = append(w.pending, l); len(w.pending) >= maxPending {
		w.pending = w.pending[:0]
	}
}

// join puts a snapshot between the held events that it contains and those that
// follow it; one that is older than all of them is of no use.
func (w *watched) join(seq uint64) {
	i := 0
	for i < len(w.pending) && w.pending[i].seq <= seq {
		i++
	}
	rest := w.pending[i:]
	if len(rest) > 0 && rest[0].prev > seq {
		return
	}
	w.pending = nil
	w.waiting, w.fresh, w.seq = false, true, seq
	w.found()
	for _, l := range rest {
		w.chained(market.KindBook, l)
	}
}
