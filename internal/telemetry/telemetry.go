// Package telemetry shows what a process does: its metrics for Prometheus at
// /metrics, and at /healthz whether it is well.
//
//	zone ──Stats()──▶ Collector ──▶ registry ──▶ /metrics
//	     ──alarms───────────────────────────────▶ /healthz
//
// Everything is read when it is asked for: a scrape costs the zone its Stats, and
// nothing is counted twice. /healthz answers 200 as long as the process lives; an
// alarm is in the answer and not in the status, so that nobody ends a feed because
// its disk fills up.
package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"chronicle/internal/loopback"
)

// NewRegistry makes a registry that has the metrics of the process.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Alarm is something that a person has to look at.
type Alarm struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Detail string    `json:"detail"`
}

// Config says what to show and where. Address is host:port; it must be loopback
// unless Insecure is set.
type Config struct {
	Address  string
	Insecure bool
	Version  string // of the program
	Registry *prometheus.Registry
	Alarms   func() []Alarm // those in force; it may be nil and is called from any goroutine
	Log      *slog.Logger   // required
}

// Server shows them.
type Server struct {
	cfg     Config
	on      net.Listener
	started time.Time
}

// Listen opens the port. Serve answers, Close undoes a Listen without Serve.
func Listen(cfg Config) (*Server, error) {
	on, err := loopback.Listen("metrics", cfg.Address, cfg.Insecure)
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, on: on, started: time.Now()}, nil
}

// Addr gives the address that it listens on.
func (s *Server) Addr() string { return s.on.Addr().String() }

// Close closes the port of a server that was never run.
func (s *Server) Close() error { return s.on.Close() }

// Times of the server: all answers are small.
const (
	answerTime = 30 * time.Second
	stopTime   = 2 * time.Second
)

// Serve answers until ctx is done, which is no error.
func (s *Server) Serve(ctx context.Context) error {
	warnings := slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: warnings}))
	mux.HandleFunc("GET /healthz", s.health)
	srv := &http.Server{Handler: mux, ReadTimeout: answerTime, WriteTimeout: answerTime, ErrorLog: warnings}
	s.cfg.Log.Info("serving", "server", "metrics", "address", s.Addr())
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		stopped <- srv.Shutdown(ending)
	})
	err := srv.Serve(s.on)
	if stop() { // it ended by itself
		return err
	}
	if <-stopped != nil {
		return srv.Close() // an answer under way is cut off
	}
	return nil
}

// report is the answer of /healthz.
type report struct {
	Status  string  `json:"status"` // ok or alarm
	Version string  `json:"version"`
	Uptime  int64   `json:"uptime_seconds"`
	Alarms  []Alarm `json:"alarms"`
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	r := report{Status: "ok", Version: s.cfg.Version, Uptime: int64(time.Since(s.started).Seconds()), Alarms: []Alarm{}}
	if s.cfg.Alarms != nil {
		r.Alarms = append(r.Alarms, s.cfg.Alarms()...)
	}
	if len(r.Alarms) > 0 {
		r.Status = "alarm"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r) // a client that has gone needs no answer
}
