package sequence

import (
	"time"

	"chronicle/ingest/feed/emit"
)

// line is one way that packets come.
type line struct {
	c      *emit.LineCounters
	name   string
	server bool  // of a re-request server
	heard  int64 // when a datagram came last, on the receiver's clock; 0 before
	silent bool
	track  *track // nil for a server
}

func newLine(e *emit.Emitter, name string, server bool) line {
	l := line{c: e.Line(name), name: name, server: server}
	if !server {
		l.track = new(track)
	}
	return l
}

// hear notes that something came on a line.
func (r *Receiver) hear(l *line, recv int64) {
	l.c.Packets.Add(1)
	l.c.LastRecv.Store(recv)
	l.heard = r.now
	if l.silent {
		l.silent = false
		l.c.Silent.Store(false)
		r.e.Log().Info("a silent line is back", "channel", r.opts.Channel, "line", l.name)
	}
}

// count counts messages [first, end) of a packet.
func (r *Receiver) count(l *line, first, end uint64, t *tally) {
	n := end - first
	l.c.Messages.Add(n)
	if fresh := n - t.known - t.late - t.noRoom; fresh > 0 {
		l.c.First.Add(fresh)
	}
	if t.late > 0 {
		l.c.Late.Add(t.late)
	}
	if t.noRoom > 0 {
		l.c.NoRoom.Add(t.noRoom)
	}
	var again uint64
	if !l.server {
		again = r.track(l, first, end)
	}
	again = min(again, t.known)
	if again > 0 {
		l.c.Duplicate.Add(again)
		r.e.SkipN(emit.Duplicate, again)
	}
	if t.known > again {
		l.c.Redundant.Add(t.known - again)
	}
}

// track notes what a line has brought, and gives how many of it came again.
func (r *Receiver) track(l *line, first, end uint64) (again uint64) {
	again, lost, found := l.track.add(first, end)
	if lost != found {
		l.c.Lost.Add(lost - found) // wraps where more was found
	}
	return again
}

// watch looks for lines that have become silent.
func (r *Receiver) watch() {
	limit := int64(r.opts.Silence)
	r.silenceDue = never
	if limit <= 0 {
		return
	}
	for i := range r.opts.Lines {
		l := &r.lines[i]
		if l.heard == 0 {
			l.heard = r.now
		}
		if l.silent {
			continue
		}
		if r.now-l.heard >= limit {
			l.silent = true
			l.c.Silent.Store(true)
			l.c.Silences.Add(1)
			r.e.Log().Warn("a line is silent", "channel", r.opts.Channel, "line", l.name, "for", time.Duration(r.now-l.heard))
			continue
		}
		r.silenceDue = min(r.silenceDue, l.heard+limit)
	}
	if r.silenceDue == never { // all are silent: look again when one may have come back
		r.silenceDue = r.now + limit
	}
}
