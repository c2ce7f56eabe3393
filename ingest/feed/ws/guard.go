package ws

import (
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
	"chronicle/store/queue"
)

// Times of the guard.
const (
	calmAfter  = time.Minute     // a book that was good for so long begins a new row of attempts
	firstEvent = 3 * time.Second // how long the first event of a book is waited for before its snapshot is fetched all the same
)

// guard reads every record that the session writes, right after it was written,
// and knows which of the watched books the ETL will not call good. It belongs to
// the owner.
type guard struct {
	books    []*watched
	byNative map[string]*watched
	byID     []*watched // by instrument id; nil where the book is not watched
	event    market.BookEvent
	wake     bool // something may be due

	patience time.Duration // for an answer that comes over the connection
	backoff  backoff
}

func newGuard(patience time.Duration, b backoff) *guard {
	return &guard{byNative: make(map[string]*watched), patience: patience, backoff: b}
}

// tee writes to a queue and shows the guard what was written.
type tee struct {
	emit.Queue
	g    *guard
	body []byte
}

// segments is a tee whose queue tells where its segments begin.
type segments struct {
	*tee
	q interface{ SegmentSeq() uint64 }
}

func (s segments) SegmentSeq() uint64 { return s.q.SegmentSeq() }

// queue gives a queue that writes to q and shows g what was written.
func (g *guard) queue(q emit.Queue) emit.Queue {
	t := &tee{Queue: q, g: g}
	if s, ok := q.(interface{ SegmentSeq() uint64 }); ok {
		return segments{t, s}
	}
	return t
}

// Reserve implements emit.Queue.
func (t *tee) Reserve(n int) (b []byte, err error) {
	b, err = t.Queue.Reserve(n)
	t.body = b
	return b, err
}

// Commit implements emit.Queue.
func (t *tee) Commit(rec queue.Record, n int) (uint64, error) {
	seq, err := t.Queue.Commit(rec, n)
	if err == nil {
		t.g.record(&rec, t.body[:n])
	}
	return seq, err
}

// watch adds the books of a connection.
func (g *guard) watch(c *connection, v Venue) {
	for _, native := range c.Books {
		w := &watched{guard: g, native: native, conn: c, fetched: v.Resync(native).Get != ""}
		g.books = append(g.books, w)
		g.byNative[native] = w
	}
}

// record looks at one record.
func (g *guard) record(rec *queue.Record, body []byte) {
	kind := market.Kind(rec.Kind)
	switch kind {
	case market.KindDefinition:
		if d, err := market.DecodeJSON[market.Definition](body); err == nil {
			g.define(rec.Tag, d)
		}
	case market.KindGap:
		if gap, err := market.DecodeJSON[market.Gap](body); err == nil && !gap.Recovered {
			g.gap(gap)
		}
	case market.KindBook, market.KindSnapshot:
		if int(rec.Tag) >= len(g.byID) || g.byID[rec.Tag] == nil {
			return
		}
		if g.event.Decode(body, kind) == nil {
			g.byID[rec.Tag].saw(kind, &g.event)
		}
	}
}

func (g *guard) define(id uint32, d *market.Definition) {
	w := g.byNative[d.Native]
	if w == nil {
		return
	}
	for int(id) >= len(g.byID) {
		g.byID = append(g.byID, nil)
	}
	g.byID[id] = w
	w.define(d)
}

func (g *guard) gap(gap *market.Gap) {
	for _, w := range g.books {
		if (gap.Channel == "" || gap.Channel == w.conn.Name || gap.Channel == w.def.Channel) && (gap.Symbol == "" || gap.Symbol == w.def.Symbol) {
			w.lost(string(gap.Cause))
		}
	}
}

// connected begins the wait for the first snapshots of a connection.
func (g *guard) connected(c *connection, now time.Time) {
	for _, w := range g.books {
		if w.conn != c {
			continue
		}
		w.lost("")
		w.reason = "no snapshot on this connection yet"
		w.pending, w.heard, w.busy, w.tries = nil, false, false, 0
		w.next = now.Add(g.patience + time.Duration(len(c.Subscribe))*c.SendEvery)
		if w.fetched {
			w.next = now.Add(min(firstEvent, g.patience))
		}
	}
}

// closed ends what was under way on a connection.
func (g *guard) closed(c *connection) {
	for _, w := range g.books {
		if w.conn == c {
			w.busy = false
		}
	}
}

// answered notes that a GET has ended. If the book is not good now, its snapshot
// was too old or of no use, and the next one is asked for later.
func (g *guard) answered(w *watched, now time.Time) {
	if w == nil {
		return
	}
	w.busy = false
	w.next = now.Add(g.backoff.wait(w.tries))
}
