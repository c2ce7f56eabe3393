package iex

import (
	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

// CutOff is the reason of a level whose event a new session cut off.
const CutOff emit.Reason = "event_cut_off"

// complete is the event flag of the last level of an event.
const complete = 1

// maxHeld bounds the levels that are held back at once, of all instruments, so
// that broken input cannot fill the memory. keepHeld is the largest buffer that an
// instrument keeps.
const (
	maxHeld  = 1 << 16
	keepHeld = 1 << 8
)

// level takes a price level update.
func (d *Decoder) level(m *message) error {
	entry := market.Entry{Size: shares(m.b[18:]), Side: market.Bid, Action: market.Modify}
	if m.b[0] == '5' {
		entry.Side = market.Ask
	}
	if entry.Size == 0 {
		entry.Action = market.Cancel
	}
	var err error
	if entry.Price, err = price(m.b[22:]); err != nil {
		return err
	}
	in, err := d.instrument(m)
	if err != nil {
		return err
	}
	if m.b[1]&complete != 0 && len(in.held) == 0 {
		d.entries[0] = entry
		d.levels(in, d.entries[:1], m.seq, m.recv, m.event, market.FlagLast)
		return nil
	}
	if d.held >= maxHeld {
		d.cutAll("too many levels are held back")
	}
	if len(in.held) == 0 {
		in.heldFirst = m.seq
	}
	in.held = append(in.held, entry)
	in.heldSeq, in.heldEvent = m.seq, m.event
	d.held++
	if m.b[1]&complete != 0 {
		d.release(in, market.FlagLast)
	}
	return nil
}

// release writes what is held of an event.
func (d *Decoder) release(in *instrument, flags market.Flags) {
	d.levels(in, in.held, in.heldSeq, d.recv, in.heldEvent, flags)
	d.forget(in)
}

func (d *Decoder) forget(in *instrument) {
	d.held -= len(in.held)
	in.held = in.held[:0]
	if cap(in.held) > keepHeld {
		in.held = nil
	}
}

func (d *Decoder) levels(in *instrument, entries []market.Entry, seq uint64, recv, event int64, flags market.Flags) {
	d.event = market.BookEvent{Seq: seq, Flags: flags | market.FlagMBP, Entries: entries}
	d.e.Book(market.KindBook, in.id, recv, event, &d.event)
}

// cut gives up waiting for the end of an instrument's event: a gap, and what came.
func (d *Decoder) cut(in *instrument, why string) {
	if len(in.held) == 0 {
		return
	}
	d.e.Gap(d.recv, market.Gap{
		Channel: d.feed.Name, Symbol: d.e.Definition(in.id).Symbol, Cause: market.GapSource,
		Detail: "an event is cut off: " + why,
	})
	d.release(in, 0)
}

// cutAll gives up waiting for the end of any event.
func (d *Decoder) cutAll(why string) {
	if d.held == 0 {
		return
	}
	for _, in := range d.instruments {
		d.cut(in, why)
	}
}

// dropAll drops every event that is not complete: its session is over.
func (d *Decoder) dropAll() {
	if d.held == 0 {
		return
	}
	for _, in := range d.instruments {
		if len(in.held) == 0 {
			continue
		}
		for range in.held {
			d.e.Skip(CutOff)
		}
		d.e.Gap(d.e.LastRecv(), market.Gap{
			Channel: d.feed.Name, Symbol: d.e.Definition(in.id).Symbol, Cause: market.GapSource, Recovered: true,
			FirstSeq: in.heldFirst, LastSeq: in.heldSeq, Detail: "an event is cut off: a new session begins",
		})
		d.forget(in)
	}
}
