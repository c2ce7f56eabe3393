package query

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"chronicle/market"
)

// SymbolInfo describes an instrument of the archive, hot data included.
type SymbolInfo struct {
	Symbol        string          `json:"symbol"` // venue:symbol
	Native        string          `json:"native"`
	BookType      market.BookType `json:"book_type"`
	PriceExponent int8            `json:"price_exponent"`
	SizeExponent  int8            `json:"size_exponent"`
	Streams       []string        `json:"streams"`
	First         int64           `json:"first"` // ts_recv; market.UndefTimestamp when there is no record
	Last          int64           `json:"last"`
	Records       uint64          `json:"records"`
	Condition     string          `json:"condition"` // degraded: there is a gap marker somewhere, recovered or not, or a row in the ledger
}

// MarshalJSON writes times as RFC 3339 with nine decimals.
func (s SymbolInfo) MarshalJSON() ([]byte, error) {
	type plain SymbolInfo
	return json.Marshal(struct {
		plain
		First jsonTime `json:"first"`
		Last  jsonTime `json:"last"`
	}{plain(s), jsonTime(s.First), jsonTime(s.Last)})
}

// Symbols lists the instruments of the archive by venue and symbol.
func (a *Archive) Symbols(ctx context.Context) ([]SymbolInfo, error) {
	table, err := a.symbolTable(ctx, false)
	if err != nil {
		return nil, asError(err)
	}
	infos := make([]SymbolInfo, 0, len(table.sorted))
	for _, id := range table.sorted {
		info, err := a.symbolInfo(ctx, id)
		if err != nil {
			return nil, asError(err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Symbol describes one instrument, by any unambiguous spelling.
func (a *Archive) Symbol(ctx context.Context, spelling string) (SymbolInfo, error) {
	id, err := a.ResolveSymbol(ctx, spelling)
	if err != nil {
		return SymbolInfo{}, err
	}
	info, err := a.symbolInfo(ctx, id)
	return info, asError(err)
}

func (a *Archive) symbolInfo(ctx context.Context, id market.SymbolID) (SymbolInfo, error) {
	info := SymbolInfo{Symbol: id.String(), Streams: []string{}, First: noTime, Last: noTime, Condition: ConditionAvailable}
	for _, name := range allStreams {
		if err := a.addStream(ctx, &info, streamID{id, name}); err != nil {
			return info, err
		}
	}
	def, err := a.definition(ctx, id)
	if err != nil {
		return info, err
	}
	doubts, err := a.doubts(id)
	if err != nil {
		return info, err
	}
	if len(doubts) > 0 {
		info.Condition = ConditionDegraded
	}
	info.Native, info.BookType = def.Native, def.BookType
	info.PriceExponent, info.SizeExponent = def.PriceExponent, def.SizeExponent
	return info, nil
}

// addStream adds what one stream holds.
func (a *Archive) addStream(ctx context.Context, info *SymbolInfo, id streamID) error {
	p, err := a.plan(ctx, id)
	if err != nil {
		return err
	}
	defer p.close()
	if len(p.segs) > 0 {
		info.Streams = append(info.Streams, id.Stream)
		info.add(p.covered(ClockRecv))
	}
	for _, s := range p.segs {
		info.Records += s.records
		marked, err := a.marked(id, s)
		if err != nil {
			return err
		}
		if marked {
			info.Condition = ConditionDegraded
		}
	}
	return nil
}

func (s *SymbolInfo) add(sp span) {
	if s.First == noTime || sp.min < s.First {
		s.First = sp.min
	}
	s.Last = max(s.Last, sp.max)
}

// definition gives the latest definition of an instrument, from the header of
// the last segment of its first stream; an empty one when nothing is written yet.
func (a *Archive) definition(ctx context.Context, id market.SymbolID) (*market.Definition, error) {
	for _, name := range allStreams {
		def, err := a.streamDefinition(ctx, streamID{id, name})
		if err != nil || def != nil {
			return def, err
		}
	}
	return &market.Definition{Venue: id.Venue, Symbol: id.Symbol}, nil
}

func (a *Archive) streamDefinition(ctx context.Context, id streamID) (def *market.Definition, err error) {
	for range maxReplans {
		p, err := a.plan(ctx, id)
		if err != nil || len(p.segs) == 0 {
			if err == nil {
				p.close()
			}
			return nil, err
		}
		last := p.segs[len(p.segs)-1]
		h, err := a.open(ctx, id, last)
		if err == nil {
			d := h.meta.Definition
			a.release(last, h)
			p.close()
			return &d, nil
		}
		p.close()
		if !errors.Is(err, errMoved) {
			return nil, err
		}
	}
	return nil, unavailable(nil, "%s: planned %d times and its segments were gone each time: run `chronicle fsck`", id, maxReplans)
}

// SegmentFilter chooses segments. Empty fields choose all.
type SegmentFilter struct {
	Symbol     string // any unambiguous spelling
	Stream     string // book, trade, quote or status
	Start, End int64  // ts_recv: with a record in [Start, End), as far as first and last time tell; 0 is no bound
}

// SegmentInfo describes a segment, hot ones included.
type SegmentInfo struct {
	Symbol    string `json:"symbol"`
	Stream    string `json:"stream"`
	FirstSeq  uint64 `json:"first_seq"`
	LastSeq   uint64 `json:"last_seq"` // of a live segment: as of the listing
	FirstTime int64  `json:"first_time"`
	LastTime  int64  `json:"last_time"`
	Records   uint64 `json:"records"`
	Bytes     int64  `json:"bytes"`
	Tier      string `json:"tier"`
	Sealed    bool   `json:"sealed"`
	Hash      string `json:"hash"`     // empty while not sealed
	Location  string `json:"location"` // the key within the tier
}

// MarshalJSON writes times as RFC 3339 with nine decimals.
func (s SegmentInfo) MarshalJSON() ([]byte, error) {
	type plain SegmentInfo
	return json.Marshal(struct {
		plain
		FirstTime jsonTime `json:"first_time"`
		LastTime  jsonTime `json:"last_time"`
	}{plain(s), jsonTime(s.FirstTime), jsonTime(s.LastTime)})
}

// Segments lists segments by symbol, stream and first sequence.
func (a *Archive) Segments(ctx context.Context, f SegmentFilter) ([]SegmentInfo, error) {
	ids, streams, err := a.chosen(ctx, f)
	if err != nil {
		return nil, asError(err)
	}
	infos := []SegmentInfo{}
	for _, id := range ids {
		for _, name := range streams {
			p, err := a.plan(ctx, streamID{id, name})
			if err != nil {
				return nil, asError(err)
			}
			for _, s := range p.segs {
				if s.recv.max >= f.Start && (f.End == 0 || s.recv.min < f.End) {
					infos = append(infos, s.info(p.id))
				}
			}
			p.close()
		}
	}
	return infos, nil
}

// chosen gives the instruments and streams that a filter names.
func (a *Archive) chosen(ctx context.Context, f SegmentFilter) ([]market.SymbolID, []string, error) {
	streams := allStreams
	if f.Stream != "" {
		if !slices.Contains(allStreams, f.Stream) {
			return nil, nil, invalid("stream", f.Stream, "book, trade, quote, status", "not a known stream")
		}
		streams = []string{f.Stream}
	}
	if f.Symbol != "" {
		id, err := a.ResolveSymbol(ctx, f.Symbol)
		return []market.SymbolID{id}, streams, err
	}
	table, err := a.symbolTable(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	return table.sorted, streams, nil
}

func (s *segment) info(id streamID) SegmentInfo {
	return SegmentInfo{
		Symbol: id.SymbolID.String(), Stream: id.Stream, FirstSeq: s.first, LastSeq: s.last,
		FirstTime: s.recv.min, LastTime: s.recv.max, Records: s.records, Bytes: s.bytes, Sealed: s.sealed, Hash: s.hash,
		Tier: s.places[0].tier, Location: s.places[0].key,
	}
}
