package market

// Definition describes an instrument. In the raw queue it precedes the
// instrument's first message and binds ID for the records that follow; a later
// definition of the same ID takes its place from there on.
type Definition struct {
	ID            uint32   `json:"id,omitempty"` // raw queue only: the queue record's Tag
	Venue         string   `json:"venue"`
	Symbol        string   `json:"symbol"`    // Chronicle's own spelling
	Native        string   `json:"native"`    // the venue's spelling
	BookType      BookType `json:"book_type"` // how the venue sends the book
	PriceExponent int8     `json:"price_exponent"`
	SizeExponent  int8     `json:"size_exponent"`
	Channel       string   `json:"channel,omitempty"`    // sequence domain that the instrument belongs to
	Depth         int      `json:"depth,omitempty"`      // levels a side that the venue keeps; 0 is all
	Checksum      string   `json:"checksum,omitempty"`   // "kraken" or "okx": how Checksum fields are made
	Chained       bool     `json:"chained,omitempty"`    // events carry Seq and PrevSeq and need a snapshot to join
	FromEmpty     bool     `json:"from_empty,omitempty"` // L2: the book begins empty with each venue session, no snapshot comes
	TickSize      string   `json:"tick_size,omitempty"`
	LotSize       string   `json:"lot_size,omitempty"`
	Currency      string   `json:"currency,omitempty"`
}

// BeginsEmpty tells whether the book is empty, and right, when a venue session
// begins, and made by its changes alone from there on. An L3 book always is.
func (d *Definition) BeginsEmpty() bool { return d.BookType == L3 || d.FromEmpty }

// SymbolID gives the instrument's name.
func (d *Definition) SymbolID() SymbolID { return SymbolID{Venue: d.Venue, Symbol: d.Symbol} }

// Entry is one change inside an event. In an L2 event OrderID is 0 and Count is
// the number of orders at the level (0 when the venue does not say).
type Entry struct {
	OrderID uint64     `json:"order_id"`
	Price   int64      `json:"price"` // fixed point; UndefPrice when not known
	Size    int64      `json:"size"`  // fixed point; UndefSize when not known
	Count   uint32     `json:"count"`
	Side    Side       `json:"side"`
	Action  Action     `json:"action"`
	Flags   EntryFlags `json:"flags"`
}

// EntryFlags qualify one entry.
type EntryFlags uint8

// EntryNonPrintable marks an execution that the venue excludes from volume.
const EntryNonPrintable EntryFlags = 1

// Attr tells which optional fields of a BookEvent are set.
type Attr uint8

// The attributes of an event.
const (
	AttrChecksum  Attr = 1 // Checksum holds the venue's checksum of the book after the event
	AttrSynthetic Attr = 2 // a snapshot made by the ETL, not sent by the venue
)

// BookEvent is the body of KindBook and KindSnapshot. A snapshot's entries are
// Adds that, together, are the whole book: L2 levels best first, bids then asks;
// L3 orders in priority order per level. A reader replaces its book by them.
type BookEvent struct {
	RawSeq   uint64 `json:"raw_seq"`  // sequence of the raw record it comes from; 0 in the raw queue itself
	Seq      uint64 `json:"seq"`      // venue sequence of the event's last change; 0 when the venue has none
	PrevSeq  uint64 `json:"prev_seq"` // venue sequence this event follows (chained instruments); 0 when unknown
	Flags    Flags  `json:"flags"`
	Attr     Attr   `json:"attr"`
	Checksum uint32 `json:"checksum"`

	// AsOfEvent and AsOfRecv are the times of the last event that a snapshot
	// contains; unused (zero) in KindBook. UndefTimestamp when there was none.
	AsOfEvent int64 `json:"as_of_event"`
	AsOfRecv  int64 `json:"as_of_recv"`

	Entries []Entry `json:"entries"`
}

// Trade is the body of KindTrade.
type Trade struct {
	RawSeq  uint64     `json:"raw_seq"`
	Seq     uint64     `json:"seq"`      // venue sequence; 0 when the venue has none
	TradeID uint64     `json:"trade_id"` // the venue's id of the trade; 0 when it has none
	OrderID uint64     `json:"order_id"` // the resting order, where the venue tells it
	Price   int64      `json:"price"`
	Size    int64      `json:"size"`
	Side    Side       `json:"side"` // the aggressor's
	Flags   Flags      `json:"flags"`
	Entry   EntryFlags `json:"entry"`
	Cond    byte       `json:"cond"` // the venue's own condition code; 0 when it has none
}

// Quote is the body of KindQuote.
type Quote struct {
	RawSeq   uint64 `json:"raw_seq"`
	Seq      uint64 `json:"seq"`
	BidPrice int64  `json:"bid_price"`
	BidSize  int64  `json:"bid_size"`
	AskPrice int64  `json:"ask_price"`
	AskSize  int64  `json:"ask_size"`
	Flags    Flags  `json:"flags"`
}

// Status is the body of KindStatus: a venue message that changes no book and is
// no trade, kept verbatim.
type Status struct {
	RawSeq  uint64 `json:"raw_seq"`
	Seq     uint64 `json:"seq"`
	Code    uint16 `json:"code"` // the venue's message type
	Flags   Flags  `json:"flags"`
	Payload []byte `json:"payload"` // the venue's own bytes
}

// GapCause tells why records are missing.
type GapCause string

// The causes of a gap.
const (
	GapSequence     GapCause = "sequence"      // a hole in a channel's sequence
	GapLateJoin     GapCause = "late_join"     // the session began before we did
	GapDisconnect   GapCause = "disconnect"    // the connection was down
	GapChain        GapCause = "chain"         // an instrument's own event chain broke
	GapChecksum     GapCause = "checksum"      // the venue's checksum does not match
	GapUnknownOrder GapCause = "unknown_order" // a message names an order that the book does not hold
	GapUnsequenced  GapCause = "unsequenced"   // the source carries no sequence: holes cannot be seen
	GapSource       GapCause = "source"        // the source itself was damaged (truncated line or packet)
	GapCrossed      GapCause = "crossed"       // the source's book stayed crossed in continuous trading
	GapRawLost      GapCause = "raw_lost"      // the raw queue lost records in a power loss
	GapAudit        GapCause = "audit"         // a proof of the archived book failed: see the ledger
)

// Gap is the body of KindGap. Sequences are inclusive. Start and End are
// ts_recv of the last record before the gap and of the first one after it.
type Gap struct {
	RawSeq    uint64   `json:"raw_seq,omitempty"`
	Venue     string   `json:"venue"`
	Channel   string   `json:"channel"`
	Symbol    string   `json:"symbol,omitempty"` // empty: every instrument of the channel
	Start     int64    `json:"start"`
	End       int64    `json:"end"`
	FirstSeq  uint64   `json:"first_seq,omitempty"`
	LastSeq   uint64   `json:"last_seq,omitempty"`
	Session   string   `json:"session,omitempty"` // venue session that is over, when the gap is in that one: the books of the present one are right
	Cause     GapCause `json:"cause"`
	Recovered bool     `json:"recovered"`
	Detail    string   `json:"detail,omitempty"`
}

// SessionEvent tells what a Session record announces.
type SessionEvent string

// The session events.
const (
	SessionSourceBegin SessionEvent = "source_begin" // a source starts: a feed process or a recording
	SessionSourceEnd   SessionEvent = "source_end"   // a recording is complete: streams are to be sealed
	SessionConnect     SessionEvent = "connect"      // (re)connected: books of the channel are unknown until a snapshot
	SessionNew         SessionEvent = "new_session"  // a new venue session: books of the channel are empty and right
	SessionEnd         SessionEvent = "end_session"  // the venue ended its session
	SessionClock       SessionEvent = "clock"        // time went on, up to the record's: nothing was received
)

// Session is the body of KindSession.
type Session struct {
	Event   SessionEvent `json:"event"`
	Source  string       `json:"source,omitempty"` // source format, such as binance-usdm
	Input   string       `json:"input,omitempty"`  // identity of a recording: "sha256:..."
	Name    string       `json:"name,omitempty"`   // file name or address, for people
	Venue   string       `json:"venue,omitempty"`
	Channel string       `json:"channel,omitempty"`
	Session string       `json:"session,omitempty"` // the venue's session name
}

// Streams of the clean queues: one queue per instrument and stream.
const (
	StreamBook   = "book"
	StreamTrade  = "trade"
	StreamQuote  = "quote"
	StreamStatus = "status"
)

// StreamPath gives the place of a stream's queue below the folder of the clean
// queues, with slashes: "<venue>/<symbol>/<stream>.q".
func StreamPath(venue, symbol, stream string) string {
	return venue + "/" + symbol + "/" + stream + ".q"
}

// AllSymbol is the symbol under which a venue's messages that concern no single
// instrument are kept.
const AllSymbol = "_all"

// StreamMeta is the JSON that every clean segment carries in its header, so that
// a segment can be read with nothing else at hand.
type StreamMeta struct {
	Venue      string     `json:"venue"`
	Symbol     string     `json:"symbol"`
	Stream     string     `json:"stream"`
	Definition Definition `json:"definition"`
}
