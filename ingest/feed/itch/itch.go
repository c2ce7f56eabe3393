// Package itch decodes NASDAQ TotalView-ITCH 5.0: every message type, from
// MoldUDP64 datagrams or a BinaryFILE recording.
//
//	A F        KindBook: Add
//	E C        KindBook: Fill of the resting order, then Exec with the match number
//	           in OrderID; neither changes the book (the reduction is completed by
//	           whoever keeps the book)
//	X D        KindBook: Cancel of a size, of the whole order
//	U          KindBook: Cancel of the old order and Add of the new, one event
//	P Q        KindTrade: against a hidden order, and of a cross
//	R          KindDefinition, and KindStatus
//	all other  KindStatus, verbatim, Code is the type's letter
//
// Prices have four decimals, sizes none. Times are ns since midnight in New
// York. Instruments are found by stock locate; a locate is bound by a directory
// message (R) or by the first message that carries the stock's name, and is
// named "locate-N" until then. Messages of no stock belong to market.AllSymbol.
//
// A Decoder belongs to one goroutine.
package itch

import (
	"encoding/binary"
	"strconv"
	"strings"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
)

// PriceExponent is the exponent of all prices of orders and trades.
const PriceExponent int8 = -4

// Channel is the channel of every instrument: the feed has one sequence.
const Channel = "itch"

// headerSize is the size of what all messages have in common: type, stock
// locate, tracking number, time.
const headerSize = 11

// lengths are the sizes of the messages by type; 0 for an unknown type.
var lengths = [256]uint8{
	'S': 12, 'R': 39, 'H': 25, 'Y': 20, 'L': 26, 'V': 35, 'W': 12, 'K': 28, 'J': 35, 'h': 21,
	'A': 36, 'F': 40, 'E': 31, 'C': 36, 'X': 23, 'D': 19, 'U': 35,
	'P': 44, 'Q': 40, 'B': 19, 'I': 50, 'N': 20, 'O': 48,
}

// stockAt is where a message carries the stock's name; 0 where it does not.
var stockAt = [256]uint8{
	'R': 11, 'H': 11, 'Y': 11, 'L': 15, 'K': 11, 'J': 11, 'h': 11,
	'A': 24, 'F': 24, 'P': 24, 'Q': 19, 'I': 28, 'N': 11, 'O': 11,
}

type stock = [8]byte

// Decoder turns messages into records.
type Decoder struct {
	e     *emit.Emitter
	clock *Clock
	flags market.Flags // of every event

	locates  [1 << 16]uint32 // instrument by stock locate; 0 is unbound
	names    []stock         // by instrument id - 1; zero for one without a name
	byName   map[stock]uint32
	nameless map[uint16]uint32 // instruments named by their locate
	all      uint32            // market.AllSymbol; 0 until it is needed
	event    market.BookEvent
	entries  [2]market.Entry
}

// NewDecoder makes a decoder. flags are set on every event; clock gives the date.
func NewDecoder(e *emit.Emitter, clock *Clock, flags market.Flags) *Decoder {
	return &Decoder{e: e, clock: clock, flags: flags | market.FlagLast, byName: make(map[stock]uint32), nameless: make(map[uint16]uint32)}
}

// NewSession forgets the stock locates, which are valid for a session only.
func (d *Decoder) NewSession() { clear(d.locates[:]) }

// message is one message and what all messages have in common.
type message struct {
	b           []byte
	recv, event int64
	seq         uint64
	locate      uint16
}

// Message decodes one message. recv is its receive time, market.UndefTimestamp
// when the source has none (the venue's time then stands in for it).
func (d *Decoder) Message(recv int64, seq uint64, b []byte) {
	if err := d.decode(recv, seq, b); err != nil {
		d.unusable(recv, seq, b, emit.ReasonOf(err))
		return
	}
	d.e.Message()
}

// unusable counts a message that cannot be used. When it may have changed a
// book, a gap says so: a wrong book must not pass for a good one.
func (d *Decoder) unusable(recv int64, seq uint64, b []byte, reason emit.Reason) {
	d.e.Skip(reason)
	if len(b) > 0 && (reason == emit.UnknownType || strings.IndexByte("AFECXDU", b[0]) < 0) {
		return
	}
	if recv == market.UndefTimestamp {
		recv = max(d.e.LastRecv(), 0)
	}
	d.e.Gap(recv, market.Gap{Channel: Channel, FirstSeq: seq, LastSeq: seq, Cause: market.GapSource, Detail: string(reason)})
}

func (d *Decoder) decode(recv int64, seq uint64, b []byte) error {
	if len(b) == 0 {
		return emit.BadLength
	}
	want := int(lengths[b[0]])
	if want == 0 {
		return emit.UnknownType
	}
	if len(b) != want {
		return emit.BadLength
	}
	m := message{b: b, recv: recv, seq: seq, locate: binary.BigEndian.Uint16(b[1:])}
	m.event = d.clock.Event(recv, nanos(b))
	if recv == market.UndefTimestamp {
		m.recv = m.event
	}
	switch b[0] {
	case 'A', 'F', 'E', 'C', 'X', 'D', 'U':
		return d.book(&m)
	case 'P', 'Q':
		return d.trade(&m)
	}
	return d.status(&m)
}

// nanos gives a message's time in ns since midnight: 6 bytes.
func nanos(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b[5:]))<<32 | uint64(binary.BigEndian.Uint32(b[7:]))
}

// instrument gives the instrument that m belongs to, defining it if it is new.
func (d *Decoder) instrument(m *message) (uint32, error) {
	id := d.locates[m.locate]
	at := int(stockAt[m.b[0]])
	if at == 0 {
		if id == 0 {
			return d.unnamed(m)
		}
		return id, nil
	}
	name := stock(m.b[at : at+8])
	if id != 0 && d.names[id-1] == name {
		return id, nil
	}
	id, err := d.named(m, name)
	if err == nil && m.locate != 0 {
		d.locates[m.locate] = id
	}
	return id, err
}

func (d *Decoder) named(m *message, name stock) (uint32, error) {
	if id, ok := d.byName[name]; ok {
		return id, nil
	}
	native := strings.TrimRight(string(name[:]), " \x00")
	if native == "" {
		return d.unnamed(m)
	}
	id, err := d.define(m, market.CanonicalSymbol(native), native, name)
	if err == nil {
		d.byName[name] = id
	}
	return id, err
}

// unnamed gives the instrument of a locate whose stock is not known.
func (d *Decoder) unnamed(m *message) (uint32, error) {
	if id, ok := d.nameless[m.locate]; ok {
		d.locates[m.locate] = id
		return id, nil
	}
	native := "locate-" + strconv.Itoa(int(m.locate))
	id, err := d.define(m, native, native, stock{})
	if err == nil {
		d.nameless[m.locate] = id
		d.locates[m.locate] = id
	}
	return id, err
}

// venueWide gives the instrument of messages that concern no single stock.
func (d *Decoder) venueWide(m *message) (uint32, error) {
	var err error
	if d.all == 0 {
		d.all, err = d.define(m, market.AllSymbol, market.AllSymbol, stock{})
	}
	return d.all, err
}

func (d *Decoder) define(m *message, symbol, native string, name stock) (uint32, error) {
	if err := d.e.CheckSymbol(symbol); err != nil {
		return 0, err
	}
	id := d.e.Define(m.recv, m.event, market.Definition{
		Symbol: symbol, Native: native, BookType: market.L3, PriceExponent: PriceExponent,
		Channel: Channel, Currency: "USD",
	})
	d.names = append(d.names, name)
	return id, nil
}
