package rest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"chronicle/market"
	"chronicle/query"
	"chronicle/server/request"
)

// symbols answers /v1/symbols.
func (s *Server) symbols(p *reply, r *http.Request) error {
	_, values, err := s.contract.check(r)
	if err != nil {
		return err
	}
	if err := wantJSON(r); err != nil {
		return err
	}
	filter := request.Filter{Venue: values.Get("venue"), Symbol: values.Get("symbol")}
	if err := filter.Check(); err != nil {
		return err
	}
	all, err := s.Archive.Symbols(r.Context())
	if err != nil {
		return err
	}
	rows := make([]query.SymbolInfo, 0, len(all))
	for _, v := range all {
		id, err := market.ParseSymbolID(v.Symbol)
		if err != nil {
			return fmt.Errorf("listing symbols: %w", err)
		}
		if filter.Match(id) {
			rows = append(rows, v)
		}
	}
	return p.json(map[string]any{"symbols": rows})
}

// segments answers /v1/segments.
func (s *Server) segments(p *reply, r *http.Request) error {
	_, values, err := s.contract.check(r)
	if err != nil {
		return err
	}
	if err := wantJSON(r); err != nil {
		return err
	}
	asked, err := request.FromValues("segments", values.Get("symbol"), values)
	if err != nil {
		return err
	}
	filter := query.SegmentFilter{Stream: values.Get("stream")}
	if filter.Start, filter.End, err = asked.Bounds(); err != nil {
		return err
	}
	if asked.Symbol != "" {
		id, err := s.Archive.ResolveSymbol(r.Context(), asked.Symbol)
		if err != nil {
			return err
		}
		filter.Symbol = id.String()
	}
	all, err := s.Archive.Segments(r.Context(), filter)
	if err != nil {
		return err
	}
	return p.json(map[string]any{"segments": append([]query.SegmentInfo{}, all...)}) // [], never null
}

// json answers with v.
func (p *reply) json(v any) error {
	p.header.Set("Content-Type", "application/json")
	enc := json.NewEncoder(p)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
