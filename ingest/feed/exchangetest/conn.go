package exchangetest

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// conn is one client's connection. All but ws and stalled is guarded by the
// exchange's lock.
type conn struct {
	ws      *websocket.Conn
	path    string         // of the request, with its query
	subs    map[key]string // subscriptions, and the names by which the client asked
	seq     uint64         // messages made for it, where the venue counts them
	queue   []item         // to be written
	held    []byte         // a frame that waits for the next one to go first
	unread  int            // items that the client may not have read yet
	stalled atomic.Bool
	gone    bool
}

// item is something for the connection's writer: a frame, or the cut.
type item struct {
	data []byte
	cut  bool
}

func (c *conn) push(i item) {
	c.queue = append(c.queue, i)
	c.unread++
}

// flush sends the frame that was held back.
func (c *conn) flush() {
	if c.held != nil {
		c.push(item{data: c.held})
		c.held = nil
	}
}

// ServeHTTP accepts a WebSocket connection or answers a REST request.
func (x *Exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		x.serveREST(w, r)
		return
	}
	c := &conn{path: r.URL.RequestURI(), subs: make(map[key]string)}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { return !c.stalled.Load() },
	})
	if err != nil {
		return
	}
	ws.SetReadLimit(1 << 20)
	c.ws = ws
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		_ = ws.CloseNow()
		return
	}
	x.wg.Add(2)
	x.conns = append(x.conns, c)
	x.counts.Connections++
	x.answer(c, x.venue.greet(c))
	x.mu.Unlock()
	go x.write(c)
	x.read(c)
}

// read takes the client's requests until the connection ends.
func (x *Exchange) read(c *conn) {
	defer x.wg.Done()
	for {
		_, data, err := c.ws.Read(context.Background())
		x.mu.Lock()
		if err != nil {
			x.remove(c)
			x.mu.Unlock()
			_ = c.ws.CloseNow()
			return
		}
		if !c.stalled.Load() && !c.gone {
			x.answer(c, x.venue.request(c, data))
		}
		x.mu.Unlock()
	}
}

// write sends what is queued. After each batch it pings: the answer tells that
// the client has read it.
func (x *Exchange) write(c *conn) {
	defer x.wg.Done()
	defer func() { _ = c.ws.CloseNow() }()
	ctx := context.Background()
	for {
		x.mu.Lock()
		for len(c.queue) == 0 && !c.gone {
			x.cond.Wait()
		}
		batch := c.queue
		c.queue = nil
		x.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, i := range batch {
			if i.cut || c.ws.Write(ctx, websocket.MessageText, i.data) != nil {
				return
			}
		}
		if c.ws.Ping(ctx) != nil {
			return
		}
		x.mu.Lock()
		c.unread -= len(batch)
		x.cond.Broadcast()
		x.mu.Unlock()
	}
}

// remove takes a connection out: an outage begins when it had subscriptions.
func (x *Exchange) remove(c *conn) {
	i := slices.Index(x.conns, c)
	if i < 0 {
		return
	}
	x.conns = slices.Delete(x.conns, i, i+1)
	c.gone = true
	c.stalled.Store(false)
	if len(c.subs) > 0 && x.started {
		x.away = max(x.away, x.opts.Outage)
	}
	x.cond.Broadcast()
}

// reply is what a request of a client leads to.
type reply struct {
	frames      [][]byte // acknowledgements
	subscribe   []subscription
	unsubscribe []key
}

type subscription struct {
	key  key
	name string // by which the client asked
}

// answer does what a request asks. Frames of an outage pass before a
// subscription is heard.
func (x *Exchange) answer(c *conn, r reply) {
	if len(r.subscribe) > 0 {
		for x.away > 0 && x.pos < len(x.frames) {
			x.advance()
		}
	}
	c.flush()
	for _, k := range r.unsubscribe {
		delete(c.subs, k)
		delete(x.required, k)
	}
	for _, s := range r.subscribe {
		c.subs[s.key] = s.name
		x.required[s.key] = true
		x.counts.Subscriptions++
	}
	for _, data := range r.frames {
		c.push(item{data: x.venue.stamp(c, data)})
	}
	for _, s := range r.subscribe {
		x.begin(c, s.key)
	}
	if len(r.subscribe) > 0 {
		x.start()
	}
	x.cond.Broadcast()
}

// begin sends what a subscription begins with.
func (x *Exchange) begin(c *conn, k key) {
	data := x.venue.recap(k, x.frames[:x.pos])
	if b := x.books[k]; b != nil && b.known {
		if data = x.venue.snapshot(c, b); data != nil {
			x.counts.Snapshots++
		}
	}
	if data != nil {
		c.push(item{data: x.venue.stamp(c, data)})
	}
}

// start lets time begin when all that is waited for is subscribed.
func (x *Exchange) start() {
	if x.started || !x.complete() {
		return
	}
	if n := x.opts.Subscriptions; n > 0 {
		held := 0
		for _, c := range x.conns {
			held += len(c.subs)
		}
		x.started = held >= n
		return
	}
	if x.settle != nil {
		x.settle.Stop()
	}
	x.settle = time.AfterFunc(x.opts.Settle, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.started = true
		x.cond.Broadcast()
	})
}
