package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"chronicle/market"
)

// Range gives everything of one schema in [Start, End), in time order: by the
// running maximum of the clock within each symbol's stream, then by symbol, then
// by queue sequence. Rows of one symbol keep the order of its stream, which on the
// event clock need not be the order of their times.
//
// The stream reads as it is pulled and holds one segment per symbol open. It ends
// with an error when ctx is cancelled. The caller releases it.
func (a *Archive) Range(ctx context.Context, req RangeRequest) (*Stream, error) {
	spec, err := req.normalize()
	if err != nil {
		return nil, err
	}
	ids, err := a.resolveAll(ctx, spec.Symbols)
	if err != nil {
		return nil, asError(err)
	}
	s := &Stream{ctx: ctx, spec: spec}
	s.refs.Store(1)
	if err := s.open(ctx, a, ids); err != nil {
		s.Release()
		return nil, asError(err)
	}
	return s, nil
}

// RangeSchema gives the Arrow schema that Range would answer with now, without
// its proof. It plans, and reads no data.
func (a *Archive) RangeSchema(ctx context.Context, req RangeRequest) (*arrow.Schema, error) {
	spec, err := req.normalize()
	if err != nil {
		return nil, err
	}
	ids, err := a.resolveAll(ctx, spec.Symbols)
	if err != nil {
		return nil, asError(err)
	}
	s := &Stream{ctx: ctx, spec: spec}
	s.refs.Store(1)
	defer s.Release()
	readers, err := s.plan(ctx, a, ids)
	if err != nil {
		return nil, asError(err)
	}
	exp, err := a.exponents(ctx, ids, readers)
	if err != nil {
		return nil, asError(err)
	}
	return rangeSchema(&spec, exp, ""), nil
}

// resolveAll resolves symbols, sorts them by name and drops repetitions.
func (a *Archive) resolveAll(ctx context.Context, symbols []string) ([]market.SymbolID, error) {
	ids := make([]market.SymbolID, 0, len(symbols))
	for _, s := range symbols {
		id, err := a.ResolveSymbol(ctx, s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y market.SymbolID) int { return strings.Compare(x.String(), y.String()) })
	return slices.Compact(ids), nil
}

// exponents gives the exponents of the columns where prices are fixed: the finest
// among the segments to be read, for an instrument may be defined anew; that of
// the instruments themselves where nothing is to be read.
func (a *Archive) exponents(ctx context.Context, ids []market.SymbolID, readers []*reader) (exp exponents, err error) {
	for i, r := range readers {
		found := false
		for j := 0; r != nil && j < len(r.plan.segs); j++ {
			if r.need[j] {
				exp, found = exp.finer(r.plan.segs[j].exp), true
			}
		}
		if found {
			continue
		}
		def, err := a.definition(ctx, ids[i])
		if err != nil {
			return exp, err
		}
		exp = exp.finer(exponentsOf(def))
	}
	return exp, nil
}

// open plans every symbol and makes the columns.
func (s *Stream) open(ctx context.Context, a *Archive, ids []market.SymbolID) error {
	readers, err := s.plan(ctx, a, ids)
	if err != nil {
		return err
	}
	exp, err := a.exponents(ctx, ids, readers)
	if err != nil {
		return err
	}
	proof, err := json.Marshal(planProof(readers))
	if err != nil {
		return err
	}
	s.schema = rangeSchema(&s.spec, exp, string(proof))
	s.batch = newBatch(s.schema)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	s.header = addHeader(s.batch, a.cfg.Memory, names)
	newMaker := makers(s.batch, a.cfg.Memory, &s.spec, exp)
	for i, r := range readers {
		if r != nil {
			s.all = append(s.all, newSource(r, newMaker(), i, &s.spec))
		}
	}
	return s.addDoubts(a, ids, newMaker)
}

// plan plans every symbol.
func (s *Stream) plan(ctx context.Context, a *Archive, ids []market.SymbolID) ([]*reader, error) {
	readers := make([]*reader, len(ids))
	for i, id := range ids {
		var err error
		if readers[i], err = s.openReader(ctx, a, id); err != nil {
			return nil, err
		}
	}
	return readers, nil
}

// openReader plans one symbol: nil when it has none of the schema's streams and
// need not have one.
func (s *Stream) openReader(ctx context.Context, a *Archive, id market.SymbolID) (*reader, error) {
	for _, stream := range s.spec.schema.streams() {
		r, err := a.newReader(ctx, streamID{id, stream}, s.spec.window())
		if err != nil {
			return nil, err
		}
		if r != nil {
			s.readers = append(s.readers, r)
			return r, nil
		}
	}
	switch s.spec.schema.name {
	case SchemaStatus, SchemaGap, SchemaDefinition:
		return nil, nil
	}
	return nil, a.noStream(ctx, streamID{id, s.spec.schema.streams()[0]})
}

// start brings every source to its first record.
func (s *Stream) start() error {
	for _, src := range s.all {
		switch err := src.next(s.ctx); {
		case err == nil:
			s.heap = append(s.heap, src)
		case !errors.Is(err, io.EOF):
			return err
		}
	}
	s.heap.init()
	return nil
}

// RangeProof tells what a range was planned to be read from.
type RangeProof struct {
	Symbols []SymbolProof `json:"symbols"`
}

// SymbolProof is the part of one symbol.
type SymbolProof struct {
	Symbol   string         `json:"symbol"`
	Stream   string         `json:"stream"`
	First    jsonTime       `json:"first"`    // least time in the whole stream, on the range's clock
	Last     jsonTime       `json:"last"`     // greatest
	Count    int            `json:"count"`    // segments to be read
	Segments []SegmentProof `json:"segments"` // the first maxProofSegments of them
}

// maxProofSegments bounds the segments that a range's metadata names per symbol.
const maxProofSegments = 64

func planProof(readers []*reader) RangeProof {
	p := RangeProof{Symbols: []SymbolProof{}}
	for _, r := range readers {
		if r == nil {
			continue
		}
		covered := r.plan.covered(r.want.clock)
		sp := SymbolProof{
			Symbol: r.id.SymbolID.String(), Stream: r.id.Stream,
			First: jsonTime(covered.min), Last: jsonTime(covered.max), Segments: []SegmentProof{},
		}
		for i, s := range r.plan.segs {
			if !r.need[i] {
				continue
			}
			if sp.Count++; sp.Count <= maxProofSegments {
				sp.Segments = append(sp.Segments, s.proof(s.places[0]))
			}
		}
		p.Symbols = append(p.Symbols, sp)
	}
	return p
}

// noStream says that a symbol has nothing of a stream.
func (a *Archive) noStream(ctx context.Context, id streamID) error {
	streams, err := a.streamsOf(ctx, id.SymbolID)
	if err != nil {
		return err
	}
	return &Error{
		Code: NotFound, Field: "symbol", Given: id.SymbolID.String(),
		Detail: fmt.Sprintf("the archive holds no %s stream of it (it has: %s)", id.Stream, strings.Join(streams, ", ")),
	}
}
