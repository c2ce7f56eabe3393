// Package server puts the archive on the network: REST and Arrow Flight side by
// side over one archive, and the rules of where they may listen.
//
// # Invariants
//
//   - Closed by default: an address that is not loopback is refused unless the
//     configuration is explicitly insecure.
//   - Both servers listen, or none does. When one fails, the other is stopped too.
//
// # Concurrency
//
// A Server is made by Listen, run once by Serve, which owns all goroutines and
// returns after they have ended. Addresses may be asked for at any time.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chronicle/internal/loopback"
	"chronicle/internal/telemetry"
	"chronicle/query"
	"chronicle/server/backend"
	"chronicle/server/flight"
	"chronicle/server/rest"
)

// Config says what to serve and where. Archive is needed, and REST or Flight.
type Config struct {
	Archive *query.Archive

	REST     string // host:port; empty: no REST server. Port 0 picks a free one
	Flight   string // host:port; empty: no Flight server
	Insecure bool   // allow addresses that are not loopback, though there is neither TLS nor a token

	Advertise  string // URI under which Flight clients reach this server; default: the connection they have
	TicketKey  []byte // see flight.Config
	Concurrent int    // books and ranges read at a time; default backend.DefaultConcurrent

	Version  string               // of the program; default "devel"
	Log      *slog.Logger         // default: slog.Default()
	Registry *prometheus.Registry // what /metrics shows; default: a new one, with metrics of the process
	Grace    time.Duration        // for answers under way at a stop; default 10 s
}

// Server is a pair of servers that listen.
type Server struct {
	rest, flight *part
	log          *slog.Logger
}

// part is one server and what it listens on.
type part struct {
	name  string
	serve func(context.Context, net.Listener) error
	on    net.Listener
}

// Listen makes the servers and opens their ports. From here on clients can
// connect; they are answered once Serve runs. Close undoes it.
func Listen(cfg Config) (*Server, error) {
	if cfg.Archive == nil {
		return nil, errors.New("server: no archive is configured")
	}
	return listen(cfg, backend.Of(cfg.Archive, cfg.Concurrent))
}

func listen(cfg Config, archive backend.Archive) (*Server, error) {
	if cfg.REST == "" && cfg.Flight == "" {
		return nil, errors.New("server: nothing to serve: give --rest or --flight an address")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Registry == nil {
		cfg.Registry = telemetry.NewRegistry()
	}
	s := &Server{log: cfg.Log}
	if err := errors.Join(s.openREST(&cfg, archive), s.openFlight(&cfg, archive)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) openREST(cfg *Config, archive backend.Archive) error {
	if cfg.REST == "" {
		return nil
	}
	r, err := rest.New(rest.Config{Archive: archive, Log: cfg.Log, Registry: cfg.Registry, Version: cfg.Version, Grace: cfg.Grace})
	if err != nil {
		return err
	}
	l, err := loopback.Listen("rest", cfg.REST, cfg.Insecure)
	if err != nil {
		return err
	}
	s.rest = &part{"rest", r.Serve, l}
	return nil
}

func (s *Server) openFlight(cfg *Config, archive backend.Archive) error {
	if cfg.Flight == "" {
		return nil
	}
	f, err := flight.New(flight.Config{
		Archive: archive, Log: cfg.Log, Registry: cfg.Registry, Advertise: cfg.Advertise, TicketKey: cfg.TicketKey, Grace: cfg.Grace,
	})
	if err != nil {
		return err
	}
	l, err := loopback.Listen("flight", cfg.Flight, cfg.Insecure)
	if err != nil {
		return err
	}
	s.flight = &part{"flight", f.Serve, l}
	return nil
}

// RESTAddr gives the address that REST listens on; empty when it does not.
func (s *Server) RESTAddr() string { return s.rest.addr() }

// FlightAddr gives the address that Flight listens on; empty when it does not.
func (s *Server) FlightAddr() string { return s.flight.addr() }

func (p *part) addr() string {
	if p == nil {
		return ""
	}
	return p.on.Addr().String()
}

// Close closes the ports of a Server that was never run.
func (s *Server) Close() error {
	var errs []error
	for _, p := range []*part{s.rest, s.flight} {
		if p != nil {
			errs = append(errs, p.on.Close())
		}
	}
	return errors.Join(errs...)
}

// Serve answers until ctx is done, and then lets the answers under way end, for
// at most the configured grace. A stop that was asked for is no error.
func (s *Server) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var parts []*part
	for _, p := range []*part{s.rest, s.flight} {
		if p != nil {
			parts = append(parts, p)
		}
	}
	ended := make(chan error, len(parts))
	for _, p := range parts {
		s.log.Info("serving", "server", p.name, "address", p.addr())
		go func() {
			err := p.serve(ctx, p.on)
			stop() // one without the other is half a server
			ended <- err
		}()
	}
	var errs []error
	for range parts {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}
