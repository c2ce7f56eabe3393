package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"chronicle/server/internal/fake"
)

var quiet = slog.New(slog.DiscardHandler)

// run serves until stop is called, which gives Serve's error.
func run(t *testing.T, s *Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		return <-served
	}
}

func TestServeBoth(t *testing.T) {
	s, err := listen(Config{REST: "127.0.0.1:0", Flight: "localhost:0", Log: quiet, Version: "v0-test"}, &fake.Archive{})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)

	resp, err := http.Get("http://" + s.RESTAddr() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	var health struct{ Status, Version string }
	err = json.NewDecoder(resp.Body).Decode(&health)
	resp.Body.Close()
	if err != nil || health.Status != "ok" || health.Version != "v0-test" {
		t.Errorf("%+v %v", health, err)
	}
	if rows := fetchTrades(t, s.FlightAddr()); rows != 10 {
		t.Errorf("%d trades over Flight", rows)
	}
	metrics := body(t, "http://"+s.RESTAddr()+"/metrics")
	for _, name := range []string{"chronicle_http_requests_total", "chronicle_flight_calls_total", "go_goroutines"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, addr := range []string{s.RESTAddr(), s.FlightAddr()} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s is still open", addr)
		}
	}
}

func body(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServeOne(t *testing.T) {
	s, err := listen(Config{Flight: "127.0.0.1:0", Log: quiet}, &fake.Archive{})
	if err != nil {
		t.Fatal(err)
	}
	if s.RESTAddr() != "" {
		t.Errorf("REST listens on %s", s.RESTAddr())
	}
	stop := run(t, s)
	if rows := fetchTrades(t, s.FlightAddr()); rows != 10 {
		t.Errorf("%d trades over Flight", rows)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestListenOpensAllOrNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	if _, err := listen(Config{REST: addr, Flight: taken.Addr().String(), Log: quiet}, &fake.Archive{}); err == nil {
		t.Fatal("both were opened")
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the other port was left open: %v", err)
	}
	again.Close()
}

func TestListenRefuses(t *testing.T) {
	if _, err := Listen(Config{REST: "127.0.0.1:0"}); err == nil {
		t.Error("a server without an archive was made")
	}
	if _, err := listen(Config{}, &fake.Archive{}); err == nil {
		t.Error("a server of nothing was made")
	}
	if _, err := listen(Config{Flight: "127.0.0.1:0", TicketKey: []byte("short")}, &fake.Archive{}); err == nil {
		t.Error("a short ticket key was taken")
	}
}

// TestOneFailsBothStop closes the port of one server under it.
func TestOneFailsBothStop(t *testing.T) {
	s, err := listen(Config{REST: "127.0.0.1:0", Flight: "127.0.0.1:0", Log: quiet}, &fake.Archive{})
	if err != nil {
		t.Fatal(err)
	}
	s.rest.on.Close()
	if err := s.Serve(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	if c, err := net.Dial("tcp", s.FlightAddr()); err == nil {
		c.Close()
		t.Error("flight still listens")
	}
}

// dial connects to a Flight server on this machine.
func dial(addr string) (flight.Client, error) {
	return flight.NewClientWithMiddleware(addr, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// fetchTrades counts the trades that a Flight server gives.
func fetchTrades(t *testing.T, addr string) (rows int64) {
	t.Helper()
	client, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	info, err := client.GetFlightInfo(t.Context(), &flight.FlightDescriptor{
		Type: flight.DescriptorPATH, Path: []string{"trades", "binance-usdm", "btc_usdt"},
	})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.DoGet(t.Context(), info.Endpoint[0].Ticket)
	if err != nil {
		t.Fatal(err)
	}
	in, err := flight.NewRecordReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Release()
	for in.Next() {
		rows += in.RecordBatch().NumRows()
	}
	if in.Err() != nil {
		t.Fatal(in.Err())
	}
	return rows
}
