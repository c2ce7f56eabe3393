package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

type counts struct{ a, b float64 }

func serve(t *testing.T, cfg Config) string {
	t.Helper()
	cfg.Address, cfg.Log = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + s.Addr()
}

func get(t *testing.T, url string) (int, string) {
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
	return resp.StatusCode, string(b)
}

func TestMetricsAreReadWhenAsked(t *testing.T) {
	reg, now := NewRegistry(), counts{}
	var failed error
	reg.MustRegister(NewCollector([]Metric[counts]{
		Counter("chronicle_test_a_total", "A.", func(c counts) float64 { return c.a }),
		Gauge[counts]("chronicle_test_b", "B.", nil).By("side", func(c counts) map[string]float64 { return map[string]float64{"left": c.b, "right": -c.b} }),
	}, func() (counts, error) { return now, failed }))
	url := serve(t, Config{Registry: reg}) + "/metrics"
	now = counts{3, 4}
	code, text := get(t, url)
	for _, want := range []string{
		"# TYPE chronicle_test_a_total counter", "chronicle_test_a_total 3\n", "# HELP chronicle_test_b B.", `chronicle_test_b{side="left"} 4`, `chronicle_test_b{side="right"} -4`, "go_goroutines",
	} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("status %d: %q is missing in\n%s", code, want, text)
		}
	}
	failed = errors.New("cannot be read")
	if code, text := get(t, url); code != 200 || strings.Contains(text, "chronicle_test") || !strings.Contains(text, "go_goroutines") {
		t.Errorf("a collector that fails: status %d,\n%s", code, text)
	}
}

func TestHealthTellsAlarms(t *testing.T) {
	var alarms []Alarm
	url := serve(t, Config{Registry: NewRegistry(), Version: "v1", Alarms: func() []Alarm { return alarms }}) + "/healthz"
	code, text := get(t, url)
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != 200 || r.Status != "ok" || r.Version != "v1" || r.Alarms == nil || len(r.Alarms) != 0 {
		t.Errorf("status %d, %v: %s", code, err, text)
	}
	alarms = []Alarm{{Reason: "free_space", Since: time.Unix(5, 0), Detail: "1 byte left"}}
	code, text = get(t, url)
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != 200 || r.Status != "alarm" || len(r.Alarms) != 1 || r.Alarms[0].Detail != "1 byte left" {
		t.Errorf("status %d, %v: %s", code, err, text)
	}
}

func TestOnlyLoopbackUnlessTold(t *testing.T) {
	if s, err := Listen(Config{Address: "0.0.0.0:0"}); err == nil || !strings.Contains(err.Error(), "--metrics") || !strings.Contains(err.Error(), "--insecure") {
		t.Errorf("%v, %v: want a refusal that names the flags", s, err)
	}
	s, err := Listen(Config{Address: "0.0.0.0:0", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
