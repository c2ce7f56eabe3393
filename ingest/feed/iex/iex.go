// Package iex decodes the feeds of IEX: DEEP 1.0 (specification 1.08), TOPS 1.6
// (1.66) and DEEP+ 1.0 (1.02), from the messages that IEX-TP carries.
//
//	feed    type   record
//	DEEP    8 5    KindBook of price levels: see below
//	TOPS    Q      KindQuote; and KindStatus when its flags change
//	DEEP+   a      KindBook: Add
//	DEEP+   M      KindBook: Modify where the order keeps its priority, else Cancel of
//	               the whole order and Add of the new, one event
//	DEEP+   R      KindBook: Cancel of the whole order
//	DEEP+   L      KindBook: Fill of the resting order, then Exec with the trade's id in
//	               OrderID and the sale condition flags in Count (whoever keeps the
//	               book completes the reduction)
//	DEEP+   C      KindSnapshot without entries: the book is empty, whatever was lost before
//	all     T      KindTrade; IEX does not tell the aggressor's side
//	all     D      KindDefinition, and KindStatus
//	all     other  KindStatus, verbatim, Code is the type's letter: system event S, trading
//	               status H, retail liquidity indicator I, operational halt O, short sale
//	               price test P, security event E, trade break B, official price X and
//	               auction information A (X and A not in DEEP+)
//
// Numbers are little endian, prices have four decimals, times are ns since the
// Unix epoch. A message that is longer than its type asks for is of a later
// version, which IEX adds fields to at the end: what is known of it is used, and
// a status keeps all of it. A trade's condition is the byte of sale condition
// flags. An empty side of a quote, price and size 0, is not known.
//
// # DEEP's books
//
// DEEP sends the levels of one venue event one by one, with a flag that says
// whether the book is whole again. The levels are held until it is and become one
// record, per symbol, however the symbols interleave. If the end of an event can
// no longer come (a hole in the sequence, a level that cannot be used, the end of
// the input, or too much that is held at once), what came of it is written after a
// gap record of its symbol, without FlagLast: nothing is dropped, and the book is
// known to be doubtful. An event that a new session cuts off is dropped, counted,
// and leaves a recovered gap: the books of the new session do not need it.
//
// A session begins with empty books (FromEmpty). One that was joined late, or a
// hole that was not filled, cannot be healed before the next session: IEX has no
// snapshot on this feed.
//
// DEEP+ marks no event: each message is an event of its own, though IEX calls
// those of one timestamp simultaneous. A Modify that keeps its priority at
// another price or a larger size goes to the end of its level all the same: books
// have no other place for it.
//
// # Instruments
//
// An instrument is named by its symbol, and defined by a directory message (D) or
// by the first message that names it. DEEP and TOPS bring the same symbols: they
// are two sources, with a channel each.
//
// A Decoder belongs to one goroutine.
package iex

import (
	"encoding/binary"
	"strings"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/sequence"
	"chronicle/market"
)

// PriceExponent is the exponent of all prices.
const PriceExponent int8 = -4

// headerSize is the size of what all messages have in common, type, a byte of
// flags and the time, and where the symbol begins in those that have one.
const (
	headerSize = 10
	namedSize  = headerSize + 8
)

var le = binary.LittleEndian

// Decoder turns messages into records.
type Decoder struct {
	e           *emit.Emitter
	feed        *Feed
	symbols     map[uint64]*instrument // by the eight bytes of the symbol
	instruments []*instrument          // in order of definition
	all         uint32                 // market.AllSymbol; 0 until it is needed

	next uint64 // sequence of the message to come
	recv int64  // receive time of the last message
	held int    // levels held back, of all instruments

	event   market.BookEvent
	entries [2]market.Entry
}

var _ sequence.Messages = (*Decoder)(nil)

// NewDecoder makes a decoder of one feed.
func NewDecoder(e *emit.Emitter, feed *Feed) *Decoder {
	return &Decoder{e: e, feed: feed, symbols: make(map[uint64]*instrument)}
}

// message is one message and what all messages have in common.
type message struct {
	b           []byte
	recv, event int64
	seq         uint64
}

// NewSession begins a session.
func (d *Decoder) NewSession() { d.dropAll() }

// Message decodes one message, received at recv.
func (d *Decoder) Message(recv int64, seq uint64, b []byte) {
	d.recv = recv
	if seq > d.next {
		d.cutAll("messages are missing")
	}
	d.next = seq + 1
	m := message{b: b, recv: recv, event: market.UndefTimestamp, seq: seq}
	if err := d.decode(&m); err != nil {
		d.unusable(&m, emit.ReasonOf(err))
		return
	}
	d.e.Message()
}

// Finish writes what is held back. Call it at the end of the input.
func (d *Decoder) Finish() { d.cutAll("the input ends") }

func (d *Decoder) decode(m *message) error {
	if len(m.b) == 0 {
		return emit.BadLength
	}
	shortest := int(d.feed.lengths[m.b[0]])
	if shortest == 0 {
		return emit.UnknownType
	}
	if len(m.b) < shortest {
		return emit.BadLength
	}
	if m.event = int64(le.Uint64(m.b[2:])); m.event < 0 {
		return emit.OutOfRange
	}
	switch m.b[0] {
	case '8', '5':
		return d.level(m)
	case 'a', 'M', 'R', 'L':
		return d.order(m)
	case 'C':
		return d.clear(m)
	case 'Q':
		return d.quote(m)
	case 'T':
		return d.trade(m)
	}
	return d.status(m)
}

// unusable counts a message that cannot be used. When it may have changed a
// book, a gap says so: of its symbol, or of all when it does not tell a known one.
func (d *Decoder) unusable(m *message, reason emit.Reason) {
	d.e.Skip(reason)
	if len(m.b) > 0 && (reason == emit.UnknownType || strings.IndexByte(d.feed.books, m.b[0]) < 0) {
		return
	}
	gap := market.Gap{Channel: d.feed.Name, FirstSeq: m.seq, LastSeq: m.seq, Cause: market.GapSource, Detail: string(reason)}
	if in := d.known(m.b); in != nil {
		d.cut(in, string(reason))
		gap.Symbol = d.e.Definition(in.id).Symbol
	} else {
		d.cutAll(string(reason))
	}
	d.e.Gap(m.recv, gap)
}
