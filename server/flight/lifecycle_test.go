package flight

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"chronicle/server/internal/fake"
)

func TestClientGoesAway(t *testing.T) {
	archive := &fake.Archive{Stall: make(chan struct{}), Released: make(chan struct{})}
	r := start(t, archive, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ticket := r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt"))
	go func() {
		archive.Stall <- struct{}{}
		cancel()
	}()
	if _, _, err := r.fetch(ctx, ticket); status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	<-archive.Released
}

func TestHealth(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	got, err := healthpb.NewHealthClient(r.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v %v", got, err)
	}
}

func TestShutdownLetsStreamsEnd(t *testing.T) {
	archive := &fake.Archive{Rows: 40, Stall: make(chan struct{})}
	r := start(t, archive, nil)
	ticket := r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt"))
	go func() {
		archive.Stall <- struct{}{}
		r.stop()
		close(archive.Stall)
	}()
	if _, batches, err := r.fetch(t.Context(), ticket); err != nil || rowsOf(batches) != 40 {
		t.Errorf("%d rows, %v", rowsOf(batches), err)
	}
	if err := <-r.served; err != nil {
		t.Error(err)
	}
}

func TestShutdownBreaksOffAfterGrace(t *testing.T) {
	archive := &fake.Archive{Stall: make(chan struct{})}
	r := start(t, archive, func(c *Config) { c.Grace = time.Millisecond })
	ticket := r.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt"))
	go func() {
		archive.Stall <- struct{}{} // and never again
		r.stop()
	}()
	if _, _, err := r.fetch(t.Context(), ticket); err == nil {
		t.Error("a stream that never ended was whole")
	}
	if err := <-r.served; err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"no archive": {},
		"short key":  {Archive: &fake.Archive{}, TicketKey: []byte("short")},
		"no URI":     {Archive: &fake.Archive{}, Advertise: "somewhere"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: a server was made", name)
		}
	}
	r := start(t, &fake.Archive{}, func(c *Config) { c.Advertise = "grpc+tls://ticks.example.com:8815" })
	info, err := r.client.GetFlightInfo(t.Context(), pathOf("trades", "binance-usdm", "btc_usdt"))
	if err != nil || info.Endpoint[0].Location[0].Uri != "grpc+tls://ticks.example.com:8815" {
		t.Errorf("%v %v", info, err)
	}
}
