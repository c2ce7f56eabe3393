package flight

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"chronicle/server/errmap"
)

// guard stands around every call: it turns panics and errors into gRPC codes,
// counts, and writes the access log.
type guard struct {
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
	err = g.call(ctx, info.FullMethod, func() (err error) {
		resp, err = h(ctx, req)
		return err
	})
	return resp, err
}

func (g *guard) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	return g.call(s.Context(), info.FullMethod, func() error { return h(srv, s) })
}

// call runs one call from end to end.
func (g *guard) call(ctx context.Context, method string, run func() error) error {
	begin := g.now()
	err := g.safely(run)
	st, fault := toStatus(ctx, err)
	took := g.now().Sub(begin)
	method = path.Base(method)
	g.metrics.count(method, st.Code(), took)
	level := slog.LevelInfo
	if fault {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("method", method), slog.String("code", st.Code().String()), slog.Duration("took", took)}
	if p, ok := peer.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("remote", p.Addr.String()))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("err", cause(err)))
	}
	g.log.LogAttrs(ctx, level, "flight", attrs...)
	return st.Err()
}

// safely runs a call and turns a panic into an error.
func (g *guard) safely(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			g.log.Error("panic", "value", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return run()
}

// cause gives what the log should tell: the error behind a problem.
func cause(err error) error {
	var p *errmap.Problem
	if errors.As(err, &p) && p.Unwrap() != nil {
		return p.Unwrap()
	}
	return err
}

// toStatus gives the gRPC status of an error by the one table of errors, and
// whether the server is to blame.
func toStatus(ctx context.Context, err error) (st *status.Status, fault bool) {
	if err == nil {
		return status.New(codes.OK, ""), false
	}
	if gone := ctx.Err(); gone != nil {
		err = gone // whatever broke, it broke because the client went away
	}
	var own interface{ GRPCStatus() *status.Status }
	if errors.As(err, &own) {
		return own.GRPCStatus(), false // from gRPC itself
	}
	p := errmap.From(err)
	return status.New(codes.Code(p.GRPC()), p.Error()), p.ServerFault()
}

// metrics are what /metrics shows of the Flight server.
type metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// newMetrics registers the metrics. Two servers must not share a registry.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chronicle_flight_calls_total",
			Help: "Flight calls by method and gRPC code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "chronicle_flight_call_seconds",
			Help:    "Time from a Flight call to the end of its answer by method.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10), // 0.5 ms to 131 s
		}, []string{"method"}),
	}
	if err := errors.Join(reg.Register(m.calls), reg.Register(m.seconds)); err != nil {
		return nil, fmt.Errorf("flight: registering metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) count(method string, code codes.Code, took time.Duration) {
	m.calls.WithLabelValues(method, code.String()).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}
