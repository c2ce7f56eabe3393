package market

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// The bodies, little endian. Times of the record itself are in the queue's
// record header (Time is ts_recv, EventTime is ts_event), not in the body.
//
//	KindBook, KindSnapshot        Entry (32 bytes)
//	 0 u64 raw_seq                 0 u64 order_id
//	 8 u64 seq                     8 i64 price
//	16 u64 prev_seq               16 i64 size
//	24 u8  flags                  24 u32 count
//	25 u8  attr                   28 u8  side
//	26 u16 zero                   29 u8  action
//	28 u32 checksum               30 u8  entry flags
//	32 u32 entries                31 u8  zero
//	36 u32 zero
//	[KindSnapshot only: 40 i64 as_of_event, 48 i64 as_of_recv]
//	then the entries
//
//	KindTrade (64 bytes)          KindQuote (56 bytes)     KindStatus
//	 0 u64 raw_seq                 0 u64 raw_seq            0 u64 raw_seq
//	 8 u64 seq                     8 u64 seq                8 u64 seq
//	16 u64 trade_id               16 i64 bid price         16 u16 code
//	24 u64 order_id               24 i64 bid size          18 u8  flags
//	32 i64 price                  32 i64 ask price         19 u8  zero
//	40 i64 size                   40 i64 ask size          20 u32 payload length
//	48 u8  side                   48 u8  flags             24 payload
//	49 u8  flags                  49 zero
//	50 u8  entry flags
//	51 u8  condition
//	52 zero
//
// KindDefinition, KindGap and KindSession are rare; their bodies are JSON.
const (
	bookHeaderSize     = 40
	snapshotHeaderSize = 56
	EntrySize          = 32 // bytes of one encoded Entry
	TradeSize          = 64 // bytes of an encoded Trade
	QuoteSize          = 56 // bytes of an encoded Quote
	statusHeaderSize   = 24
)

// ErrCorrupt is returned for a body that does not follow its layout.
var ErrCorrupt = errors.New("corrupt record body")

var le = binary.LittleEndian

// Size gives the encoded size of e in bytes, as kind KindBook or KindSnapshot.
func (e *BookEvent) Size(kind Kind) int {
	n := bookHeaderSize
	if kind == KindSnapshot {
		n = snapshotHeaderSize
	}
	return n + len(e.Entries)*EntrySize
}

// Put encodes e into b, which must have exactly e.Size(kind) bytes. It does not allocate.
func (e *BookEvent) Put(b []byte, kind Kind) {
	_ = b[bookHeaderSize-1]
	le.PutUint64(b[0:], e.RawSeq)
	le.PutUint64(b[8:], e.Seq)
	le.PutUint64(b[16:], e.PrevSeq)
	b[24], b[25], b[26], b[27] = byte(e.Flags), byte(e.Attr), 0, 0
	le.PutUint32(b[28:], e.Checksum)
	le.PutUint32(b[32:], uint32(len(e.Entries)))
	le.PutUint32(b[36:], 0)
	at := bookHeaderSize
	if kind == KindSnapshot {
		le.PutUint64(b[40:], uint64(e.AsOfEvent))
		le.PutUint64(b[48:], uint64(e.AsOfRecv))
		at = snapshotHeaderSize
	}
	for i := range e.Entries {
		e.Entries[i].put(b[at : at+EntrySize])
		at += EntrySize
	}
}

func (t *Entry) put(b []byte) {
	_ = b[EntrySize-1]
	le.PutUint64(b[0:], t.OrderID)
	le.PutUint64(b[8:], uint64(t.Price))
	le.PutUint64(b[16:], uint64(t.Size))
	le.PutUint32(b[24:], t.Count)
	b[28], b[29], b[30], b[31] = byte(t.Side), byte(t.Action), byte(t.Flags), 0
}

func (t *Entry) get(b []byte) {
	_ = b[EntrySize-1]
	t.OrderID = le.Uint64(b[0:])
	t.Price = int64(le.Uint64(b[8:]))
	t.Size = int64(le.Uint64(b[16:]))
	t.Count = le.Uint32(b[24:])
	t.Side, t.Action, t.Flags = Side(b[28]), Action(b[29]), EntryFlags(b[30])
}

// Decode reads a body of kind KindBook or KindSnapshot into e, reusing e.Entries.
// It checks lengths, sides and actions; e holds no reference to b afterwards. It
// allocates only where e.Entries is too small; after an error e is of no use.
func (e *BookEvent) Decode(b []byte, kind Kind) error {
	head := bookHeaderSize
	if kind == KindSnapshot {
		head = snapshotHeaderSize
	}
	if len(b) < head {
		return fmt.Errorf("%v of %d bytes, at least %d needed: %w", kind, len(b), head, ErrCorrupt)
	}
	n := uint64(le.Uint32(b[32:]))
	if uint64(len(b)-head) != n*EntrySize {
		return fmt.Errorf("%v with %d entries in %d bytes: %w", kind, n, len(b), ErrCorrupt)
	}
	e.RawSeq, e.Seq, e.PrevSeq = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
	e.Flags, e.Attr, e.Checksum = Flags(b[24]), Attr(b[25]), le.Uint32(b[28:])
	e.AsOfEvent, e.AsOfRecv = 0, 0
	if kind == KindSnapshot {
		e.AsOfEvent, e.AsOfRecv = int64(le.Uint64(b[40:])), int64(le.Uint64(b[48:]))
	}
	if uint64(cap(e.Entries)) < n {
		e.Entries = make([]Entry, n)
	}
	e.Entries = e.Entries[:n]
	for i := range e.Entries {
		t := &e.Entries[i]
		t.get(b[head+i*EntrySize:])
		if !t.Side.Valid() || !t.Action.Valid() {
			return fmt.Errorf("%v entry %d: side %#x action %#x: %w", kind, i, byte(t.Side), byte(t.Action), ErrCorrupt)
		}
	}
	return nil
}

// FirstOrder gives the order that the first entry of a KindBook body names, without
// decoding the rest; 0 when there is no entry.
func FirstOrder(b []byte) uint64 {
	if len(b) < bookHeaderSize+EntrySize {
		return 0
	}
	return le.Uint64(b[bookHeaderSize:])
}

// Put encodes t into b, which must have TradeSize bytes.
func (t *Trade) Put(b []byte) {
	_ = b[TradeSize-1]
	le.PutUint64(b[0:], t.RawSeq)
	le.PutUint64(b[8:], t.Seq)
	le.PutUint64(b[16:], t.TradeID)
	le.PutUint64(b[24:], t.OrderID)
	le.PutUint64(b[32:], uint64(t.Price))
	le.PutUint64(b[40:], uint64(t.Size))
	b[48], b[49], b[50], b[51] = byte(t.Side), byte(t.Flags), byte(t.Entry), t.Cond
	clear(b[52:TradeSize])
}

// Decode reads a body of kind KindTrade.
func (t *Trade) Decode(b []byte) error {
	if len(b) != TradeSize {
		return fmt.Errorf("trade of %d bytes (%d needed): %w", len(b), TradeSize, ErrCorrupt)
	}
	if !Side(b[48]).Valid() {
		return fmt.Errorf("trade of side %#x (allowed: B, A, N): %w", b[48], ErrCorrupt)
	}
	*t = Trade{
		RawSeq: le.Uint64(b), Seq: le.Uint64(b[8:]), TradeID: le.Uint64(b[16:]), OrderID: le.Uint64(b[24:]),
		Price: int64(le.Uint64(b[32:])), Size: int64(le.Uint64(b[40:])),
		Side: Side(b[48]), Flags: Flags(b[49]), Entry: EntryFlags(b[50]), Cond: b[51],
	}
	return nil
}

// Put encodes q into b, which must have QuoteSize bytes.
func (q *Quote) Put(b []byte) {
	_ = b[QuoteSize-1]
	le.PutUint64(b[0:], q.RawSeq)
	le.PutUint64(b[8:], q.Seq)
	le.PutUint64(b[16:], uint64(q.BidPrice))
	le.PutUint64(b[24:], uint64(q.BidSize))
	le.PutUint64(b[32:], uint64(q.AskPrice))
	le.PutUint64(b[40:], uint64(q.AskSize))
	b[48] = byte(q.Flags)
	clear(b[49:QuoteSize])
}

// Decode reads a body of kind KindQuote.
func (q *Quote) Decode(b []byte) error {
	if len(b) != QuoteSize {
		return fmt.Errorf("quote of %d bytes (%d needed): %w", len(b), QuoteSize, ErrCorrupt)
	}
	*q = Quote{
		RawSeq: le.Uint64(b), Seq: le.Uint64(b[8:]),
		BidPrice: int64(le.Uint64(b[16:])), BidSize: int64(le.Uint64(b[24:])),
		AskPrice: int64(le.Uint64(b[32:])), AskSize: int64(le.Uint64(b[40:])),
		Flags: Flags(b[48]),
	}
	return nil
}

// Size gives the encoded size of s in bytes.
func (s *Status) Size() int { return statusHeaderSize + len(s.Payload) }

// Put encodes s into b, which must have exactly s.Size() bytes.
func (s *Status) Put(b []byte) {
	_ = b[statusHeaderSize-1]
	le.PutUint64(b[0:], s.RawSeq)
	le.PutUint64(b[8:], s.Seq)
	le.PutUint16(b[16:], s.Code)
	b[18], b[19] = byte(s.Flags), 0
	le.PutUint32(b[20:], uint32(len(s.Payload)))
	copy(b[statusHeaderSize:], s.Payload)
}

// Decode reads a body of kind KindStatus. Payload aliases b.
func (s *Status) Decode(b []byte) error {
	if len(b) < statusHeaderSize || uint64(len(b)-statusHeaderSize) != uint64(le.Uint32(b[20:])) {
		return fmt.Errorf("status of %d bytes: %w", len(b), ErrCorrupt)
	}
	*s = Status{
		RawSeq: le.Uint64(b), Seq: le.Uint64(b[8:]), Code: le.Uint16(b[16:]), Flags: Flags(b[18]),
		Payload: b[statusHeaderSize:],
	}
	return nil
}

// EncodeJSON encodes a Definition, Gap or Session as a record body. Bytes in its
// texts that are not UTF-8 become U+FFFD.
func EncodeJSON[T Definition | Gap | Session](v *T) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("market: " + err.Error()) // plain structs of strings and numbers always encode
	}
	return b
}

// DecodeJSON reads the body of a Definition, Gap or Session.
func DecodeJSON[T Definition | Gap | Session](b []byte) (*T, error) {
	v := new(T)
	if len(b) == 0 || b[0] != '{' { // json.Unmarshal would take null for an empty value
		return nil, fmt.Errorf("body of %d bytes is not a JSON object: %w", len(b), ErrCorrupt)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("decode JSON body: %w: %w", ErrCorrupt, err)
	}
	return v, nil
}

// MaxEntries bounds the entries of one event, so that a length never overflows.
const MaxEntries = math.MaxInt32 / EntrySize / 2
