package sequence

import (
	"log/slog"
	"slices"
)

const (
	maxRequests  = 8    // under way at a time
	firstRequest = 32   // messages of a request, until a server shows what it answers
	maxRequest   = 1000 // messages of a request at most: IEX answers no more
	retries      = 16   // the first retry comes after this part of RecoveryTime, the next after double that, ...
)

// request is a range that a server was asked for and has not answered yet.
type request struct {
	first, last uint64
	server      int
	sent        int64 // on the receiver's clock
	wait        int64 // ns after which it is asked for again
}

// recovery asks servers for holes. A server may answer with fewer messages than
// it is asked for, with several packets, or not at all. So a request is for what
// the last answers held, the rest is asked for again at once, and what is not
// answered is asked for again later, of the next server.
type recovery struct {
	out    [maxRequests]request
	n      int
	size   uint64 // messages that a request asks for
	server int    // the one that answered last
	due    int64  // when a request is to be sent
	packet []byte
}

// ask sends the requests that are due, and sets when something is due next.
func (r *Receiver) ask() {
	q := &r.recovery
	q.due = never
	if len(r.opts.Servers) > 0 && len(r.holes) > 0 {
		r.narrow()
		r.repeat()
		r.askNew()
	}
	r.schedule()
}

// repeat sends again what was not answered.
func (r *Receiver) repeat() {
	q := &r.recovery
	for i := range q.out[:q.n] {
		x := &q.out[i]
		if r.now >= x.sent+x.wait {
			x.server = (x.server + 1) % len(r.opts.Servers)
			x.wait = min(2*x.wait, int64(r.opts.RecoveryTime))
			r.send(x)
		}
		q.due = min(q.due, x.sent+x.wait)
	}
}

// askNew asks for what has been missing for long enough.
func (r *Receiver) askNew() {
	q := &r.recovery
	for i := range r.holes {
		h := &r.holes[i]
		if at := h.since + int64(r.opts.ReorderTime); at > r.now && !h.joined {
			q.due = min(q.due, at)
			return
		}
		for pos := q.uncovered(h.first); pos <= h.last; pos = q.uncovered(pos) {
			if q.n == maxRequests {
				return
			}
			last := min(h.last, pos+q.size-1)
			for _, x := range q.out[:q.n] {
				if x.first > pos {
					last = min(last, x.first-1)
				}
			}
			x := &q.out[q.n]
			*x = request{first: pos, last: last, server: q.server, wait: r.patience()}
			q.n++
			r.send(x)
			q.due = min(q.due, x.sent+x.wait)
		}
	}
}

// patience is how long the first answer may take.
func (r *Receiver) patience() int64 { return max(1, int64(r.opts.RecoveryTime)/retries) }

// uncovered gives the first sequence from pos on that no request asks for.
func (q *recovery) uncovered(pos uint64) uint64 {
	for again := true; again; {
		again = false
		for _, x := range q.out[:q.n] {
			if x.first <= pos && pos <= x.last {
				pos, again = x.last+1, true
			}
		}
	}
	return pos
}

// wants tells whether a server's packet is an answer to a request.
func (q *recovery) wants(p *Packet) bool {
	end := p.First + uint64(p.Count)
	return slices.ContainsFunc(q.out[:q.n], func(x request) bool { return p.First <= x.last && end > x.first })
}

// narrow takes from the requests what is not missing any more.
func (r *Receiver) narrow() {
	q := &r.recovery
	n := 0
	for _, x := range q.out[:q.n] {
		i, _ := slices.BinarySearchFunc(r.holes, x.first, func(h hole, seq uint64) int {
			if h.last < seq {
				return -1
			}
			return 1
		})
		if i == len(r.holes) || r.holes[i].first > x.last {
			continue
		}
		x.first = max(x.first, r.holes[i].first)
		q.out[n] = x
		n++
	}
	q.n = n
}

// answered learns from a server's packet, whose messages are taken, and asks for
// what it has left out.
func (r *Receiver) answered(server int, p *Packet) {
	q := &r.recovery
	q.server = server
	end := p.First + uint64(p.Count)
	var short [maxRequests]bool
	for i, x := range q.out[:q.n] {
		switch {
		case p.First > x.first || end <= x.first:
		case end <= x.last:
			short[i] = true
			q.size = max(1, uint64(p.Count))
		case x.last-x.first+1 >= q.size:
			q.size = min(2*q.size, maxRequest)
		}
	}
	for i := range q.out[:q.n] {
		if short[i] {
			x := &q.out[i]
			x.first, x.server, x.wait = end, server, r.patience()
			if r.holes.find(end) >= 0 {
				r.send(x)
			}
		}
	}
}

func (r *Receiver) send(x *request) {
	q := &r.recovery
	x.sent = r.now
	q.packet = r.protocol.Request(q.packet[:0], r.session, x.first, int(x.last-x.first+1))
	r.lines[len(r.opts.Lines)+x.server].c.Requests.Add(1)
	if err := r.opts.Ask(x.server, q.packet); err != nil {
		r.e.Log().Debug("a request could not be sent", "server", r.opts.Servers[x.server], slog.Any("error", err))
	}
}
