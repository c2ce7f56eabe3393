package ws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

// pipes is a network of its own, whose clock is the test's.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve answers a client over pipes.
func serve(t *testing.T, h http.HandlerFunc) *http.Client {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(p) }()
	transport := &http.Transport{DialContext: p.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
	})
	return &http.Client{Transport: transport}
}

// notes are what the goroutines of a server note for the test.
type notes[T any] struct {
	mu  sync.Mutex
	all []T
}

// add gives how many there are then.
func (n *notes[T]) add(v T) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, v)
	return len(n.all)
}

func (n *notes[T]) list() []T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]T(nil), n.all...)
}

// accept makes a handler of WebSocket connections; talk runs for each, and its
// number, from 1. When it returns the connection is cut.
func accept(talk func(n int, ws *websocket.Conn)) http.HandlerFunc {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		talk(int(n.Add(1)), ws)
		_ = ws.CloseNow()
	}
}

// fake is a venue that notes what it is told. Text frames "book SEQ PREV" and
// bodies "snapshot SEQ" are a chained book's.
type fake struct {
	said notes[string]

	e     *emit.Emitter
	lists []string
	conns []Connection
	re    Resync
	id    uint32
	delay func()
}

func (v *fake) note(format string, args ...any) { v.said.add(fmt.Sprintf(format, args...)) }

// log gives what was noted so far.
func (v *fake) log() []string { return v.said.list() }

func (v *fake) Lists() []string                    { return v.lists }
func (v *fake) Connections() ([]Connection, error) { return v.conns, nil }
func (v *fake) Resync(string) Resync               { return v.re }
func (v *fake) Expect(conn, frame []byte)          { v.note("expect %s %s", conn, frame) }
func (v *fake) Connect(recv int64, conn, addr []byte) {
	v.e.Connect(recv, string(conn), string(addr))
	v.note("connect %s %s", conn, addr)
}
func (v *fake) Request(_ int64, conn, frame []byte) { v.note("request %s %s", conn, frame) }
func (v *fake) Response(recv int64, conn, url, body []byte) {
	v.note("response %s %s %s", conn, url, body)
	var seq uint64
	if n, _ := fmt.Sscanf(string(body), "snapshot %d", &seq); n == 1 {
		v.book(recv, market.KindSnapshot, &market.BookEvent{Seq: seq})
	}
}

func (v *fake) Receive(recv int64, conn, frame []byte) {
	if v.delay != nil {
		v.delay()
	}
	v.note("receive %s %.40s", conn, frame)
	var ev market.BookEvent
	if n, _ := fmt.Sscanf(string(frame), "book %d %d", &ev.Seq, &ev.PrevSeq); n == 2 {
		v.book(recv, market.KindBook, &ev)
	}
}

func (v *fake) book(recv int64, kind market.Kind, ev *market.BookEvent) {
	if v.id == 0 {
		v.id = v.e.Define(recv, recv, market.Definition{Symbol: "s", Native: "S", BookType: market.L2, Chained: true, Channel: "ws.1"})
	}
	v.e.Book(kind, v.id, recv, recv, ev)
}

// rig is a feed with a fake venue.
type rig struct {
	*Feed
	v      *fake
	q      *emittest.Queue
	c      *emit.Counters
	cancel func()
	ended  chan error
}

// newRig makes a feed whose client is given. With random 1/2 waits are three
// quarters of the longest.
func newRig(t *testing.T, o Options, client *http.Client, v *fake) *rig {
	r := &rig{v: v, q: &emittest.Queue{}, c: &emit.Counters{}, ended: make(chan error, 1)}
	r.Feed = New(r.q, r.c, emit.Options{Venue: "v"}, o, time.Now)
	r.client, r.getter.client = client, client
	r.backoff.random = func() float64 { return 0.5 }
	r.getter.backoff, r.guard.backoff = r.backoff, r.backoff
	v.e = r.e
	return r
}

// start runs the feed until stop.
func (r *rig) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.ended <- r.Run(ctx, r.v) }()
}

// stop ends the feed; the bubble that a test runs in sees to it that no
// goroutine is left.
func (r *rig) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	after(time.Minute) // for the server to notice
}

// bubble runs a test with a clock that passes when all wait.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// after lets time pass until all wait again.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func write(ws *websocket.Conn, frames ...string) bool {
	for _, f := range frames {
		if ws.Write(context.Background(), websocket.MessageText, []byte(f)) != nil {
			return false
		}
	}
	return true
}

// hang reads, and so answers pings, until the client has gone.
func hang(ws *websocket.Conn) {
	for {
		if _, _, err := ws.Read(context.Background()); err != nil {
			return
		}
	}
}
