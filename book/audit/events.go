package audit

import (
	"fmt"

	"chronicle/market"
)

// delta takes the changes of one event.
func (c *Checker) delta(r *Record) error {
	ev := &c.event
	if err := ev.Decode(r.Body, market.KindBook); err != nil || !c.known {
		return err
	}
	c.follows(r, ev.RawSeq)
	c.order(r, ev.RawSeq)
	c.raw = ev.RawSeq
	c.flag(r, ev.RawSeq, ev.Flags, false)
	if c.def.Chained && !c.bad {
		c.chain(r, ev)
	}
	l3 := c.def.BookType == market.L3
	if l3 {
		c.executions(r, ev)
	}
	res := c.book.Apply(ev, market.KindBook)
	if l3 && res.Unknown > 0 && !c.bad {
		c.find(r, ev.RawSeq, Unknown, "orders that the book holds", fmt.Sprintf("%d entries that name other ones", res.Unknown))
	}
	c.sane(r, ev)
	c.fresh = false
	c.happened(r, ev)
	return nil
}

// chain checks that an event follows the one before it. The first one after a
// snapshot may have begun before it.
func (c *Checker) chain(r *Record, ev *market.BookEvent) {
	if !c.seqKnown || ev.Seq > c.seq && (ev.PrevSeq == c.seq || c.fresh && ev.PrevSeq < c.seq) {
		return
	}
	c.find(r, ev.RawSeq, Chain, fmt.Sprintf("an event that follows venue sequence %d", c.seq), fmt.Sprintf("one from %d to %d", ev.PrevSeq, ev.Seq))
}

// sane checks that a good book is not crossed, if it is of levels, and compares it
// with the venue's checksum, if there is one.
func (c *Checker) sane(r *Record, ev *market.BookEvent) {
	if c.bad {
		return
	}
	if c.def.BookType != market.L3 && ev.Flags&market.FlagLast != 0 && c.book.Crossed() {
		bid, _ := c.book.Best(market.Bid)
		ask, _ := c.book.Best(market.Ask)
		c.find(r, ev.RawSeq, Crossed, "a best bid that is not above the best ask", fmt.Sprintf("bid %d, ask %d", bid.Price, ask.Price))
	}
	if ev.Attr&market.AttrChecksum == 0 {
		return
	}
	got, ok := c.sums.Compute(c.def.Checksum, c.book, c.def.PriceExponent, c.def.SizeExponent)
	if ok && got != ev.Checksum {
		c.find(r, ev.RawSeq, Checksum, fmt.Sprintf("the venue's checksum %08x", ev.Checksum), fmt.Sprintf("a book of checksum %08x", got))
	}
}

// executions checks the entries of an L3 event that were completed from the book
// as it stood before the event: see book.Resolver.
func (c *Checker) executions(r *Record, ev *market.BookEvent) {
	for i := range ev.Entries {
		e := &ev.Entries[i]
		switch e.Action {
		case market.Fill:
			c.fill(r, ev, i)
		case market.Cancel:
			if i > 0 && ev.Entries[i-1].Action == market.Fill {
				continue // checked with its fill
			}
			if o, ok := c.book.Order(e.OrderID); ok && (e.Side != o.Side || e.Price != o.Price || e.Size > o.Size || e.Size == market.UndefSize) {
				c.find(r, ev.RawSeq, Execution, fmt.Sprintf("a cancel of order %d: %c %d x %d", o.ID, o.Side, o.Price, o.Size), entryText(e))
			}
		}
	}
}

// fill checks an execution: Exec on the aggressor's side, Fill of the resting
// order, Cancel of as much of it.
func (c *Checker) fill(r *Record, ev *market.BookEvent, i int) {
	fill := &ev.Entries[i]
	exec := *fill
	exec.Action, exec.OrderID, exec.Side = market.Exec, 0, fill.Side.Opposite()
	if i == 0 || ev.Entries[i-1] != exec {
		c.find(r, ev.RawSeq, Execution, "before a fill: "+entryText(&exec), before(ev, i))
	}
	rest := *fill
	rest.Action = market.Cancel
	if o, ok := c.book.Order(fill.OrderID); ok {
		rest.Side, rest.Price = o.Side, o.Price
		if fill.Side != o.Side {
			c.find(r, ev.RawSeq, Execution, fmt.Sprintf("a fill of order %d on side %c", o.ID, o.Side), entryText(fill))
		}
	} else if i+1 < len(ev.Entries) {
		rest.Price = ev.Entries[i+1].Price // as the venue left it
	}
	if i+1 == len(ev.Entries) || ev.Entries[i+1] != rest {
		c.find(r, ev.RawSeq, Execution, "after a fill: "+entryText(&rest), after(ev, i))
	}
}

func before(ev *market.BookEvent, i int) string {
	if i == 0 {
		return "nothing"
	}
	return entryText(&ev.Entries[i-1])
}

func after(ev *market.BookEvent, i int) string {
	if i+1 == len(ev.Entries) {
		return "nothing"
	}
	return entryText(&ev.Entries[i+1])
}
