package rest

import (
	"fmt"
	"net/http"

	"chronicle"
	"chronicle/market"
	"chronicle/query"
	"chronicle/server/errmap"
)

// healthReport is the answer of /healthz and /readyz.
type healthReport struct {
	Status  string        `json:"status"`
	Version string        `json:"version"`
	Uptime  int64         `json:"uptime_seconds"`
	Archive archiveReport `json:"archive"`
}

type archiveReport struct {
	Status  string  `json:"status"`
	Symbols int     `json:"symbols"`
	Last    *string `json:"last"` // capture time of the newest record
	Detail  string  `json:"detail,omitempty"`
}

// health answers /healthz: the process is alive, whatever the archive is.
func (s *Server) health(p *reply, r *http.Request) error {
	if _, _, err := s.contract.check(r); err != nil {
		return err
	}
	report, err := s.report(r)
	if err != nil {
		s.Log.Warn("health: the archive cannot be read", "err", err)
	}
	return p.json(report)
}

// ready answers /readyz: the archive can be read.
func (s *Server) ready(p *reply, r *http.Request) error {
	if _, _, err := s.contract.check(r); err != nil {
		return err
	}
	report, err := s.report(r)
	if err != nil {
		return &query.Error{Code: query.Unavailable, Detail: "the archive cannot be read: " + report.Archive.Detail}
	}
	return p.json(report)
}

// report looks at the archive. It gives a report whatever it finds.
func (s *Server) report(r *http.Request) (healthReport, error) {
	h := healthReport{Status: "ok", Version: s.Version, Uptime: int64(s.Now().Sub(s.started).Seconds()), Archive: archiveReport{Status: "ok"}}
	all, err := s.Archive.Symbols(r.Context())
	if err != nil {
		h.Status, h.Archive = "degraded", archiveReport{Status: "unavailable", Detail: errmap.From(err).Detail}
		return h, fmt.Errorf("listing symbols: %w", err)
	}
	last := market.UndefTimestamp
	for i := range all {
		last = max(last, all[i].Last)
	}
	h.Archive.Symbols, h.Archive.Last = len(all), instant(last)
	return h, nil
}

// document answers /openapi.yaml.
func (s *Server) document(p *reply, r *http.Request) error {
	if _, _, err := s.contract.check(r); err != nil {
		return err
	}
	p.header.Set("Content-Type", "application/yaml")
	_, err := p.Write(chronicle.OpenAPI)
	return err
}
