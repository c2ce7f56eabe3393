package audit

import (
	"fmt"
	"slices"

	"chronicle/book"
	"chronicle/market"
)

// snapshot takes a snapshot, the venue's or one that the writer made.
func (c *Checker) snapshot(r *Record) error {
	ev := &c.event
	if err := ev.Decode(r.Body, market.KindSnapshot); err != nil {
		return err
	}
	c.follows(r, ev.RawSeq)
	if !c.known {
		c.bad = ev.Flags&market.FlagMaybeBadBook != 0
	}
	if ev.Attr&market.AttrSynthetic != 0 {
		c.synthetic(r, ev)
	} else {
		c.venue(r, ev)
	}
	c.known = true
	c.proved = Mark{Seq: r.Seq, RawSeq: ev.RawSeq, Time: r.Time}
	return nil
}

// venue takes the venue's own snapshot, or the empty book of a new session.
func (c *Checker) venue(r *Record, ev *market.BookEvent) {
	c.order(r, ev.RawSeq)
	if ev.RawSeq < c.joined {
		c.find(r, ev.RawSeq, RawOrder, fmt.Sprintf("a raw sequence from %d on, that of the venue snapshot before", c.joined), fmt.Sprint(ev.RawSeq))
	}
	c.joined = ev.RawSeq
	c.flag(r, ev.RawSeq, ev.Flags, true)
	c.book.Apply(ev, market.KindSnapshot)
	c.sane(r, ev)
	c.fresh = true
	c.happened(r, ev)
	if !c.bad {
		c.healed = Mark{Seq: r.Seq, RawSeq: ev.RawSeq, Time: r.Time}
	}
}

// synthetic compares a snapshot that the writer made with the book, and takes it
// over where they differ. The first one is taken as it is.
func (c *Checker) synthetic(r *Record, ev *market.BookEvent) {
	c.flag(r, ev.RawSeq, ev.Flags, false)
	if want := c.syntheticFlags(); ev.Flags != want || ev.Attr != market.AttrSynthetic {
		c.find(r, ev.RawSeq, Flags, fmt.Sprintf("flags %d, attributes %d", want, market.AttrSynthetic), fmt.Sprintf("flags %d, attributes %d", ev.Flags, ev.Attr))
	}
	if c.known {
		c.stats.Snapshots++
		c.asOf(r, ev)
	} else if res := c.book.Apply(ev, market.KindSnapshot); !res.OK() {
		c.find(r, ev.RawSeq, Invalid, "entries that a book can have", fmt.Sprintf("%+v", res))
	}
	c.shown = c.book.AppendSnapshot(c.shown[:0])
	if !slices.Equal(c.shown, ev.Entries) {
		c.differs(r, ev)
		c.book.Apply(ev, market.KindSnapshot)
	}
	if !c.known {
		c.fresh = true
	}
	c.seq, c.seqKnown = ev.Seq, true
	c.eventTime, c.recvTime, c.timesKnown = ev.AsOfEvent, ev.AsOfRecv, true
	c.due = due{on: true, raw: ev.RawSeq, time: r.Time, eventTime: r.EventTime}
}

// syntheticFlags gives the flags of a snapshot made from the book.
func (c *Checker) syntheticFlags() market.Flags {
	f := market.FlagSnapshot | market.FlagLast
	if c.def.BookType != market.L3 {
		f |= market.FlagMBP
	}
	if c.bad {
		f |= market.FlagMaybeBadBook
	}
	return f
}

// asOf checks that a snapshot contains the last event and nothing after it.
func (c *Checker) asOf(r *Record, ev *market.BookEvent) {
	if c.timesKnown && (ev.AsOfEvent != c.eventTime || ev.AsOfRecv != c.recvTime) || c.seqKnown && ev.Seq != c.seq {
		c.find(r, ev.RawSeq, AsOf, fmt.Sprintf("venue sequence %d, ts_event %d, ts_recv %d", c.seq, c.eventTime, c.recvTime),
			fmt.Sprintf("venue sequence %d, ts_event %d, ts_recv %d", ev.Seq, ev.AsOfEvent, ev.AsOfRecv))
	}
}

// differs reports a snapshot that is not the book: both digests, and the first
// entry in which they differ.
func (c *Checker) differs(r *Record, ev *market.BookEvent) {
	shown := book.New(c.def.BookType)
	shown.Apply(ev, market.KindSnapshot)
	at := 0
	for at < min(len(c.shown), len(ev.Entries)) && c.shown[at] == ev.Entries[at] {
		at++
	}
	c.find(r, ev.RawSeq, Differs, bookText(c.book, c.shown, at), bookText(shown, ev.Entries, at))
}

func bookText(b *book.Book, entries []market.Entry, at int) string {
	entry := "nothing"
	if at < len(entries) {
		entry = entryText(&entries[at])
	}
	return fmt.Sprintf("a book of %d bids and %d asks (digest %016x), entry %d: %s", b.Depth(market.Bid), b.Depth(market.Ask), b.Digest(), at, entry)
}
