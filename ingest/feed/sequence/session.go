package sequence

import (
	"bytes"
	"slices"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

const (
	maxOld = 64 // sessions remembered after another replaced them

	// restartQuiet is how long nothing new may have come before a first message
	// that differs from the session's own tells of a restart.
	restartQuiet = int64(100 * time.Millisecond)
	// restartTime is how long a line must go on with what is long known, or with a
	// session that is over, without anything new on any line.
	restartTime = int64(3 * time.Second)
)

// oldSession is a session that another one replaced.
type oldSession struct {
	name Session
	next uint64 // sequence after the last message that was handed on or given up
}

// restart looks for a venue that numbers its messages anew under the same
// session name, or that goes back to a session that seemed to be over. Times are
// those of the receiver's clock.
type restart struct {
	alive int64 // when something new came last
	since int64 // since when only what is known comes; 0 for not at all
	last  int64 // when it came last
	first []byte
	known bool // first is the session's first message
	same  bool // the session began by a restart under its own name
}

// admit tells whether a packet is of the current session, which it may begin.
func (r *Receiver) admit(l *line, recv int64, p *Packet) bool {
	if l.server {
		return r.admitAnswer(l, p)
	}
	switch {
	case !r.joined:
		r.enter(recv, p.Session, false)
	case p.Session != r.session:
		return r.change(l, recv, p)
	case r.restarted(l, p):
		r.e.Log().Warn("the venue numbers its messages anew under the same session name", "channel", r.opts.Channel,
			"line", l.name, "session", r.protocol.Name(p.Session), "sequence", p.First, "expected", r.next)
		r.enter(recv, p.Session, true)
	}
	r.noteFirst(p)
	return true
}

// admitAnswer takes answers to requests that are under way. Others may be of a
// numbering that is over.
func (r *Receiver) admitAnswer(l *line, p *Packet) bool {
	if !r.joined || p.Session != r.session {
		r.e.Skip(emit.ForeignAnswer)
		return false
	}
	if !r.recovery.wants(p) {
		l.c.Messages.Add(uint64(p.Count))
		l.c.Redundant.Add(uint64(p.Count))
		return false
	}
	return true
}

// change takes a packet of another session than the current one: a new session,
// or one that is over. That is ignored, unless it goes on by itself.
func (r *Receiver) change(l *line, recv int64, p *Packet) bool {
	i := slices.IndexFunc(r.old, func(o oldSession) bool { return o.name == p.Session })
	if i >= 0 {
		r.e.Skip(emit.OldSession)
		r.tooLate(l, recv, p, &r.old[i])
		if !r.restart.persists(r.now) {
			return false
		}
		r.old = slices.Delete(r.old, i, i+1)
	}
	r.enter(recv, p.Session, false)
	r.noteFirst(p)
	return true
}

// lateTail is the end of a session that came after another had begun, as far as
// it has come.
type lateTail struct {
	session     Session
	first, next uint64 // messages [first, next); none when equal
	since, recv int64  // when the first of it came, by the receiver's clock and by its own time
}

// tooLate notes messages of a session that is over and that no packet before told
// of: they cannot be handed on any more. One gap record tells of all of them.
func (r *Receiver) tooLate(l *line, recv int64, p *Packet, old *oldSession) {
	end := p.First + uint64(p.Count)
	if end <= old.next {
		return
	}
	l.c.Late.Add(end - max(p.First, old.next))
	if t := &r.tail; t.first == t.next || t.session != old.name {
		r.tellTail()
		*t = lateTail{session: old.name, first: old.next, since: r.now, recv: recv}
	}
	r.tail.next, old.next = end, end
}

// tellTail writes the gap of a session's end that came too late.
func (r *Receiver) tellTail() {
	t := &r.tail
	if t.first == t.next {
		return
	}
	r.e.Gap(t.recv, market.Gap{
		Channel: r.opts.Channel, FirstSeq: t.first, LastSeq: t.next - 1, Session: r.protocol.Name(t.session),
		Cause: market.GapSequence, Detail: "the end of the session came after another had begun",
	})
	t.first = t.next
}

// enter begins a session.
func (r *Receiver) enter(recv int64, session Session, same bool) {
	r.tellTail()
	if r.joined {
		r.Finish(recv, "the session is over")
		if !same {
			r.old = append(r.old, oldSession{r.session, r.next})
			r.old = slices.Delete(r.old, 0, max(0, len(r.old)-maxOld))
		}
	}
	r.joined, r.session, r.next, r.edge, r.end = true, session, 0, 0, endOfSession{}
	r.restart = restart{alive: r.now, first: r.restart.first[:0], same: same}
	r.given = givenUp{}
	for i := range r.opts.Lines {
		r.lines[i].track.reset()
	}
	r.e.Session(recv, market.Session{Event: market.SessionNew, Channel: r.opts.Channel, Session: r.protocol.Name(session)})
	r.to.NewSession()
}

// noteFirst remembers the session's first message.
func (r *Receiver) noteFirst(p *Packet) {
	if p.First == 1 && !r.restart.known && p.Count > 0 {
		if msg, _, ok := block(p.Blocks, bigEndian(p)); ok {
			r.restart.first, r.restart.known = append(r.restart.first[:0], msg...), true
		}
	}
}

// restarted tells whether a packet of the current session shows that it was
// numbered anew. Two things do:
//
//   - Its first message comes again and differs, and nothing new came for
//     restartQuiet. Late copies never differ.
//   - For restartTime a line that was further on already goes on with packets that
//     hold nothing new, and no line brings anything new, not even a heartbeat with
//     the sequence that comes next. Late copies do not last that long, and a line
//     that lags has not been further on.
func (r *Receiver) restarted(l *line, p *Packet) bool {
	end := p.First + uint64(p.Count)
	if r.next == 0 || end > r.next || p.Count == 0 && p.First >= r.next {
		r.restart.alive, r.restart.since = r.now, 0
		return false
	}
	if end > l.track.high {
		return false
	}
	if p.First == 1 && r.restart.known && p.Count > 0 && r.now-r.restart.alive >= restartQuiet {
		if msg, _, ok := block(p.Blocks, bigEndian(p)); ok && !bytes.Equal(msg, r.restart.first) {
			return true
		}
	}
	return r.restart.persists(r.now)
}

// persists notes that what is known came again, and tells whether it has gone on
// like that for long.
func (s *restart) persists(now int64) bool {
	if s.since == 0 || s.since < s.alive || now-s.last > restartTime {
		s.since = now
	}
	s.last = now
	return now-s.since >= restartTime
}

// endSession writes the end of the session once everything before it is handed on.
func (r *Receiver) endSession() {
	if r.end.at == 0 || r.end.told || r.next < r.end.at {
		return
	}
	r.end.told = true
	r.e.Session(r.end.recv, market.Session{Event: market.SessionEnd, Channel: r.opts.Channel, Session: r.protocol.Name(r.session)})
}

// maxGiven is how many ranges that were given up are remembered.
const maxGiven = 64

// givenUp remembers what was given up last, to know what comes late.
type givenUp struct {
	ranges   [maxGiven][2]uint64
	n        uint64
	from, to uint64 // all ranges are within
}

func (g *givenUp) add(first, last uint64) {
	g.ranges[g.n%maxGiven] = [2]uint64{first, last}
	g.n++
	g.from, g.to = g.ranges[0][0], last
	for _, x := range g.ranges[:min(g.n, maxGiven)] {
		g.from = min(g.from, x[0])
	}
}

func (g *givenUp) has(seq uint64) bool {
	if g.n == 0 || seq < g.from || seq > g.to {
		return false
	}
	return slices.ContainsFunc(g.ranges[:min(g.n, maxGiven)], func(x [2]uint64) bool { return x[0] <= seq && seq <= x[1] })
}
