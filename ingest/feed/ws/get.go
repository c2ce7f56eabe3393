package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Bounds of HTTP.
const (
	maxAnswer    = 64 << 20               // bytes of one answer
	getAttempts  = 4                      // of one GET, before the owner hears that it failed
	getBurst     = 20                     // GETs that may go out at once
	getEvery     = 500 * time.Millisecond // between GETs, when the burst is spent; or Options.MinBackoff if that is less
	maxPause     = 72 * time.Hour         // what a venue may ask for at most
	defaultPause = 10 * time.Second       // when a venue refuses and does not say for how long
)

// get is one HTTP GET for the owner.
type get struct {
	url  string
	book *watched // whose snapshot it is; nil for an instrument list
	life *life    // without which the answer is of no use; nil for a list
}

// current tells whether the connection that the GET was made for is still the one.
func (g *get) current() bool { return g.book == nil || g.book.conn.life == g.life }

// getter fetches. Its methods may be called by any number of goroutines.
type getter struct {
	client  *http.Client
	timeout time.Duration
	every   time.Duration
	backoff backoff

	mu   sync.Mutex
	next time.Time // when the next GET would go out with no burst left; guarded by mu
}

// turn gives how long a GET has to wait for its turn.
func (g *getter) turn(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if spent := now.Add(-getBurst * g.every); g.next.Before(spent) {
		g.next = spent
	}
	g.next = g.next.Add(g.every)
	return g.next.Sub(now)
}

// hold keeps all GETs back until a time.
func (g *getter) hold(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next.Before(until) {
		g.next = until
	}
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.text) }

// final tells whether asking again at once cannot help.
func (r refusal) final() bool {
	return r.status >= 400 && r.status < 500 && r.status != http.StatusTooManyRequests && r.status != http.StatusTeapot && r.status != http.StatusRequestTimeout
}

// fetch reads url into buf, trying several times. A 429 (or Binance's 418, an
// address that is banned) holds back every other GET too, as long as it says.
func (g *getter) fetch(ctx context.Context, url string, buf *buffer) error {
	var err error
	for n := range getAttempts {
		if n > 0 && !pause(ctx, g.backoff.wait(n)) {
			return ctx.Err()
		}
		if wait := g.turn(time.Now()); wait > 0 && !pause(ctx, wait) {
			return ctx.Err()
		}
		err = g.once(ctx, url, buf)
		if r, ok := errors.AsType[refusal](err); err == nil || ok && r.final() {
			return err
		}
	}
	return err
}

func (g *getter) once(ctx context.Context, url string, buf *buffer) error {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "chronicle")
	resp, err := g.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		if wait := retryAfter(resp, time.Now()); wait > 0 {
			g.hold(time.Now().Add(wait))
		}
		return refusal{resp.StatusCode, string(text)}
	}
	if err := buf.fill(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return err
	}
	if len(buf.b) > maxAnswer {
		return fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return nil
}

// retryAfter gives how long a venue that refused wants to be left alone; 0 when
// it did not refuse for want of patience.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusTeapot, http.StatusServiceUnavailable:
	default:
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return min(time.Duration(min(n, 1<<20))*time.Second, maxPause)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxPause)
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return 0
	}
	return defaultPause
}
