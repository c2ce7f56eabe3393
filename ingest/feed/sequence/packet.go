// Package sequence follows a stream of numbered messages that comes in
// datagrams, on one line or two, and hands every message on exactly once, in
// order: MoldUDP64 and IEX-TP are such streams.
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
