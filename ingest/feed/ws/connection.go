package ws

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Bounds of a connection's own waits.
const (
	dialTimeout  = 15 * time.Second
	writeTimeout = 10 * time.Second
	stableAfter  = time.Minute // a connection that lasted so long was a good one
	defaultPing  = 20 * time.Second
	defaultQuiet = time.Minute
)

// connection keeps one of the venue's connections up.
type connection struct {
	Connection
	name []byte // Name, for the session
	addr []byte // URL, for the session
	feed *Feed

	// The owner's.
	life  *life // nil while the connection is down
	heard int64 // ts_recv of the last frame, or of the connecting
}

// life is one connection from its dialling to its end.
type life struct {
	ws  *websocket.Conn
	out chan []byte // frames to send
	ctx context.Context
	end context.CancelFunc

	begun   time.Time
	heard   atomic.Int64 // when something last came, as time since begun
	waiting atomic.Bool  // the reader waits for room in the inbox
}

func newConnection(f *Feed, c Connection) *connection {
	c.SendEvery = min(c.SendEvery, f.opts.MinBackoff)
	if c.PingEvery <= 0 {
		c.PingEvery = defaultPing
	}
	if f.opts.Quiet > 0 {
		c.Quiet = f.opts.Quiet
	}
	if c.Quiet <= 0 {
		c.Quiet = defaultQuiet
	}
	return &connection{Connection: c, name: []byte(c.Name), addr: []byte(c.URL), feed: f}
}

// run dials and serves until ctx is done.
func (c *connection) run(ctx context.Context) {
	log := c.feed.log.With("connection", c.Name, "url", c.URL)
	for failures := 0; ctx.Err() == nil; failures++ {
		if failures > 0 && !pause(ctx, c.feed.backoff.wait(failures)) {
			return
		}
		ws, after, err := c.dial(ctx)
		if err != nil {
			log.Warn("connection failed, trying again", "error", err, "attempt", failures+1)
			if after > 0 && !pause(ctx, after) {
				return
			}
			continue
		}
		log.Info("connected")
		begun := time.Now()
		err = c.serve(ctx, ws)
		if ctx.Err() != nil {
			return
		}
		log.Warn("connection ended, connecting again", "reason", err, "after", time.Since(begun).Round(time.Millisecond))
		if time.Since(begun) >= stableAfter {
			failures = 0
		}
	}
}

// pause waits and tells whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dial connects; after is how long the venue asks to be left alone.
func (c *connection) dial(ctx context.Context) (ws *websocket.Conn, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, c.URL, &websocket.DialOptions{HTTPClient: c.feed.client})
	if err != nil {
		if resp != nil {
			after = retryAfter(resp, time.Now())
		}
		return nil, after, err
	}
	ws.SetReadLimit(c.feed.opts.MaxFrame)
	return ws, 0, nil
}

// Reasons for which a connection is ended from this side.
var (
	errQuiet = errors.New("nothing came for too long")
	errAge   = errors.New("renewed before the venue ends it")
)

// serve reads frames until the connection ends, and gives the reason.
func (c *connection) serve(ctx context.Context, ws *websocket.Conn) error {
	ctxLife, end := context.WithCancelCause(ctx)
	l := &life{ws: ws, out: make(chan []byte, 16+4*len(c.Books)), ctx: ctxLife, end: func() { end(nil) }, begun: time.Now()}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end(nil)
	stop := context.AfterFunc(ctxLife, func() { _ = ws.CloseNow() })
	defer stop()
	if !c.push(ctx, item{what: connected, life: l}) {
		_ = ws.CloseNow()
		return ctx.Err()
	}
	wg.Go(func() {
		if err := c.write(l); err != nil {
			end(err)
		}
	})
	wg.Go(func() { end(c.keep(l)) })
	err := c.read(ctx, l)
	end(err)
	_ = ws.CloseNow()
	c.push(ctx, item{what: closed, life: l})
	return context.Cause(ctxLife)
}

func (c *connection) push(ctx context.Context, it item) bool {
	it.conn, it.recv = c, c.feed.now().UnixNano()
	return c.feed.inbox.push(ctx, it)
}

// read takes frames until the connection ends. The time is taken when a frame is
// whole; a frame that finds no room waits, and with it the connection.
func (c *connection) read(ctx context.Context, l *life) error {
	inbox := c.feed.inbox
	for {
		_, r, err := l.ws.Reader(context.Background())
		if err != nil {
			return err
		}
		buf := inbox.buffer()
		err = buf.fill(r)
		recv := c.feed.now().UnixNano()
		if err != nil {
			inbox.recycle(buf)
			if errors.Is(err, websocket.ErrMessageTooBig) {
				c.push(ctx, item{what: tooLarge, life: l})
			}
			return err
		}
		l.heard.Store(int64(time.Since(l.begun)))
		l.waiting.Store(true)
		if !inbox.push(ctx, item{what: received, recv: recv, conn: c, life: l, buf: buf}) {
			return ctx.Err()
		}
		l.heard.Store(int64(time.Since(l.begun)))
		l.waiting.Store(false)
	}
}

// write sends the subscriptions, then what the owner and the keeper want sent.
// The session hears of a frame before it goes out, and so before any answer.
func (c *connection) write(l *life) error {
	send := func(frame []byte) error {
		if !c.push(l.ctx, item{what: sent, life: l, data: frame}) {
			return l.ctx.Err()
		}
		ctx, cancel := context.WithTimeout(l.ctx, writeTimeout)
		defer cancel()
		if err := l.ws.Write(ctx, websocket.MessageText, frame); err != nil {
			return err
		}
		if c.SendEvery > 0 {
			pause(l.ctx, c.SendEvery)
		}
		return nil
	}
	for _, frame := range c.Subscribe {
		if err := send(frame); err != nil {
			return err
		}
	}
	for {
		select {
		case frame := <-l.out:
			if err := send(frame); err != nil {
				return err
			}
		case <-l.ctx.Done():
			return nil
		}
	}
}

// keep pings, and tells when the connection is to be ended and why.
func (c *connection) keep(l *life) error {
	ping := time.NewTicker(c.PingEvery)
	defer ping.Stop()
	watch := time.NewTicker(max(c.Quiet/8, time.Millisecond))
	defer watch.Stop()
	var aged <-chan time.Time
	if c.MaxAge > 0 { // not all connections at once
		t := time.NewTimer(c.MaxAge - time.Duration(c.feed.backoff.random()*float64(c.MaxAge/20)))
		defer t.Stop()
		aged = t.C
	}
	for {
		select {
		case <-ping.C:
			if err := c.ping(l); err != nil {
				return err
			}
		case <-watch.C:
			if !l.waiting.Load() && time.Since(l.begun)-time.Duration(l.heard.Load()) > c.Quiet {
				return errQuiet
			}
		case <-aged:
			return errAge
		case <-l.ctx.Done():
			return nil
		}
	}
}

// ping sends the venue's own ping, or the protocol's. That one is not waited for
// longer than the next is due: whether anything comes is for the watch to tell.
func (c *connection) ping(l *life) error {
	if c.Ping != nil {
		select {
		case l.out <- c.Ping:
		default: // the writer is behind; it is alive as long as it writes
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, min(c.PingEvery, c.Quiet)/2)
	defer cancel()
	if err := l.ws.Ping(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// httpClient makes the client of all connections and GETs.
func httpClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSHandshakeTimeout = dialTimeout
	return &http.Client{Transport: t}
}
