package query

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"chronicle/market"
)

// Limits of a request.
const (
	DefaultDepth = 10   // levels a side where a caller has no wish of its own
	MaxDepth     = 5000 // levels a side of a book
	MaxMBPDepth  = 1000 // levels a side of mbp-N
	MaxSymbols   = 1000 // symbols of one range
)

// BookRequest asks for the book of one instrument as it stood at a time.
type BookRequest struct {
	Symbol string // venue:symbol, or any unambiguous spelling
	At     int64  // ns; every record up to and including this time counts
	Depth  int    // levels a side, 1 to MaxDepth. 0 is refused: callers fill DefaultDepth
	Clock  Clock  // which time At means; default ClockRecv
	OnGap  OnGap  // default GapMark
}

// normalize checks the request and fills its defaults.
func (r *BookRequest) normalize() (err error) {
	if r.Depth < 1 || r.Depth > MaxDepth {
		return invalid("depth", strconv.Itoa(r.Depth), fmt.Sprintf("1 to %d", MaxDepth), "number of levels a side is out of range")
	}
	if r.At == market.UndefTimestamp {
		return invalid("at", "", TimeAllowed, "a time is needed")
	}
	if r.Clock, err = ParseClock(string(r.Clock)); err != nil {
		return err
	}
	r.OnGap, err = ParseOnGap(string(r.OnGap))
	return err
}

// RangeRequest asks for everything of one schema in [Start, End).
type RangeRequest struct {
	Schema    string   // see Schemas
	Symbols   []string // 1 to MaxSymbols, each as in BookRequest; a repeated one counts once
	Start     int64    // ns, inclusive; 0 is the beginning of the data
	End       int64    // ns, exclusive; 0 is what is committed when it is read
	Clock     Clock    // which time the range means; default ClockRecv
	Limit     int64    // rows at most; 0 is no limit
	PriceType PriceType
	OnGap     OnGap
}

// rangeSpec is a checked RangeRequest.
type rangeSpec struct {
	RangeRequest
	schema schemaName
	end    int64 // End, or the largest time
}

// normalize checks the request, except for its symbols' existence.
func (r RangeRequest) normalize() (spec rangeSpec, err error) {
	spec.RangeRequest = r
	if spec.schema, err = parseSchema(r.Schema); err != nil {
		return spec, err
	}
	if len(r.Symbols) == 0 || len(r.Symbols) > MaxSymbols {
		return spec, invalid("symbols", strconv.Itoa(len(r.Symbols)), fmt.Sprintf("1 to %d", MaxSymbols), "number of symbols is out of range")
	}
	if spec.end = r.End; r.End == 0 {
		spec.end = math.MaxInt64
	}
	if r.Start > spec.end {
		return spec, invalid("start", FormatTime(r.Start), "not after end "+FormatTime(r.End), "the range ends before it starts")
	}
	if r.Limit < 0 {
		return spec, invalid("limit", strconv.FormatInt(r.Limit, 10), "0 (none) or more", "number of rows is negative")
	}
	if spec.Clock, err = ParseClock(string(r.Clock)); err != nil {
		return spec, err
	}
	if spec.PriceType, err = ParsePriceType(string(r.PriceType)); err != nil {
		return spec, err
	}
	spec.OnGap, err = ParseOnGap(string(r.OnGap))
	return spec, err
}

// The schemas of ranges. SchemaMBP is a prefix: "mbp-1" to "mbp-1000".
const (
	SchemaTrades     = "trades"
	SchemaMBO        = "mbo"
	SchemaMBP        = "mbp-"
	SchemaQuotes     = "quotes"
	SchemaStatus     = "status"
	SchemaGap        = "gap"
	SchemaDefinition = "definition"
)

// Schemas lists what RangeRequest.Schema may be.
var Schemas = []string{SchemaTrades, SchemaMBO, "mbp-N", SchemaQuotes, SchemaStatus, SchemaGap, SchemaDefinition}

// schemaName is a parsed schema.
type schemaName struct {
	name  string // as above
	depth int    // mbp-N only
}

func parseSchema(s string) (schemaName, error) {
	if n, ok := strings.CutPrefix(s, SchemaMBP); ok {
		depth, err := strconv.Atoi(n)
		if err != nil || depth < 1 || depth > MaxMBPDepth || n != strconv.Itoa(depth) {
			return schemaName{}, invalid("schema", s, fmt.Sprintf("mbp-1 to mbp-%d", MaxMBPDepth), "number of levels a side is out of range")
		}
		return schemaName{name: SchemaMBP, depth: depth}, nil
	}
	for _, name := range Schemas {
		if s == name && s != "mbp-N" {
			return schemaName{name: s}, nil
		}
	}
	return schemaName{}, invalid("schema", s, strings.Join(Schemas, ", "), "not a known schema")
}

// streams gives the clean streams that hold the schema's records, the best first.
func (s schemaName) streams() []string {
	switch s.name {
	case SchemaTrades:
		return []string{market.StreamTrade}
	case SchemaQuotes:
		return []string{market.StreamQuote}
	case SchemaStatus:
		return []string{market.StreamStatus}
	case SchemaGap:
		// Markers go into every stream that an instrument has; the status
		// stream begins with the definition, so it misses none.
		return []string{market.StreamStatus, market.StreamBook, market.StreamTrade, market.StreamQuote}
	case SchemaDefinition:
		return []string{market.StreamStatus}
	}
	return []string{market.StreamBook}
}

// kinds gives the record kinds that make rows, besides gap markers.
func (s schemaName) kinds() []market.Kind {
	switch s.name {
	case SchemaTrades:
		return []market.Kind{market.KindTrade}
	case SchemaQuotes:
		return []market.Kind{market.KindQuote}
	case SchemaStatus:
		return []market.Kind{market.KindStatus, market.KindSession}
	case SchemaDefinition:
		return []market.Kind{market.KindDefinition}
	case SchemaGap:
		return []market.Kind{market.KindGap}
	}
	return []market.Kind{market.KindBook, market.KindSnapshot}
}
