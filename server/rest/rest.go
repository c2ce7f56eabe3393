// Package rest serves the archive over HTTP: books and records in JSON, NDJSON,
// CSV, Arrow and Parquet, and what there is. openapi.yaml is its contract, and
// requests are checked against that very document.
//
// # Invariants
//
//   - A handler parses, calls the archive and responds; it holds no state.
//   - Nothing is sent before the first batch of the answer is there, so an error
//     up to that point is a status. After it the connection is broken off: an
//     answer that ends well is whole. Every error is an RFC 9457 problem.
//   - Every request has a bound: its URL and headers, the time to its first byte,
//     and how long a client may leave the answer unread. The size of an answer
//     has none, nor does it cost memory.
//
// # Concurrency
//
// A Server is safe for concurrent use. Serve owns the goroutines that it starts
// and returns after all of them have ended.
package rest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chronicle/server/backend"
)

// Config is what a Server is made of. Archive is needed, the rest has defaults.
type Config struct {
	Archive  backend.Archive
	Log      *slog.Logger         // default: slog.Default()
	Registry *prometheus.Registry // what /metrics shows, and where its own counters go; default: a new one
	Version  string               // of the program, for /healthz; default "devel"

	FirstByte time.Duration // time to the first byte of an answer; default 60 s
	Stall     time.Duration // how long a client may leave the answer unread; default 60 s
	Idle      time.Duration // how long a connection may be idle; default 2 min
	Grace     time.Duration // how long Serve waits for answers under way once it is told to stop; default 10 s
	MaxURL    int           // bytes of path and query; default 8192
	MaxHeader int           // bytes of headers, with some slack; default 32768

	Now   func() time.Time // default time.Now
	NewID func() string    // makes request ids; default 16 random hexadecimal digits
}

func (c Config) withDefaults() (Config, error) {
	if c.Archive == nil {
		return c, errors.New("rest: no archive is configured")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	for _, d := range []struct {
		v        *time.Duration
		fallback time.Duration
	}{{&c.FirstByte, time.Minute}, {&c.Stall, time.Minute}, {&c.Idle, 2 * time.Minute}, {&c.Grace, 10 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.fallback
		}
	}
	if c.MaxURL <= 0 {
		c.MaxURL = 8 << 10
	}
	if c.MaxHeader <= 0 {
		c.MaxHeader = 32 << 10
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = randomID
	}
	return c, nil
}

// Server answers HTTP requests.
type Server struct {
	Config
	contract *contract
	metrics  *metrics
	handler  http.Handler
	started  time.Time
}

// New makes a Server. It fails when openapi.yaml or the metrics do not fit the
// program, which tests notice first.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{Config: cfg, started: cfg.Now()}
	if s.contract, err = loadContract(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(cfg.Registry); err != nil {
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

// Handler gives the whole API as a handler.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers on l until ctx is done, waits for the answers under way for at
// most Grace, breaks off the rest and closes l. A stop that was asked for is no
// error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{ // no ReadTimeout: it would cancel requests that take longer
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       s.Idle,
		MaxHeaderBytes:    s.MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.Log.Warn("rest: answers broken off at shutdown", "grace", s.Grace)
		err = srv.Close()
	}
	<-served
	return err
}

func randomID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
