// Package market is the vocabulary of Chronicle: instruments, message kinds,
// fixed-point prices and sizes, sides, actions, flags and timestamps, and the
// binary codec of the records that travel through the queues.
//
// Invariants:
//   - Times are int64 nanoseconds since the Unix epoch; prices and sizes are
//     int64 fixed point with the instrument's exponents. "Not known" is a value
//     of its own ([UndefTimestamp], [UndefPrice], [UndefSize]), never zero.
//   - One record is one venue event: a reader sees all changes of an event or
//     none, because a queue commits a record with one store.
//   - Decoding never reads outside the given bytes and never panics; encoding a
//     value and decoding it again gives the same value.
//
// The package uses the standard library only and holds no state. All functions
// are safe for concurrent use; values are not.
package market

import "math"

// UndefTimestamp stands for a time that the venue did not send.
const UndefTimestamp int64 = math.MinInt64

// UndefPrice stands for a price that is not known or does not apply.
const UndefPrice int64 = math.MinInt64

// UndefSize stands for a size that is not known, for instance in the delete of
// a whole order before the book has been asked for the order's size.
const UndefSize int64 = math.MinInt64

// Default exponents, used where a venue's instrument list is not at hand.
const (
	DefaultPriceExponent int8 = -9
	DefaultSizeExponent  int8 = -9
)

// Kind tells what a record's body holds. Values are part of the on-disk format.
type Kind uint16

// The kinds of record.
const (
	KindDefinition Kind = 1 // Definition: an instrument, before its first message
	KindBook       Kind = 2 // BookEvent: the changes of one venue event
	KindSnapshot   Kind = 3 // BookEvent: a whole book, replacing what was there
	KindTrade      Kind = 4 // Trade
	KindQuote      Kind = 5 // Quote: a venue's own best bid and offer
	KindStatus     Kind = 6 // Status: any other venue message, kept verbatim
	KindGap        Kind = 7 // Gap: records that were sent but did not arrive
	KindSession    Kind = 8 // Session: a source or a venue session starts or ends
)

var kindNames = [...]string{"", "definition", "book", "snapshot", "trade", "quote", "status", "gap", "session"}

// String gives the kind's name, or "kind(N)" for one that this version does not know.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k != 0 {
		return kindNames[k]
	}
	return "kind(" + itoa(int64(k)) + ")"
}

// Side is the side of an order or level; on a trade it is the aggressor's.
type Side byte

// The sides.
const (
	Bid    Side = 'B'
	Ask    Side = 'A'
	NoSide Side = 'N'
)

// Opposite gives the other side; NoSide stays NoSide.
func (s Side) Opposite() Side {
	switch s {
	case Bid:
		return Ask
	case Ask:
		return Bid
	}
	return NoSide
}

// Valid tells whether s is one of the three sides.
func (s Side) Valid() bool { return s == Bid || s == Ask || s == NoSide }

// MarshalText gives the side's letter.
func (s Side) MarshalText() ([]byte, error) { return []byte{byte(s)}, nil }

// Action is what an entry does. Trade and Fill do not change a book: an
// execution is a Trade, a Fill and the Cancel that reduces the resting order.
type Action byte

// The actions. In an L2 book Add and Modify set a level's size and Cancel
// removes the level. In an L3 book Cancel takes Size off the order (the whole
// order when Size is UndefSize or not smaller than what rests).
const (
	Add    Action = 'A'
	Cancel Action = 'C'
	Modify Action = 'M'
	Clear  Action = 'R'
	Exec   Action = 'T' // a trade; named Exec because Trade is the record
	Fill   Action = 'F'
)

// Valid tells whether a is a known action.
func (a Action) Valid() bool {
	switch a {
	case Add, Cancel, Modify, Clear, Exec, Fill:
		return true
	}
	return false
}

// MarshalText gives the action's letter.
func (a Action) MarshalText() ([]byte, error) { return []byte{byte(a)}, nil }

// Flags qualify an event or a trade.
type Flags uint8

// The flags, with the values that Databento's DBN gives them.
const (
	FlagLast         Flags = 128 // last record of its venue event
	FlagSnapshot     Flags = 32  // comes from a snapshot, not from a live change
	FlagMBP          Flags = 16  // aggregated by price level
	FlagBadTsRecv    Flags = 8   // ts_recv is not a capture time of our own
	FlagMaybeBadBook Flags = 4   // the book may be wrong: a gap has not been healed
)

// BookType tells how an instrument's book is kept.
type BookType string

// The book types.
const (
	L2 BookType = "l2" // by price level
	L3 BookType = "l3" // by order
)
