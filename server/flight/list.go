package flight

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/flight"

	"chronicle/market"
	"chronicle/query"
	"chronicle/server/request"
)

// streamSchemas gives the schema in which a stream is listed; books by level are
// listed as mbp-10, books by order as mbo.
var streamSchemas = map[string]string{
	market.StreamTrade:  query.SchemaTrades,
	market.StreamQuote:  query.SchemaQuotes,
	market.StreamStatus: query.SchemaStatus,
}

const (
	levelSchema = "mbp-10"
	orderSchema = query.SchemaMBO
)

// listing is the metadata of a listed flight.
type listing struct {
	Symbol    string  `json:"symbol"`
	Stream    string  `json:"stream"`
	Schema    string  `json:"schema"`
	First     *string `json:"first"` // capture times, of all streams of the symbol
	Last      *string `json:"last"`
	Condition string  `json:"condition"`
}

// ListFlights lists every stream of the symbols that the criteria let through.
// Each flight is all that there is; clients make shorter ranges of it.
func (s *service) ListFlights(c *flight.Criteria, stream flight.FlightService_ListFlightsServer) error {
	filter, err := request.ParseCriteria(c.GetExpression())
	if err != nil {
		return err
	}
	all, err := s.Archive.Symbols(stream.Context())
	if err != nil {
		return err
	}
	for i := range all {
		id, err := market.ParseSymbolID(all[i].Symbol)
		if err != nil {
			return fmt.Errorf("listing symbols: %w", err)
		}
		if !filter.Match(id) {
			continue
		}
		for _, name := range all[i].Streams {
			if err := s.sendListing(stream, id, &all[i], name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *service) sendListing(stream flight.FlightService_ListFlightsServer, id market.SymbolID, v *query.SymbolInfo, name string) error {
	info, err := s.listing(stream.Context(), id, v, name)
	if err != nil {
		return err
	}
	return stream.Send(info)
}

func (s *service) listing(ctx context.Context, id market.SymbolID, v *query.SymbolInfo, name string) (*flight.FlightInfo, error) {
	schema, ok := streamSchemas[name]
	if !ok {
		schema = levelSchema
		if v.BookType == market.L3 {
			schema = orderSchema
		}
	}
	d := &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{schema, id.Venue, id.Symbol}}
	info, err := s.info(ctx, &request.Request{Schema: schema, Symbol: v.Symbol}, d)
	if err != nil {
		return nil, fmt.Errorf("listing %s of %s: %w", name, v.Symbol, err)
	}
	info.AppMetadata, err = json.Marshal(listing{
		Symbol: v.Symbol, Stream: name, Schema: schema, First: instant(v.First), Last: instant(v.Last), Condition: v.Condition,
	})
	return info, err
}

// instant gives a time for JSON; nil when it is not known.
func instant(ns int64) *string {
	if ns == market.UndefTimestamp {
		return nil
	}
	text := query.FormatTime(ns)
	return &text
}
