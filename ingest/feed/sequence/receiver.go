package sequence

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

// maxSequence keeps sequence + count from wrapping.
const maxSequence = math.MaxUint64 - 1<<20

// never is a time that does not come.
const never = math.MaxInt64

// Defaults and bounds of Options.
const (
	DefaultWindow       = 1 << 16
	MaxWindow           = 1 << 22 // messages; more are not useful
	DefaultReorderTime  = 10 * time.Millisecond
	DefaultRecoveryTime = time.Second
	DefaultJoinMax      = 1 << 20
)

// Options say how a stream is followed.
type Options struct {
	// Channel is the channel of the session and gap records.
	Channel string
	// Lines name the lines that carry the stream, for counts and logs. Default: one,
	// unnamed. Empty but not nil: they are added by AddLine.
	Lines []string
	// Window is how many messages may wait for a hole before them to be filled; it is
	// rounded up to a power of two, MaxWindow at most. 0: none, and every hole is a
	// gap at once.
	Window int
	// WindowBytes bounds the bytes of the messages that wait. Default: 64 for each
	// message of Window, but at least 256 KiB. At most 1 GiB. Four times as much
	// memory is reserved.
	WindowBytes int
	// ReorderTime is how long a hole waits for the other line, or for packets that
	// come late, before it is asked for or given up. Default: DefaultReorderTime.
	ReorderTime time.Duration
	// Servers name the re-request servers; default none. They need a Window.
	Servers []string
	// Ask sends a request to a server. It must not wait. Required with Servers.
	Ask func(server int, request []byte) error
	// RecoveryTime is how long a hole that is asked for may stay without any answer
	// that fills a part of it. Default: DefaultRecoveryTime.
	RecoveryTime time.Duration
	// JoinFromStart asks for what a session sent before it was joined, if that is
	// JoinMax messages or less. Default: a late_join gap.
	JoinFromStart bool
	// JoinMax bounds JoinFromStart. Default: DefaultJoinMax.
	JoinMax uint64
	// Silence is how long a line may bring nothing, not even a heartbeat, before
	// it is called silent. Default 0: never.
	Silence time.Duration
	// Unasked is the detail of gaps that nobody has asked a server for.
	Unasked string
}

func (o *Options) fill() {
	if o.Lines == nil {
		o.Lines = []string{""}
	}
	o.Window = min(max(o.Window, 0), MaxWindow)
	if o.WindowBytes <= 0 {
		o.WindowBytes = max(64*o.Window, 256<<10)
	}
	o.WindowBytes = min(o.WindowBytes, 1<<30)
	if o.ReorderTime <= 0 {
		o.ReorderTime = DefaultReorderTime
	}
	if o.RecoveryTime <= 0 {
		o.RecoveryTime = DefaultRecoveryTime
	}
	if o.JoinMax == 0 {
		o.JoinMax = DefaultJoinMax
	}
	if o.Window == 0 || o.Ask == nil {
		o.Servers = nil
	}
}

// Receiver follows one stream. See the package for what it does.
//
// Every message in [next, edge) is either held in the window or in exactly one
// hole; the first hole, if any, begins at next; below next everything was handed
// on or given up.
type Receiver struct {
	e        *emit.Emitter
	protocol Protocol
	to       Messages
	opts     Options
	lines    []line // the stream's lines, then the servers

	now        int64 // the highest receive time, but see advance
	due        int64 // when something is to be done though no packet comes
	silenceDue int64 // when lines are to be looked at
	warned     int64 // when a loss was logged last

	joined  bool
	session Session
	next    uint64 // message to be handed on next; 0 before the session's first packet
	edge    uint64 // sequence after the highest message known of
	end     endOfSession
	old     []oldSession
	restart restart
	tail    lateTail

	window   window
	holes    holes
	given    givenUp
	recovery recovery

	unsequenced bool // the gap record that says so is written
}

// endOfSession is what the venue said of the session's end.
type endOfSession struct {
	at   uint64 // sequence after the last message; 0 when nothing was said
	recv int64
	told bool // the record is written
}

// NewReceiver makes a receiver.
func NewReceiver(e *emit.Emitter, p Protocol, to Messages, opts Options) *Receiver {
	opts.fill()
	r := &Receiver{e: e, protocol: p, to: to, opts: opts, due: never, silenceDue: never}
	for _, name := range opts.Lines {
		r.lines = append(r.lines, newLine(e, name, false))
	}
	for _, name := range opts.Servers {
		r.lines = append(r.lines, newLine(e, name, true))
	}
	if opts.Window > 0 {
		r.window = newWindow(opts.Window, opts.WindowBytes)
	}
	r.holes = make(holes, 0, maxHoles)
	r.recovery.size = firstRequest
	return r
}

// AddLine adds a line and gives its number. Not with Servers, whose lines come last.
func (r *Receiver) AddLine(name string) int {
	r.opts.Lines = append(r.opts.Lines, name)
	r.lines = append(r.lines, newLine(r.e, name, false))
	return len(r.lines) - 1
}

// Packet takes a datagram of a line, received at recv. Lines are numbered as in
// Options.Lines; the servers' answers come on the lines behind them. The bytes
// are not used after the call.
func (r *Receiver) Packet(line int, recv int64, b []byte) {
	r.e.Packet()
	r.advance(recv)
	l := &r.lines[line]
	r.hear(l, recv)
	p, err := r.protocol.Parse(b)
	if err == nil && p.First > maxSequence {
		err = emit.BadPacket
	}
	if err != nil {
		r.e.Skip(emit.ReasonOf(err))
		return
	}
	if p.First == 0 {
		r.withoutSequence(recv, &p)
		return
	}
	if !r.admit(l, recv, &p) {
		return
	}
	if r.next == 0 {
		r.join(recv, p.First)
	}
	r.expect(recv, p.First, false)
	if r.opts.Window == 0 && r.next < p.First {
		r.giveUpAll(recv, r.opts.Unasked)
	}
	r.messages(l, recv, &p)
	if p.End && r.end.at == 0 {
		r.end = endOfSession{at: p.First, recv: recv}
	}
	r.endSession()
	if l.server {
		r.answered(line-len(r.opts.Lines), &p)
	}
	if len(r.holes) > 0 || r.due != r.silenceDue {
		r.ask()
	}
}

// Tick does what is due at now though no packet comes. Everything received
// before now must have been handed over.
func (r *Receiver) Tick(now int64) { r.advance(now) }

// Due gives when Tick is to be called at the latest, in ns since the Unix epoch;
// math.MaxInt64 when nothing is due.
func (r *Receiver) Due() int64 { return r.due }

// Finish ends the stream: what is still missing is given up, and what waits for
// it is handed on.
func (r *Receiver) Finish(recv int64, detail string) {
	r.giveUpAll(recv, detail)
	r.endSession()
	r.tellTail()
}

// join begins to follow a session whose first packet to be heard begins at first.
func (r *Receiver) join(recv int64, first uint64) {
	r.next, r.edge = first, first
	if first == 1 {
		return
	}
	if r.opts.JoinFromStart && len(r.opts.Servers) > 0 && !r.restart.same && first-1 <= r.opts.JoinMax {
		r.next, r.edge = 1, first
		r.holes = append(r.holes, hole{first: 1, last: first - 1, born: r.now, since: r.now, seen: recv, joined: true})
		r.e.Log().Info("the session began before: asking for what came before", "channel", r.opts.Channel, "last", first-1)
		return
	}
	r.e.Gap(recv, market.Gap{Channel: r.opts.Channel, FirstSeq: 1, LastSeq: first - 1, Cause: market.GapLateJoin})
}

// expect notes that everything below seq was sent: what is not known of it is missing.
func (r *Receiver) expect(recv int64, seq uint64, cut bool) {
	if seq <= r.edge {
		return
	}
	n := len(r.holes)
	if n > 0 && r.holes[n-1].last == r.edge-1 && !r.holes[n-1].joined {
		h := &r.holes[n-1]
		h.last, h.since, h.seen, h.cut = seq-1, r.now, recv, h.cut || cut
		r.edge = seq
		return
	}
	if n == cap(r.holes) {
		r.giveUp(recv, "too many holes at a time")
	}
	r.holes = append(r.holes, hole{first: r.edge, last: seq - 1, born: r.now, since: r.now, seen: recv, cut: cut})
	r.edge = seq
}

// messages hands on a packet's messages, or holds them.
func (r *Receiver) messages(l *line, recv int64, p *Packet) {
	b, big := p.Blocks, bigEndian(p)
	seq, end := p.First, p.First+uint64(p.Count)
	var t tally
	for ; seq < end; seq++ {
		msg, rest, ok := block(b, big)
		if !ok {
			r.e.Skip(emit.TruncatedPacket)
			r.expect(recv, end, true) // the rest stays due: another line may bring it
			break
		}
		b = rest
		if seq == r.next && seq == r.edge {
			r.next, r.edge = seq+1, seq+1
			r.to.Message(recv, seq, msg)
			continue
		}
		r.place(l, recv, seq, msg, &t)
	}
	if seq == end && p.Count > 0 && len(b) > 0 {
		r.e.Skip(emit.TrailingBytes)
	}
	r.count(l, p.First, seq, &t)
}

func bigEndian(p *Packet) bool { return p.Order == binary.BigEndian }

// block splits off the first message block.
func block(b []byte, big bool) (msg, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.LittleEndian.Uint16(b))
	if big {
		n = int(binary.BigEndian.Uint16(b))
	}
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// tally counts those messages of a packet that were not used at once.
type tally struct{ known, late, noRoom uint64 }

// place takes a message while something is missing, or one that is not the next.
func (r *Receiver) place(l *line, recv int64, seq uint64, msg []byte, t *tally) {
	if seq < r.next {
		if r.given.has(seq) {
			t.late++
		} else {
			t.known++
		}
		return
	}
	if seq >= r.edge {
		r.extend(recv, seq, msg)
		return
	}
	i := r.holes.find(seq)
	if i < 0 {
		t.known++
		return
	}
	r.fill(l, i, recv, seq, msg, t)
}

// extend takes the message behind all that are known of: it waits if something
// is missing and there is room. Else the oldest hole is given up.
func (r *Receiver) extend(recv int64, seq uint64, msg []byte) {
	r.edge = seq + 1
	for {
		if seq == r.next {
			r.next++
			r.to.Message(recv, seq, msg)
			return
		}
		if r.window.put(seq, recv, msg) {
			return
		}
		r.edge = seq // it is not held yet
		r.giveUp(recv, "the window of messages that wait is full")
		r.edge = seq + 1
	}
}

// fill takes message seq, which is in hole i.
func (r *Receiver) fill(l *line, i int, recv int64, seq uint64, msg []byte, t *tally) {
	h := r.holes[i]
	if seq != r.next && r.window.put(seq, recv, msg) {
		if !r.holes.fill(i, seq) {
			r.window.take(seq)
			t.noRoom++
			return
		}
	} else if seq != r.next {
		t.noRoom++
		return
	} else {
		r.holes.fill(0, seq)
		r.next++
		r.to.Message(recv, seq, msg)
	}
	if h.first == h.last {
		r.filled(&h, l)
	} else {
		r.fed(seq, l.server)
	}
	r.release()
}

// fed notes on both sides of seq that a part of their hole came.
func (r *Receiver) fed(seq uint64, server bool) {
	for _, at := range [2]uint64{seq - 1, seq + 1} {
		if i := r.holes.find(at); i >= 0 {
			r.holes[i].fed = r.now
			r.holes[i].answered = r.holes[i].answered || server
		}
	}
}

// filled tells that a hole is closed.
func (r *Receiver) filled(h *hole, l *line) {
	if h.answered || l.server {
		r.e.Log().Info("a hole was recovered by re-request", "channel", r.opts.Channel, "last", h.last, "after", time.Duration(r.now-h.born))
	}
}

// release hands on what has waited for its turn.
func (r *Receiver) release() {
	until := r.edge
	if len(r.holes) > 0 {
		until = r.holes[0].first
	}
	for r.next < until {
		recv, msg := r.window.take(r.next)
		r.to.Message(recv, r.next, msg)
		r.next++
	}
}

// giveUp writes the gap of the first hole and hands on what waited for it. recv
// is when the message behind it came, where none is held.
func (r *Receiver) giveUp(recv int64, detail string) {
	h := r.holes[0]
	r.holes = r.holes[:copy(r.holes, r.holes[1:])]
	if r.window.has(h.last + 1) {
		recv = r.window.recv(h.last + 1)
	}
	cause := market.GapSequence
	switch {
	case h.joined:
		cause = market.GapLateJoin
	case h.cut:
		cause = market.GapSource
	}
	r.e.Gap(recv, market.Gap{Channel: r.opts.Channel, FirstSeq: h.first, LastSeq: h.last, Cause: cause, Detail: detail})
	r.logLoss(&h, cause, detail)
	r.given.add(h.first, h.last)
	r.next = h.last + 1
	r.release()
}

// quiet is how long a logged loss makes the next ones a matter of debugging.
const quiet = int64(100 * time.Millisecond)

func (r *Receiver) logLoss(h *hole, cause market.GapCause, detail string) {
	level := slog.LevelDebug
	if r.now-r.warned >= quiet {
		r.warned, level = r.now, slog.LevelWarn
	}
	r.e.Log().Log(context.Background(), level, "messages are lost", "channel", r.opts.Channel, "session", r.protocol.Name(r.session),
		"first", h.first, "last", h.last, "cause", string(cause), "detail", detail)
}

func (r *Receiver) giveUpAll(recv int64, detail string) {
	for len(r.holes) > 0 {
		r.giveUp(recv, detail)
	}
	r.recovery.n = 0
	r.due = r.silenceDue
}

// withoutSequence reads a packet of a capture that carries no sequence.
func (r *Receiver) withoutSequence(recv int64, p *Packet) {
	if p.Count == 0 {
		return
	}
	if !r.unsequenced {
		r.unsequenced = true
		r.e.Gap(recv, market.Gap{Channel: r.opts.Channel, Cause: market.GapUnsequenced})
		r.to.NewSession()
	}
	b, big := p.Blocks, bigEndian(p)
	for range p.Count {
		msg, rest, ok := block(b, big)
		if !ok {
			r.e.Skip(emit.TruncatedPacket)
			return
		}
		b = rest
		r.to.Message(recv, 0, msg)
	}
	if len(b) > 0 {
		r.e.Skip(emit.TrailingBytes)
	}
}
