package ws

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// newGetter makes a getter whose waits are three quarters of the longest.
func newGetter(client *http.Client) *getter {
	return &getter{
		client: client, timeout: 20 * time.Second, every: 500 * time.Millisecond,
		backoff: backoff{min: time.Second, max: 8 * time.Second, random: func() float64 { return 0.5 }},
	}
}

func TestFetchTriesAgain(t *testing.T) {
	for name, c := range map[string]struct {
		answers []func(w http.ResponseWriter)
		at      []time.Duration
		err     string
	}{
		"server errors": {
			[]func(http.ResponseWriter){status(502), status(500), body("x")},
			[]time.Duration{0, 750 * time.Millisecond, 2250 * time.Millisecond}, "",
		},
		"too many requests": {
			[]func(http.ResponseWriter){retry(429, "30"), body("x")}, []time.Duration{0, 30500 * time.Millisecond}, "",
		},
		"banned": {
			[]func(http.ResponseWriter){retry(418, "120"), body("x")}, []time.Duration{0, 120500 * time.Millisecond}, "",
		},
		"wrong":     {[]func(http.ResponseWriter){status(404)}, []time.Duration{0}, "status 404: no"},
		"never":     {[]func(http.ResponseWriter){status(500)}, []time.Duration{0, 750 * time.Millisecond, 2250 * time.Millisecond, 5250 * time.Millisecond}, "status 500"},
		"time out":  {[]func(http.ResponseWriter){func(http.ResponseWriter) { time.Sleep(25 * time.Second) }, body("x")}, []time.Duration{0, 20750 * time.Millisecond}, ""},
		"breaks up": {[]func(http.ResponseWriter){func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); fmt.Fprint(w, "x") }, body("x")}, []time.Duration{0, 750 * time.Millisecond}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var asked notes[time.Duration]
				begin := time.Now()
				client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					n := asked.add(time.Since(begin))
					c.answers[min(n, len(c.answers))-1](w)
				})
				buf := &buffer{}
				err := newGetter(client).fetch(t.Context(), "http://exchange/", buf)
				if c.err == "" && (err != nil || string(buf.b) != "x") || c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)) {
					t.Errorf("got %q, %v", buf.b, err)
				}
				if at := asked.list(); !slices.Equal(at, c.at) {
					t.Errorf("asked at %v, want %v", at, c.at)
				}
				after(time.Minute)
			})
		})
	}
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code); fmt.Fprint(w, "no") }
}

func retry(code int, after string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.Header().Set("Retry-After", after); w.WriteHeader(code) }
}

func body(text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { fmt.Fprint(w, text) }
}

// After a burst GETs go out one after the other, and a refusal holds all of them back.
func TestFetchTakesTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGetter(nil)
		now := time.Now()
		for i := range getBurst {
			if wait := g.turn(now); wait > 0 {
				t.Fatalf("GET %d of a burst waits %v", i+1, wait)
			}
		}
		for i := range 3 {
			if wait := g.turn(now); wait != time.Duration(i+1)*g.every {
				t.Errorf("GET %d after the burst waits %v", i+1, wait)
			}
		}
		g.hold(now.Add(time.Hour))
		if wait := g.turn(now); wait != time.Hour+g.every {
			t.Errorf("a GET while the venue wants none waits %v", wait)
		}
		if wait := g.turn(now.Add(2 * time.Hour)); wait > 0 {
			t.Errorf("a GET long after waits %v", wait)
		}
	})
}

func TestFetchEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) { status(500)(w) })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		if err := newGetter(client).fetch(ctx, "http://exchange/", &buffer{}); err == nil || time.Since(begin) != 2*time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(begin))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status int
		header string
		want   time.Duration
	}{
		{429, "7", 7 * time.Second}, {429, "", defaultPause}, {418, "soon", defaultPause}, {503, "", 0}, {503, "9", 9 * time.Second},
		{429, now.Add(time.Minute).Format(http.TimeFormat), time.Minute}, {429, now.Add(-time.Minute).Format(http.TimeFormat), 0},
		{429, "99999999999", maxPause}, {500, "9", 0}, {429, "-1", defaultPause},
	} {
		resp := &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.header}}}
		if got := retryAfter(resp, now); got != c.want {
			t.Errorf("status %d, Retry-After %q: %v, want %v", c.status, c.header, got, c.want)
		}
	}
}
