package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"chronicle/server/backend"
	"chronicle/server/internal/fake"
)

// problemOf reads the problem of an answer.
func problemOf(t *testing.T, body []byte) (field, kind string) {
	t.Helper()
	var p struct{ Type, Field string }
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return p.Field, strings.TrimPrefix(p.Type, "urn:chronicle:problem:")
}

func TestArrowStream(t *testing.T) {
	s := newServer(t, &fake.Archive{Rows: 1000}, nil)
	for name, w := range map[string]*bytes.Buffer{
		"format": get(s, "/v1/trades/btcusdt?format=arrow").Body,
		"accept": get(s, "/v1/trades/btcusdt", "Accept", "text/html;q=0.9, application/vnd.apache.arrow.stream").Body,
	} {
		r, err := ipc.NewReader(w)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows := int64(0)
		for r.Next() {
			if first := r.RecordBatch().Column(3).(*array.Uint64).Value(0); first != uint64(1000+rows) {
				t.Fatalf("%s: row %d has sequence %d", name, rows, first)
			}
			rows += r.RecordBatch().NumRows()
		}
		if r.Err() != nil || rows != 1000 {
			t.Errorf("%s: %d rows, %v", name, rows, r.Err())
		}
		r.Release()
	}
}

// TestManyRowsAreWhole streams more than any buffer holds, as JSON.
func TestManyRowsAreWhole(t *testing.T) {
	url := onWire(t, newServer(t, &fake.Archive{Rows: 20_000, BatchRows: 1024}, nil))
	resp, err := http.Get(url + "/v1/trades/btcusdt")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct{ Rows []struct{ Sequence uint64 } }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got.Rows) != 20_000 || got.Rows[19_999].Sequence != 20_999 {
		t.Errorf("%d rows, %v", len(got.Rows), err)
	}
}

// TestBrokenOff makes sure that an answer which fails in the middle cannot be
// taken for a whole one, in any format.
func TestBrokenOff(t *testing.T) {
	archive := &fake.Archive{Rows: 1 << 20, BatchRows: 1024, FailAfter: 5000}
	url := onWire(t, newServer(t, archive, nil))
	for _, f := range formats {
		resp, err := http.Get(url + "/v1/trades/btcusdt?format=" + f.name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
			if f.name == "parquet" && resp.StatusCode == http.StatusInternalServerError {
				continue // nothing of a row group is written before it is complete
			}
			t.Errorf("%s: status %d, %d bytes, then %v", f.name, resp.StatusCode, n, err)
		}
	}
	if n := archive.Open.Load(); n != 0 {
		t.Errorf("%d ranges are still open", n)
	}
}

func TestFirstByteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &fake.Archive{Stall: make(chan struct{})}
		w := get(newServer(t, archive, nil), "/v1/trades/btcusdt")
		if _, kind := problemOf(t, w.Body.Bytes()); w.Code != http.StatusGatewayTimeout || kind != "timeout" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if archive.Open.Load() != 0 || archive.Canceled.Load() != 1 {
			t.Errorf("%d open, %d canceled", archive.Open.Load(), archive.Canceled.Load())
		}
	})
}

// TestOnlyTheFirstByteIsBounded makes sure that an answer which has begun may
// take as long as it likes.
func TestOnlyTheFirstByteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &fake.Archive{Rows: 20_000, BatchRows: 10_000, Stall: make(chan struct{})}
		s := newServer(t, archive, nil)
		go func() {
			archive.Stall <- struct{}{}
			time.Sleep(10 * s.FirstByte) // in the bubble's time
			close(archive.Stall)
		}()
		w := get(s, "/v1/trades/btcusdt?format=arrow")
		if w.Code != http.StatusOK || archive.Canceled.Load() != 0 {
			t.Errorf("%d, %d canceled", w.Code, archive.Canceled.Load())
		}
	})
}

func TestClientGoesAway(t *testing.T) {
	archive := &fake.Archive{Stall: make(chan struct{}), Released: make(chan struct{})}
	url := onWire(t, newServer(t, archive, nil))
	ctx, cancel := cancelable(t)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/trades/btcusdt", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		archive.Stall <- struct{}{}
		cancel()
	}()
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Error("there was an answer")
	}
	<-archive.Released
	if archive.Canceled.Load() != 1 {
		t.Error("the range did not end by its context")
	}
}

// TestUnreadAnswerIsBrokenOff makes sure that a client which stops reading does
// not hold a range open.
func TestUnreadAnswerIsBrokenOff(t *testing.T) {
	archive := &fake.Archive{Rows: 1 << 40, BatchRows: 8192, Released: make(chan struct{})}
	url := onWire(t, newServer(t, archive, func(c *Config) { c.Stall = 50 * time.Millisecond }))
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/trades/btcusdt?format=arrow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-archive.Released
}

// deadlines notes the write deadlines of one connection.
type deadlines struct {
	net.Conn
	set chan time.Time
}

func (d deadlines) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() { // net/http clears it between requests
		d.set <- t
	}
	return d.Conn.SetWriteDeadline(t)
}

type noting struct {
	net.Listener
	set chan time.Time
}

func (n noting) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	return deadlines{c, n.set}, err
}

// TestEveryRequestHasItsOwnDeadline makes sure that the deadline of one answer
// does not end the next one on the same connection.
func TestEveryRequestHasItsOwnDeadline(t *testing.T) {
	s := newServer(t, &fake.Archive{}, nil)
	ts := httptest.NewUnstartedServer(s.Handler())
	set := make(chan time.Time, 100)
	ts.Listener = noting{ts.Listener, set}
	ts.Start()
	defer ts.Close()
	for i := range 2 {
		begin := time.Now()
		resp, err := ts.Client().Get(ts.URL + "/v1/trades/btcusdt")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if first := <-set; first.Before(begin.Add(s.FirstByte + s.Stall)) {
			t.Errorf("request %d begins with the deadline %s, asked %s", i, first, begin)
		}
		if second := <-set; second.Before(begin.Add(s.Stall)) {
			t.Errorf("request %d is written with the deadline %s, asked %s", i, second, begin)
		}
	}
}

func TestTooManyAtATime(t *testing.T) {
	archive := &fake.Archive{Stall: make(chan struct{})}
	url := onWire(t, newServer(t, backend.Limit(archive, 1), nil))
	first := make(chan error, 1)
	go func() {
		resp, err := http.Get(url + "/v1/trades/btcusdt")
		if err == nil {
			resp.Body.Close()
		}
		first <- err
	}()
	archive.Stall <- struct{}{}
	resp, err := http.Get(url + "/v1/books/btcusdt?at=2026-01-02T10:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if _, kind := problemOf(t, body); resp.StatusCode != http.StatusTooManyRequests || kind != "resource-exhausted" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	close(archive.Stall)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestLongURL(t *testing.T) {
	w := get(newServer(t, &fake.Archive{}, nil), "/v1/symbols?symbol="+strings.Repeat("x", 9000))
	if field, kind := problemOf(t, w.Body.Bytes()); w.Code != http.StatusRequestURITooLong || kind != "uri-too-long" || field != "url" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetrics(t *testing.T) {
	s := newServer(t, &fake.Archive{}, nil)
	get(s, "/v1/books/btcusdt?at=2026-01-02T10:00:00Z")
	get(s, "/v1/books/btcusdt")
	get(s, "/made/up/by/a/client")
	w := get(s, "/metrics")
	for _, want := range []string{
		`chronicle_http_requests_total{method="GET",route="/v1/books/{symbol}",status="200"} 1`,
		`chronicle_http_requests_total{method="GET",route="/v1/books/{symbol}",status="400"} 1`,
		`chronicle_http_requests_total{method="GET",route="none",status="404"} 1`,
		`chronicle_http_request_seconds_count{route="/v1/books/{symbol}"} 2`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/metrics has no %s:\n%s", want, w.Body)
		}
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("/metrics may be sniffed")
	}
}

func TestDocumentIsServed(t *testing.T) {
	w := get(newServer(t, &fake.Archive{}, nil), "/openapi.yaml")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "openapi: 3.1.0\n") || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %.40q %v", w.Code, w.Body, w.Header())
	}
}

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                  "json",
		"*/*":                               "json",
		"text/html, */*;q=0.1":              "json",
		"text/csv":                          "csv",
		"text/*":                            "csv",
		"application/json;q=0.5, text/csv":  "csv",
		"application/*;q=0.2, text/csv;q=0": "json",
		"application/vnd.apache.parquet":    "parquet",
		"application/x-ndjson; charset=x":   "ndjson",
		"*/*;q=0":                           "",
		"image/png":                         "",
		"application/json;q=2":              "",
		";;;":                               "",
	} {
		f, err := pick(http.Header{"Accept": {accept}}, "", formats)
		if f.name != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", accept, f.name, err, want)
		}
	}
}
