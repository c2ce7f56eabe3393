// Package moldudp reads and writes the datagrams of MoldUDP64 1.00.
//
//	downstream packet          message block      request packet
//	 0  session  10 bytes       0 length u16       0  session  10 bytes
//	10  sequence u64, of the    2 message          10  sequence u64, of the first message
//	    first message                              18  count    u16
//	18  count    u16; 0 is a heartbeat, 0xFFFF the end of the session
//	20  message blocks
//
// All numbers are big endian. A heartbeat, and the end of a session, carry the
// sequence that comes next, so they show a loss too. A re-request server answers
// a request with downstream packets, sent to where it came from, that may hold
// fewer messages than were asked for.
//
// Captures whose sequence is 0 carry none at all.
package moldudp

import (
	"bytes"
	"encoding/binary"
	"math"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/sequence"
)

// HeaderSize is the size of a packet's header, and of a request, in bytes.
const HeaderSize = 20

const (
	endOfSession = 0xffff
	maxSequence  = math.MaxUint64 - endOfSession // so that sequence + count never wraps
)

// Protocol is MoldUDP64.
type Protocol struct{}

var _ sequence.Protocol = Protocol{}

// Parse reads a downstream packet. Its only error is emit.BadPacket.
func (Protocol) Parse(b []byte) (sequence.Packet, error) {
	if len(b) < HeaderSize {
		return sequence.Packet{}, emit.BadPacket
	}
	p := sequence.Packet{
		Session: sequence.Session(b[:10]), First: binary.BigEndian.Uint64(b[10:]),
		Count: int(binary.BigEndian.Uint16(b[18:])), Blocks: b[HeaderSize:], Order: binary.BigEndian,
	}
	if p.First > maxSequence {
		return sequence.Packet{}, emit.BadPacket
	}
	if p.Count == endOfSession {
		p.Count, p.End, p.Blocks = 0, true, nil
	}
	return p, nil
}

// Name gives a session's name without its padding.
func (Protocol) Name(s sequence.Session) string {
	return string(bytes.TrimRight(bytes.TrimLeft(s[:], " "), " \x00"))
}

// Request appends a request packet. It asks for 0xFFFE messages at most.
func (Protocol) Request(dst []byte, s sequence.Session, first uint64, count int) []byte {
	dst = append(dst, s[:]...)
	dst = binary.BigEndian.AppendUint64(dst, first)
	return binary.BigEndian.AppendUint16(dst, uint16(min(count, endOfSession-1)))
}
