// Package sequence follows a stream of numbered messages that comes in
// datagrams, on one line or two, and hands every message on exactly once, in
// order: MoldUDP64 and IEX-TP are such streams.
//
//	line A ──▶┐  first copy of   next        window of messages
//	line B ──▶┤  each message  ─▶ message ─▶  that wait for one  ─▶ Messages
//	servers ─▶┘                                before them
//	   ▲                                            │ hole
//	   └──────────── requests ◀─────────────────────┘
//
// What one line lacks another one brings, message by message; packets need not be
// cut alike. A message that comes before its turn waits in a window, bounded in
// messages, bytes and time, until the hole before it is filled: by the other line,
// by a packet that comes late, or by a re-request server. What is not filled in
// time is one gap record of exactly what is missing, and the rest goes on. A hole
// that was filled leaves no trace but counts.
//
// Invariants:
//   - What is handed on is the sender's stream without exactly the ranges of the
//     gap records, each message once and in order, with the time at which its
//     first copy was received.
//   - Waiting is measured by receive times, of packets and of [Receiver.Tick]: a
//     capture always gives the same records.
//   - Memory is bounded and taken at the start. In steady state nothing is allocated.
//
// A new session name begins a new session; packets of the old one are ignored
// from there on. A venue that begins again under the same name is believed when
// its first message comes again and differs, and nothing new came for 100 ms; or
// when a line that was further on has gone on for 3 s with what is long known, and
// no line brought anything new in that time, not even a heartbeat. In the second
// case the messages of these 3 s are missing, as after a late join. Late copies
// meet neither condition. A restart that overtakes the old numbering before it is
// noticed cannot be told from it.
//
// Captures without sequence are handed on as they come, after one gap record that
// says so.
package sequence

import "encoding/binary"

// Session names a venue's session, as the bytes that its protocol has for it.
type Session [10]byte

// Packet is one datagram of a stream, as its protocol reads it.
type Packet struct {
	Session Session
	// First is the sequence of the first message; of a packet without messages
	// it is the one to come next. 0: the capture carries no sequence at all.
	First uint64
	// Count is how many messages the packet says it has; 0 is a heartbeat.
	Count int
	// End tells that the session is over: First is the sequence after its last message.
	End bool
	// Blocks are the messages, each behind its length as a u16 in Order. They
	// alias the datagram.
	Blocks []byte
	Order  binary.ByteOrder
}

// Protocol reads and asks for datagrams.
type Protocol interface {
	// Parse reads a datagram. What it cannot use is an emit.Reason.
	Parse(datagram []byte) (Packet, error)
	// Name gives a session's name, for people.
	Name(s Session) string
	// Request appends the datagram that asks the recovery server for count
	// messages of a session from first on.
	Request(dst []byte, s Session, first uint64, count int) []byte
}

// Messages takes the messages of a stream. The bytes are valid during the call.
type Messages interface {
	// Message is called in sequence order; seq is 0 in a stream without sequence.
	Message(recv int64, seq uint64, msg []byte)
	// NewSession is called before the first message of a session.
	NewSession()
}
