// Package moldudp follows a MoldUDP64 stream: it takes datagrams, keeps track of
// session and sequence, and hands every message on exactly once, in order.
//
//	downstream packet          message block
//	 0  session  10 bytes       0 length u16
//	10  sequence u64, of the    2 message
//	    first message
//	18  count    u16; 0 is a heartbeat, 0xFFFF the end of the session
//	20  message blocks
//
// All numbers are big endian. A heartbeat carries the sequence that comes next,
// so it shows a loss too.
//
// Every message has its own sequence, so a datagram may come twice (from the two
// lines of a feed), or overlap with another: what was seen is dropped and
// counted. A hole is a gap record. A stream that begins above sequence 1 was
// joined late. Captures whose sequence is 0 carry none at all: they are read as
// they come, after one gap record that says so.
//
// A Receiver belongs to one goroutine.
package moldudp

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

// HeaderSize is the size of a packet's header in bytes.
const HeaderSize = 20

const (
	heartbeat    = 0
	endOfSession = 0xffff
	maxSequence  = math.MaxUint64 - endOfSession // so that sequence + count never wraps
	maxOld       = 64                            // sessions remembered after another replaced them
)

// Messages takes the messages of a stream. The bytes are valid during the call.
type Messages interface {
	// Message is called in sequence order; seq is 0 in a stream without sequence.
	Message(recv int64, seq uint64, msg []byte)
	// NewSession is called before the first message of a session.
	NewSession()
}

// Receiver follows one stream.
type Receiver struct {
	e       *emit.Emitter
	to      Messages
	channel string

	joined      bool     // session and next are known
	session     [10]byte // the current session
	next        uint64   // sequence of the message to come
	cut         uint64   // sequence after the messages that a truncated packet lost; 0 when none
	old         [][10]byte
	unsequenced bool // the gap record that says so is written
	ended       bool
}

// NewReceiver makes a receiver for one channel.
func NewReceiver(e *emit.Emitter, channel string, to Messages) *Receiver {
	return &Receiver{e: e, to: to, channel: channel}
}

type header struct {
	session [10]byte
	seq     uint64
	count   int
}

// Packet takes one datagram, received at recv.
func (r *Receiver) Packet(recv int64, b []byte) {
	r.e.Packet()
	if len(b) < HeaderSize {
		r.e.Skip(emit.BadPacket)
		return
	}
	h := header{session: [10]byte(b[:10]), seq: binary.BigEndian.Uint64(b[10:]), count: int(binary.BigEndian.Uint16(b[18:]))}
	if h.seq > maxSequence {
		r.e.Skip(emit.BadPacket)
		return
	}
	if h.seq == 0 {
		r.withoutSequence(recv, h, b[HeaderSize:])
		return
	}
	if (!r.joined || h.session != r.session) && !r.enter(recv, h.session) {
		return
	}
	r.hole(recv, h.seq)
	switch h.count {
	case heartbeat:
	case endOfSession:
		r.end(recv)
	default:
		r.messages(recv, h, b[HeaderSize:])
	}
}

// enter begins a session. It is false for a packet of a session that is over.
func (r *Receiver) enter(recv int64, session [10]byte) bool {
	if slices.Contains(r.old, session) {
		r.e.Skip(emit.OldSession)
		return false
	}
	if r.joined {
		r.Finish(recv)
		r.old = append(r.old, r.session)
		r.old = r.old[max(0, len(r.old)-maxOld):]
	}
	r.joined, r.session, r.next, r.ended = true, session, 0, false
	r.e.Session(recv, market.Session{Event: market.SessionNew, Channel: r.channel, Session: name(session)})
	r.to.NewSession()
	return true
}

func name(session [10]byte) string {
	return string(bytes.TrimRight(bytes.TrimLeft(session[:], " "), " \x00"))
}

// hole writes a gap when seq is not what comes next.
func (r *Receiver) hole(recv int64, seq uint64) {
	gap := market.Gap{Channel: r.channel, FirstSeq: r.next, LastSeq: seq - 1, Cause: market.GapSequence}
	if r.next == 0 {
		gap.FirstSeq, gap.Cause = 1, market.GapLateJoin
	} else if r.cut > r.next && seq > r.next {
		gap.Cause = market.GapSource
	}
	if seq >= gap.FirstSeq {
		r.next, r.cut = seq, 0
	}
	if seq > gap.FirstSeq {
		r.e.Gap(recv, gap)
	}
}

func (r *Receiver) end(recv int64) {
	if !r.ended {
		r.ended = true
		r.e.Session(recv, market.Session{Event: market.SessionEnd, Channel: r.channel, Session: name(r.session)})
	}
}

// messages hands on the messages that have not been seen. What a truncated
// packet lacks stays due: another line may still bring it, else it is a hole.
func (r *Receiver) messages(recv int64, h header, b []byte) {
	for i := range h.count {
		msg, rest, ok := block(b)
		if !ok {
			r.e.Skip(emit.TruncatedPacket)
			r.cut = h.seq + uint64(h.count)
			return
		}
		b = rest
		seq := h.seq + uint64(i)
		if seq < r.next {
			r.e.Skip(emit.Duplicate)
			continue
		}
		r.next = seq + 1
		r.to.Message(recv, seq, msg)
	}
	if len(b) > 0 {
		r.e.Skip(emit.TrailingBytes)
	}
}

// block splits off the first message block.
func block(b []byte) (msg, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// withoutSequence reads a packet of a capture that carries no sequence.
func (r *Receiver) withoutSequence(recv int64, h header, b []byte) {
	if h.count == heartbeat || h.count == endOfSession {
		return
	}
	if !r.unsequenced {
		r.unsequenced = true
		r.e.Gap(recv, market.Gap{Channel: r.channel, Cause: market.GapUnsequenced})
		r.to.NewSession()
	}
	for range h.count {
		msg, rest, ok := block(b)
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

// Finish writes the gap of messages that a truncated packet lost and no later
// one brought. Call it at the end of the input.
func (r *Receiver) Finish(recv int64) {
	if r.joined && r.cut > r.next {
		r.e.Gap(recv, market.Gap{Channel: r.channel, FirstSeq: r.next, LastSeq: r.cut - 1, Cause: market.GapSource})
		r.next, r.cut = r.cut, 0
	}
}
