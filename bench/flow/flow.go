// Package flow makes market flow for the benchmarks: events as the feed's decoders
// emit them, over order books that stay as they would at a venue.
//
//	L3  as from ITCH: adds, cancels of an unknown size, reductions, replacements
//	    (Cancel + Add), executions (Fill + Exec) of the order that is first in line
//	L2  as Binance's depth updates: chained events of 5 to 50 levels over a snapshot
//
// Activity is Zipf's over the instruments and comes in short bursts; busier
// instruments have deeper books. Books never cross. The same options make the same
// flow: nothing depends on a clock. A flow belongs to one goroutine.
package flow

import (
	"fmt"
	"math"

	"chronicle/market"
	"chronicle/store/queue"
)

// Venue and Channel name every instrument's; FirstMoment is when a flow begins, in ns.
const (
	Venue       = "sim"
	Channel     = "flow"
	FirstMoment = int64(1_700_000_000_000_000_000)
)

// Flow gives event after event. Instruments are numbered from 1.
type Flow interface {
	// Definition describes an instrument.
	Definition(id uint32) market.Definition
	// Instruments gives how many there are.
	Instruments() int
	// Opening gives how many events of the flow only build the books.
	Opening() int
	// Next makes the next event in ev, whose entries are used again, and gives its instrument and kind.
	Next(ev *market.BookEvent) (id uint32, kind market.Kind)
}

// SymbolOf gives the symbol of an instrument.
func SymbolOf(id uint32) string { return fmt.Sprintf("s%05d", id) }

// drawSlots is the size of a table to draw from; each index has one slot at least.
const drawSlots = 1 << 17

// newTable makes a table from which index i comes with about its weight.
func newTable(n int, weight func(i int) float64) []uint32 {
	var sum float64
	for i := range n {
		sum += weight(i)
	}
	table := make([]uint32, 0, drawSlots+n)
	for i := range n {
		for range 1 + int(drawSlots*weight(i)/sum) {
			table = append(table, uint32(i))
		}
	}
	return table
}

func activity(i int) float64 { return 1 / float64(i+1) }

// depth is the share of the resting orders that instrument i has: less steep than activity.
func depth(i int) float64 { return math.Pow(float64(i+1), -0.6) }

// Writer appends a flow to a raw queue.
type Writer struct {
	Queue *queue.Writer
	Now   int64 // capture time of the next record, in ns
	Step  int64 // by how much it advances with each event, in ns
	ev    market.BookEvent
}

// Begin starts the source and defines the flow's instruments.
func (w *Writer) Begin(f Flow) error {
	for _, event := range []market.SessionEvent{market.SessionSourceBegin, market.SessionNew} {
		if err := w.Session(event); err != nil {
			return err
		}
	}
	for i := range f.Instruments() {
		def := f.Definition(uint32(i + 1))
		if err := w.append(market.KindDefinition, def.ID, market.EncodeJSON(&def)); err != nil {
			return err
		}
	}
	return nil
}

// Session appends a session record.
func (w *Writer) Session(event market.SessionEvent) error {
	return w.append(market.KindSession, 0, market.EncodeJSON(&market.Session{Event: event, Venue: Venue, Channel: Channel}))
}

func (w *Writer) append(kind market.Kind, id uint32, body []byte) error {
	_, err := w.Queue.Append(queue.Record{Time: w.Now, EventTime: w.Now - 1000, Kind: uint16(kind), Tag: id, Body: body})
	return err
}

// Append appends the next n events.
func (w *Writer) Append(f Flow, n int) error {
	for range n {
		w.Now += w.Step
		id, kind := f.Next(&w.ev)
		size := w.ev.Size(kind)
		body, err := w.Queue.Reserve(size)
		if err != nil {
			return err
		}
		w.ev.Put(body, kind)
		if _, err := w.Queue.Commit(queue.Record{Time: w.Now, EventTime: w.Now - 1000, Kind: uint16(kind), Tag: id}, size); err != nil {
			return err
		}
	}
	return nil
}
