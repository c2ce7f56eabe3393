// Package iextp reads IEX-TP, the transport of the IEX feeds, version 1.
//
//	segment (a datagram)                message block
//	 0  version      u8, 1               0 length u16
//	 1  reserved                         2 message
//	 2  message protocol u16
//	 4  channel      u32                gap fill request
//	 8  session      u32                 0  version 1
//	12  payload      u16, bytes          1  request type: 1 is by message
//	14  messages     u16                 2  message protocol u16
//	16  stream offset i64                4  channel u32
//	24  first message's sequence i64     8  session u32
//	32  send time    i64                12  ranges u32
//	40  message blocks                  16  each range: first i64, last i64
//
// All numbers are little endian; times are ns since the Unix epoch. Sequences
// begin at 1 with every session, and a session is a day. A segment without
// messages is a heartbeat: it carries the sequence that comes next, so it shows a
// loss too. The end of a session is told by the messages, not by the transport.
//
// A gap fill request goes by UDP or TCP to a server of the venue's, which answers
// with ordinary segments. Each feed has a limit for what one request by UDP may
// ask for ([MaxRequest]). The header and the messages are those of the IEX
// Transport Specification 1.25 and of captures; the request is as public
// implementations of that specification have it, and has not been tried against
// a server of IEX.
//
// All functions are safe for concurrent use.
package iextp

import (
	"encoding/binary"
	"math"
	"strconv"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/sequence"
)

// HeaderSize is the size of a segment's header in bytes.
const HeaderSize = 40

// MaxRequest is how many messages IEX gives for one request by UDP.
const MaxRequest = 1000

// OtherProtocol is the reason of a segment that carries another feed.
const OtherProtocol emit.Reason = "other_protocol"

const (
	version     = 1
	byMessage   = 1
	requestSize = 16
	rangeSize   = 16
	maxFirst    = math.MaxInt64 - math.MaxUint16 // so that sequence + count never wraps
)

var le = binary.LittleEndian

// Protocol is IEX-TP that carries one message protocol: a feed in one version.
type Protocol uint16

var _ sequence.Protocol = Protocol(0)

// Carried gives the message protocol of a segment; false when it is no IEX-TP.
func Carried(datagram []byte) (Protocol, bool) {
	if len(datagram) < HeaderSize || datagram[0] != version {
		return 0, false
	}
	return Protocol(le.Uint16(datagram[2:])), true
}

// Parse implements [sequence.Protocol]. Of a datagram that is shorter than its
// header says the packet holds what there is; bytes after the payload are no part
// of the segment. A segment of another message protocol is OtherProtocol.
func (p Protocol) Parse(datagram []byte) (sequence.Packet, error) {
	carried, ok := Carried(datagram)
	if !ok {
		return sequence.Packet{}, emit.BadPacket
	}
	if carried != p {
		return sequence.Packet{}, OtherProtocol
	}
	payload, count, first := int(le.Uint16(datagram[12:])), int(le.Uint16(datagram[14:])), le.Uint64(datagram[24:])
	if first > maxFirst || payload < 2*count || count == 0 && payload > 0 {
		return sequence.Packet{}, emit.BadPacket
	}
	return sequence.Packet{
		Session: session(datagram), First: first, Count: count,
		Blocks: datagram[HeaderSize:min(HeaderSize+payload, len(datagram))], Order: le,
	}, nil
}

// session gives what tells sessions apart, as it is on the wire: session, channel
// and message protocol.
func session(datagram []byte) (s sequence.Session) {
	copy(s[0:], datagram[8:12])
	copy(s[4:], datagram[4:8])
	copy(s[8:], datagram[2:4])
	return s
}

// Name implements [sequence.Protocol]: the session's number.
func (Protocol) Name(s sequence.Session) string {
	return strconv.FormatUint(uint64(le.Uint32(s[0:])), 10)
}

// Request implements [sequence.Protocol]: a gap fill request of one range. With a
// count of 0 it has no range, which asks the server for a sign of life.
func (Protocol) Request(dst []byte, s sequence.Session, first uint64, count int) []byte {
	var b [requestSize + rangeSize]byte
	b[0], b[1] = version, byMessage
	copy(b[2:], s[8:10])
	copy(b[4:], s[4:8])
	copy(b[8:], s[0:4])
	if count <= 0 {
		return append(dst, b[:requestSize]...)
	}
	le.PutUint32(b[12:], 1)
	le.PutUint64(b[16:], first)
	le.PutUint64(b[24:], first+uint64(count)-1)
	return append(dst, b[:]...)
}
