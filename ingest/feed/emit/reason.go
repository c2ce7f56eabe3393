package emit

import (
	"errors"

	"chronicle/market"
)

// Reason says why a unit of input could not be used. It is an error, so that
// decoding functions return it like any other; as a constant it costs nothing.
type Reason string

// Error gives the reason as it appears in Stats.SkippedBy.
func (r Reason) Error() string { return string(r) }

// The reasons of all feeds.
const (
	BadLine      Reason = "bad_line"            // not of the recording's line format
	LineTooLong  Reason = "line_too_long"       // a line longer than any venue sends
	BadJSON      Reason = "bad_json"            // no complete JSON value
	UnknownType  Reason = "unknown_type"        // a message type that the decoder does not know
	MissingField Reason = "missing_field"       // a field that the message needs is absent or of another type
	BadNumber    Reason = "bad_number"          // text where a number belongs
	OutOfRange   Reason = "number_out_of_range" // a number that does not fit fixed point
	Precision    Reason = "too_many_decimals"   // more decimals than the instrument's exponent holds
	NoSymbol     Reason = "no_symbol"           // a message that cannot be tied to an instrument
	TooLarge     Reason = "event_too_large"     // an event too large for one record
	Damaged      Reason = "damaged_source"      // the recording itself breaks off or is corrupt

	BadPacket       Reason = "bad_packet"           // shorter than its own headers say
	NotUDP          Reason = "not_udp"              // captured traffic of another protocol
	Fragment        Reason = "ip_fragment"          // a piece of a fragmented datagram
	NoCaptureTime   Reason = "no_capture_time"      // a captured packet without a usable time
	TruncatedPacket Reason = "truncated_packet"     // a packet that ends inside a message
	BadLength       Reason = "bad_length"           // a message of another length than its type has
	BadField        Reason = "bad_field"            // a field with a value that its type does not have
	Duplicate       Reason = "duplicate"            // a message that came twice on one line; another line's copies are LineStats.Redundant
	OldSession      Reason = "old_session"          // a packet of a session that another one replaced
	ForeignAnswer   Reason = "foreign_answer"       // a packet of a re-request server that nobody has asked for
	TrailingBytes   Reason = "trailing_bytes"       // bytes after the last message of a packet
	TooMany         Reason = "too_many_instruments" // more instruments than identifiers
)

// ReasonOf gives the reason that err stands for.
func ReasonOf(err error) Reason {
	var r Reason
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, market.ErrRange):
		return OutOfRange
	case errors.Is(err, market.ErrPrecision):
		return Precision
	}
	return BadNumber
}
