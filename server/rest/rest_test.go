package rest

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"chronicle/server/backend"
	"chronicle/server/internal/fake"
)

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// newServer makes a server over an archive; edit changes its configuration.
func newServer(t *testing.T, a backend.Archive, edit func(*Config)) *Server {
	t.Helper()
	cfg := Config{Archive: a, Log: quiet, Version: "v0-test", NewID: func() string { return "test-id" }}
	if edit != nil {
		edit(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// onWire serves over a real connection until the test ends.
func onWire(t *testing.T, s *Server) string {
	t.Helper()
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(ts.Close)
	return ts.URL
}

// get asks a server without a network.
func get(s *Server, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// stopped is a clock that stands still.
func stopped(c *Config) {
	c.Now = func() time.Time { return time.Unix(0, fake.Base).UTC() }
}

func TestNewNeedsAnArchive(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a server without an archive was made")
	}
}

func TestOneRegistryPerServer(t *testing.T) {
	first := newServer(t, &fake.Archive{}, nil)
	if _, err := New(Config{Archive: &fake.Archive{}, Registry: first.Registry}); err == nil {
		t.Error("two servers share a registry")
	}
}

func TestServeStopsGracefully(t *testing.T) {
	archive := &fake.Archive{Rows: 100_000, BatchRows: 4096, Stall: make(chan struct{})}
	s := newServer(t, archive, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := cancelable(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()

	got := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String() + "/v1/trades/btcusdt?format=csv")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		got <- err
	}()
	archive.Stall <- struct{}{} // the range is being read
	stop()
	close(archive.Stall)
	if err := <-got; err != nil {
		t.Errorf("the answer under way was broken off: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

func TestServeBreaksOffAfterGrace(t *testing.T) {
	archive := &fake.Archive{Stall: make(chan struct{}), Released: make(chan struct{})}
	s := newServer(t, archive, func(c *Config) { c.Grace = time.Millisecond })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := cancelable(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	got := make(chan error, 1)
	go func() {
		_, err := http.Get("http://" + l.Addr().String() + "/v1/trades/btcusdt")
		got <- err
	}()
	archive.Stall <- struct{}{} // the range is being read, and never goes on
	stop()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if err := <-got; err == nil {
		t.Error("an answer that never ended was whole")
	}
	<-archive.Released
}
