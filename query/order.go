package query

import (
	"sync"

	"chronicle/market"
	"chronicle/store/queue"
)

// A range ends for certain only where a segment ends: a later record may have an
// earlier time. Nearly always none has. What one scan to the end of a sealed
// segment has found is kept with the segment, so that the scans after it can stop
// where their range does.

// order is what is known of the order of a segment's times on one clock: from
// record from on, no record after late has a time before that of another one
// that stands before it.
type order struct{ from, late uint64 }

// orders keeps what is known of one segment, per clock.
type orders struct {
	mu    sync.Mutex
	known map[Clock]order
}

func (o *orders) learn(c Clock, found order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if old, ok := o.known[c]; ok && old.from <= found.from {
		return
	}
	if o.known == nil {
		o.known = map[Clock]order{}
	}
	o.known[c] = found
}

func (o *orders) get(c Clock) (order, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, ok := o.known[c]
	return known, ok
}

// orderWatch follows one scan of a segment.
type orderWatch struct {
	want  *window
	known order
	have  bool // known is set

	found      order
	runningMax int64
}

// begin starts with a segment, whose first record is yet to come.
func (w *orderWatch) begin(want *window, h *handle) {
	*w = orderWatch{want: want, runningMax: noTime}
	w.known, w.have = h.orders.get(want.clock)
}

// take looks at the next record. It tells whether the window has ended: neither
// this record nor any later one of the segment is in it.
func (w *orderWatch) take(rec *queue.Record) (ended bool) {
	if w.found.from == 0 {
		w.found.from = rec.Seq
	}
	own := w.want.clock.of(rec)
	if own == noTime {
		return false
	}
	if own < w.runningMax {
		w.found.late = rec.Seq
		return false
	}
	w.runningMax = own
	return w.have && own >= w.want.end && rec.Seq >= w.known.from && rec.Seq >= w.known.late &&
		!w.want.gaps && rec.Kind != uint16(market.KindGap)
}

// finish keeps what was found, after the last record of a sealed segment.
func (w *orderWatch) finish(h *handle) {
	if w.found.from != 0 {
		h.orders.learn(w.want.clock, w.found)
	}
}
