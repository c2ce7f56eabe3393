package query

import (
	"encoding/json"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/book"
	"chronicle/market"
)

// BookAnswer is the book of one instrument at a time. Prices and sizes are fixed
// point with the Definition's exponents.
type BookAnswer struct {
	Symbol      string // venue:symbol
	Definition  market.Definition
	At          int64 // as asked
	Clock       Clock // as asked
	Depth       int   // as asked
	TsEvent     int64 // of the last venue event in the book; market.UndefTimestamp when there was none
	TsRecv      int64
	Sequence    uint64 // the venue's, of that event; 0 when it has none
	RawSequence uint64 // raw record that the last record applied comes from
	Bids, Asks  []book.Level
	Condition   string // ConditionAvailable or ConditionDegraded
	Proof       Proof
}

// Proof tells how an answer was made, so that it can be made again by other means.
type Proof struct {
	Snapshot   SnapshotProof  `json:"snapshot"`
	Segments   []SegmentProof `json:"segments"`
	LastSeq    uint64         `json:"last_seq"`     // queue sequence of the last record applied
	LastRawSeq uint64         `json:"last_raw_seq"` // and its sequence in the raw queue
	Deltas     int            `json:"deltas"`       // events applied after the snapshot
	Digest     string         `json:"digest"`       // of the whole book, all levels; hex

	// StalenessNs is At minus the time of the last event, on the request's
	// clock; nil when that event has no time.
	StalenessNs *int64 `json:"staleness_ns"`
}

// SnapshotProof names the snapshot that the replay began with.
type SnapshotProof struct {
	Sequence uint64 // queue sequence
	Time     int64  // ts_recv
}

// MarshalJSON writes the time as RFC 3339 with nine decimals.
func (s SnapshotProof) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Sequence uint64   `json:"sequence"`
		Time     jsonTime `json:"time"`
	}{s.Sequence, jsonTime(s.Time)})
}

// SegmentProof names a segment that was read.
type SegmentProof struct {
	Hash     string `json:"hash"` // empty while the segment is not sealed
	Tier     string `json:"tier"`
	Key      string `json:"key"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	Sealed   bool   `json:"sealed"`
}

// proof names the segment as read from a place.
func (s *segment) proof(from place) SegmentProof {
	return SegmentProof{Hash: s.hash, Tier: from.tier, Key: from.key, FirstSeq: s.first, LastSeq: s.last, Sealed: s.sealed}
}

// own gives the time of the last event on the answer's clock.
func (b *BookAnswer) own() int64 {
	if b.Clock == ClockEvent {
		return b.TsEvent
	}
	return b.TsRecv
}

// MarshalJSON writes prices and sizes as decimal strings and times as RFC 3339
// with nine decimals.
func (b *BookAnswer) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Symbol    string     `json:"symbol"`
		At        jsonTime   `json:"at"`
		Clock     Clock      `json:"clock"`
		TsEvent   jsonTime   `json:"ts_event"`
		TsRecv    jsonTime   `json:"ts_recv"`
		Sequence  uint64     `json:"sequence"`
		Bids      jsonLevels `json:"bids"`
		Asks      jsonLevels `json:"asks"`
		Condition string     `json:"condition"`
		Proof     Proof      `json:"proof"`
	}{
		b.Symbol, jsonTime(b.At), b.Clock, jsonTime(b.TsEvent), jsonTime(b.TsRecv), b.Sequence,
		jsonLevels{&b.Definition, b.Bids}, jsonLevels{&b.Definition, b.Asks}, b.Condition, b.Proof,
	})
}

// jsonLevels marshals as [["price","size",count],...].
type jsonLevels struct {
	def    *market.Definition
	levels []book.Level
}

// MarshalJSON implements json.Marshaler.
func (l jsonLevels) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range l.levels {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `["`...)
		b = market.AppendFixed(b, v.Price, l.def.PriceExponent)
		b = append(b, `","`...)
		b = market.AppendFixed(b, v.Size, l.def.SizeExponent)
		b = append(b, `",`...)
		b = strconv.AppendUint(b, uint64(v.Count), 10)
		b = append(b, ']')
	}
	return append(b, ']'), nil
}

// Record gives the answer as one row of Archive.BookSchema, with null columns
// where the book has fewer than depth levels; a depth outside 1 to MaxDepth is
// brought into it, an unknown price type is PriceFloat. The metadata has the clock
// and the proof. The caller releases the batch.
func (b *BookAnswer) Record(mem memory.Allocator, kind PriceType, depth int) arrow.RecordBatch {
	depth = min(max(depth, 1), MaxDepth)
	exp := exponentsOf(&b.Definition)
	row := newBatch(b.schema(fieldMaker{kind, &exp}, depth))
	defer row.release()
	symbol := add(row, newWordColumn(mem, []string{b.Symbol}))
	times := [3]*timeColumn{add(row, newTimeColumn(mem)), add(row, newTimeColumn(mem)), add(row, newTimeColumn(mem))}
	seq := add(row, newUint64Column(mem))
	ladder := addLadder(row, mem, kind, exp, depth)
	cond := add(row, newTextColumn(mem))
	row.room()
	symbol.append(0)
	for i, t := range [...]int64{b.At, b.TsEvent, b.TsRecv} {
		times[i].append(t)
	}
	seq.append(b.Sequence)
	ladder.append(b.Bids, b.Asks, exp)
	cond.append(b.Condition)
	row.rows = 1
	rec, _ := row.flush() // the columns have the values' own exponents: all of them fit
	return rec
}

func (b *BookAnswer) schema(m fieldMaker, depth int) *arrow.Schema {
	proof, _ := json.Marshal(b.Proof) // plain numbers and text always encode
	meta := arrow.NewMetadata([]string{MetaSchema, MetaClock, MetaPriceType, MetaProof}, []string{"book", string(b.Clock), string(m.kind), string(proof)})
	return arrow.NewSchema(m.bookFields(depth), &meta)
}
