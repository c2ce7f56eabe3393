// Package flight serves the archive over Arrow Flight, the front door for pandas
// and Polars. A client asks with a path or a JSON command (see package request),
// gets a schema and a ticket, and streams Arrow batches for it.
//
// # Invariants
//
//   - A ticket is the whole request, signed: the server keeps nothing between
//     calls, and nobody can make a ticket but this process (or its peers, where a
//     key is configured).
//   - A FlightInfo always has a schema. No batch is larger than 2 MiB, unless one
//     row alone is: clients stop at 4 MB messages.
//   - A stream that fails ends with a gRPC error: one that ends well is whole.
//
// # Concurrency
//
// A Server is safe for concurrent use. Serve owns the goroutines that it starts
// and returns after all of them have ended. A client that goes away cancels the
// query behind its stream.
package flight

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"chronicle/server/backend"
)

// Config is what a Server is made of. Archive is needed, the rest has defaults.
type Config struct {
	Archive  backend.Archive
	Log      *slog.Logger          // default: slog.Default()
	Registry prometheus.Registerer // where its counters go; default: a new one

	// Advertise is the URI under which clients reach this server, such as
	// grpc+tls://ticks.example.com:8815. Default: clients use the connection
	// that they have.
	Advertise string

	// TicketKey signs tickets, 32 bytes or more. Servers that share it take each
	// other's tickets. Default: a random one, so that tickets end with the process.
	TicketKey  []byte
	TicketLife time.Duration // how long a ticket can be used; default 1 h

	MaxRequest    int           // bytes of one message from a client; default 1 MiB
	MaxStreams    uint32        // calls at a time on one connection; default 128
	MaxBatchBytes int64         // of a batch's columns; default 2 MiB
	Grace         time.Duration // how long Serve waits for streams under way once it is told to stop; default 10 s

	Now func() time.Time // default time.Now
}

func (c Config) withDefaults() (Config, error) {
	if c.Archive == nil {
		return c, errors.New("flight: no archive is configured")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.TicketKey == nil {
		c.TicketKey = make([]byte, 32)
		rand.Read(c.TicketKey) // never fails
	}
	c.TicketLife = positive(c.TicketLife, time.Hour)
	c.MaxRequest = positive(c.MaxRequest, 1<<20)
	c.MaxStreams = positive(c.MaxStreams, 128)
	c.MaxBatchBytes = positive(c.MaxBatchBytes, 2<<20)
	c.Grace = positive(c.Grace, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, c.check()
}

func (c *Config) check() error {
	if len(c.TicketKey) < 32 {
		return fmt.Errorf("flight: the ticket key has %d bytes: give 32 or more", len(c.TicketKey))
	}
	if c.Advertise == "" {
		c.Advertise = flight.LocationReuseConnection
		return nil
	}
	u, err := url.Parse(c.Advertise)
	if err != nil || u.Host == "" {
		return fmt.Errorf("flight: advertised URI %q: write it as grpc://host:port or grpc+tls://host:port", c.Advertise)
	}
	return nil
}

func positive[T int | int64 | uint32 | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}

// Server answers Flight calls.
type Server struct {
	Config
	grpc   *grpc.Server
	health *health.Server
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registry)
	if err != nil {
		return nil, err
	}
	s := &Server{Config: cfg, health: health.NewServer()}
	guard := &guard{log: cfg.Log, metrics: m, now: cfg.Now}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(cfg.MaxRequest),
		grpc.MaxConcurrentStreams(cfg.MaxStreams),
		grpc.MaxHeaderListSize(32<<10),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(guard.unary),
		grpc.ChainStreamInterceptor(guard.stream),
	)
	flight.RegisterFlightServiceServer(s.grpc, &service{Config: cfg, tickets: newTickets(cfg.TicketKey, cfg.TicketLife, cfg.Now)})
	healthpb.RegisterHealthServer(s.grpc, s.health)
	s.health.SetServingStatus("arrow.flight.protocol.FlightService", healthpb.HealthCheckResponse_SERVING)
	return s, nil
}

// Serve answers on l until ctx is done, waits for the streams under way for at
// most Grace, breaks off the rest and closes l. It can be called once. A stop
// that was asked for is no error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.health.Shutdown()
	stopped := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(stopped) }()
	grace := time.NewTimer(s.Grace)
	defer grace.Stop()
	select {
	case <-stopped:
	case <-grace.C:
		s.Log.Warn("flight: streams broken off at shutdown", "grace", s.Grace)
		s.grpc.Stop()
		<-stopped
	}
	if err := <-served; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}
