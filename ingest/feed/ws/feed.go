package ws

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"chronicle/ingest/feed/emit"
)

// FrameTooLarge is the reason for a frame that is larger than Options.MaxFrame.
const FrameTooLarge emit.Reason = "frame_too_large"

// StaleAnswer is the reason for a snapshot that comes after the connection it was
// asked for has ended: it is of a time before what the next connection brings.
const StaleAnswer emit.Reason = "stale_answer"

// Feed receives from one venue. Make it with New, make the venue with its
// Emitter, then Run it once.
type Feed struct {
	e       *emit.Emitter
	clock   *emit.Clock
	guard   *guard
	opts    Options
	now     func() time.Time
	log     *slog.Logger
	client  *http.Client
	backoff backoff
	inbox   *inbox
	getter  *getter

	venue Venue
	units uint64 // frames, answers and requests so far, for logs
	wg    sync.WaitGroup
}

// New makes a feed that writes to q. now gives the time of receipt.
func New(q emit.Queue, c *emit.Counters, eo emit.Options, o Options, now func() time.Time) *Feed {
	f := &Feed{opts: o.withDefaults(), now: now, log: eo.Log, client: httpClient(), inbox: newInbox(inboxItems, inboxBytes)}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.backoff = backoff{min: f.opts.MinBackoff, max: f.opts.MaxBackoff, random: rand.Float64}
	f.getter = &getter{client: f.client, timeout: f.opts.HTTPTimeout, every: min(getEvery, f.opts.MinBackoff), backoff: f.backoff}
	f.guard = newGuard(f.opts.Patience, f.backoff)
	eo.Unit = "frame"
	f.e = emit.New(f.guard.queue(q), c, eo)
	f.clock = emit.NewClock(f.e)
	return f
}

// Emitter gives the emitter that the venue's session writes to.
func (f *Feed) Emitter() *emit.Emitter { return f.e }

// Run receives until ctx is done, which is no error, or the raw queue or the
// venue's plan fails. What was received by then is written before it returns.
func (f *Feed) Run(ctx context.Context, v Venue) error {
	f.venue = v
	ctx, cancel := context.WithCancel(ctx)
	defer f.client.CloseIdleConnections()
	defer f.wg.Wait()
	defer cancel()
	if err := f.lists(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	connections, err := v.Connections()
	if err != nil {
		return err
	}
	for _, c := range connections {
		for _, frame := range c.Subscribe {
			v.Expect([]byte(c.Name), frame)
		}
	}
	for _, c := range connections {
		conn := newConnection(f, c)
		f.guard.watch(conn, v)
		f.wg.Go(func() { conn.run(ctx) })
	}
	if err := f.loop(ctx); err != nil {
		return err
	}
	return f.drain()
}

// lists fetches the instrument lists. The feed goes on without one that cannot be had.
func (f *Feed) lists(ctx context.Context) error {
	wanted := f.venue.Lists()
	for _, url := range wanted {
		f.fetch(ctx, &get{url: url})
	}
	for range wanted {
		select {
		case it := <-f.inbox.items:
			f.handle(&it)
			if err := f.err(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// fetch runs a GET beside the owner.
func (f *Feed) fetch(ctx context.Context, g *get) {
	f.wg.Go(func() {
		buf := f.inbox.buffer()
		it := item{what: answered, get: g, buf: buf}
		if err := f.getter.fetch(ctx, g.url, buf); err != nil {
			if ctx.Err() == nil {
				f.log.Warn("HTTP request failed", "url", g.url, "error", err)
			}
			f.inbox.recycle(buf)
			it = item{what: failed, get: g}
		}
		it.recv = f.now().UnixNano()
		f.inbox.push(ctx, it)
	})
}

// loop is the owner: it hands everything to the session, in order.
func (f *Feed) loop(ctx context.Context) error {
	tick := time.NewTicker(min(max(f.opts.MinBackoff/2, time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case it := <-f.inbox.items:
			f.handle(&it)
		case <-tick.C:
			f.guard.wake = true
			if len(f.inbox.items) == 0 { // what was received before now is written
				f.clock.Tick(f.now().UnixNano())
			}
		case <-ctx.Done():
			return nil
		}
		if f.guard.wake {
			f.resync(time.Now())
		}
		if err := f.err(); err != nil {
			return err
		}
	}
}

// drain hands over what was received before ctx was done.
func (f *Feed) drain() error {
	gone := make(chan struct{})
	go func() { f.wg.Wait(); close(gone) }()
	for ended := false; ; {
		select {
		case it := <-f.inbox.items:
			f.handle(&it)
			if err := f.err(); err != nil {
				return err
			}
			continue
		default:
		}
		if ended {
			return nil
		}
		select {
		case it := <-f.inbox.items:
			f.handle(&it)
		case <-gone:
			ended = true
		}
	}
}

// err gives what ends the feed.
func (f *Feed) err() error {
	if err := f.e.Err(); err != nil {
		return fmt.Errorf("live feed: %w", err)
	}
	return nil
}

// handle tells the session, and the guard, what happened.
func (f *Feed) handle(it *item) {
	f.units++
	f.e.At(f.units)
	switch it.what {
	case received:
		it.conn.heard = it.recv
		f.e.Packet()
		f.venue.Receive(it.recv, it.conn.name, it.buf.b)
	case sent:
		f.venue.Request(it.recv, it.conn.name, it.data)
	case connected:
		f.venue.Connect(it.recv, it.conn.name, it.conn.addr)
		it.conn.life, it.conn.heard = it.life, it.recv
		f.guard.connected(it.conn, time.Now())
	case closed:
		it.conn.life = nil
		f.e.Heard(it.conn.Name, it.conn.heard)
		f.guard.closed(it.conn)
	case tooLarge:
		f.e.Packet()
		f.e.Skip(FrameTooLarge, slog.String("connection", it.conn.Name))
	case answered:
		f.answer(it)
	case failed:
		if it.get.current() {
			f.guard.answered(it.get.book, time.Now())
		}
	}
	f.inbox.done(it)
}

// answer hands an HTTP answer over, unless its connection has ended meanwhile.
func (f *Feed) answer(it *item) {
	f.e.Packet()
	g := it.get
	if !g.current() {
		f.e.Skip(StaleAnswer, slog.String("url", g.url))
		return
	}
	f.venue.Response(it.recv, []byte(HTTP), []byte(g.url), it.buf.b)
	f.guard.answered(g.book, time.Now())
}

// resync asks for the books that are due.
func (f *Feed) resync(now time.Time) {
	f.guard.wake = false
	for _, w := range f.guard.books {
		if !w.due(now) {
			continue
		}
		r, l := f.venue.Resync(w.native), w.conn.life
		if cap(l.out)-len(l.out) <= len(r.Send) {
			continue // many frames wait to be sent: it is due again later
		}
		f.log.Info("asking for a whole book", "instrument", w.native, "connection", w.conn.Name, "attempt", w.tries+1, "reason", w.reason)
		for _, frame := range r.Send {
			l.out <- frame
		}
		w.asked(now, r.Get != "")
		if r.Get != "" {
			f.fetch(l.ctx, &get{url: r.Get, book: w, life: l})
		}
	}
}
