// Package exchangetest is a local exchange for tests of live feeds: it replays a
// recording over real WebSocket connections and answers REST requests, on
// loopback, and it misbehaves on demand.
//
//	x := exchangetest.New(t, "kraken", testdata.Path(t, "crypto/KRAKEN.jsonl.zst"), exchangetest.Options{Seed: 1, DropEvery: 200})
//	... a client connects to x.WebSocketURL(), subscribes, and reads ...
//	<-x.Done()
//
// Venues are kraken (WebSocket v1), okx (v5), binance-spot, binance-usdm,
// binance-coinm (path /ws...: bare events, any other path: combined streams),
// coinbase (Advanced Trade) and bybit (v5; a path with "spot" in it is the spot
// category, any other the linear one, whose symbols are named linear/BTCUSDT here).
// REST requests get the recorded answer whose path is the same and whose query
// agrees best: the instrument lists.
//
// The recording's data frames, by time, are one timeline, numbered from 1. Answers to
// requests, greetings and heartbeats are no part of it. The rules:
//
//   - Time stands still until the books of all recorded symbols (or
//     Options.Symbols) are subscribed and no further subscription comes for
//     Options.Settle; or, with Options.Subscriptions, until so many are held.
//   - Then frame after frame is applied to the exchange's own books and sent to
//     every connection that is subscribed to its channel and symbol; to none when
//     there is none. At most Options.Window frames of a connection are under way:
//     the exchange pings, and a client answers when it has read so far.
//   - Who subscribes a book gets a snapshot of it as it stands at that frame,
//     made from the exchange's own book. A book that the recording has not begun
//     yet is sent when the recording comes to it. REST depth of Binance is the
//     recorded snapshot until the stream has reached it, then the own book's.
//     market_trades of coinbase begins with the latest trades.
//   - When a connection ends, Options.Outage frames pass. Then time stands still
//     until all that it was subscribed to is subscribed again. Unsubscribing lets
//     time go on. While a connection is stalled time stands still.
//   - What goes wrong on purpose goes wrong on the way to the client: the
//     exchange's own book is always right. See [Exchange.Truth].
//
// The books are plain maps from price to size, without a line shared with what
// they are to prove. Which frames go wrong depends on Options.Seed alone, when
// they are sent on the client.
//
// An Exchange may be used by any number of goroutines.
package exchangetest

import (
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options say how the exchange behaves. The zero value behaves well.
type Options struct {
	Symbols       []string      // venue's names of the books to wait for before time passes. Default: all that the recording has
	Subscriptions int           // subscriptions (of one channel and symbol each) to wait for instead of Settle. Default: none
	Settle        time.Duration // quiet time after the last subscription before time passes. Default: 50 ms
	Frames        int           // the recording is read up to so many frames. Default: all
	Window        int           // frames under way on a connection. Default: 32
	Interval      time.Duration // pause after each frame. Default: none
	Outage        int           // frames that pass when a connection ends; -1: none. Default: 32
	Heartbeat     time.Duration // of venues that send them unasked (kraken). Default: 100 ms

	Seed            uint64 // decides which frames go wrong
	DropEvery       int    // one in so many frames is not sent; 0: none
	RepeatEvery     int    // one in so many frames is sent twice
	ReorderEvery    int    // one in so many frames is sent after the connection's next
	GarbageEvery    int    // before one in so many frames something is sent that is no JSON
	DisconnectAfter []int  // frames after which the connections that they went to are cut; all, if it went to none
	StallAfter      []int  // frames after which the connections that they went to stay open and silent; all, if it went to none
	HugeFrameAt     int    // frame before which one frame of 10 MB is sent; 0: none
}

func (o *Options) fill() {
	if o.Settle == 0 {
		o.Settle = 50 * time.Millisecond
	}
	if o.Window == 0 {
		o.Window = 32
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 100 * time.Millisecond
	}
	switch o.Outage {
	case 0:
		o.Outage = 32
	case -1:
		o.Outage = 0
	}
}

// Counts tell what an exchange has done so far.
type Counts struct {
	Connections   int // accepted
	Subscriptions int // of one channel and symbol each
	Snapshots     int // made from the exchange's own books, over WebSocket and REST
	Sent          int // timeline frames sent, of each connection
	Dropped       int // frames that had a subscriber and were not sent on purpose
	Repeated      int
	Reordered     int
	Garbage       int // frames sent that are no JSON, the huge one not counted
	Huge          int
	Cut           int // connections ended by the exchange
	Stalled       int // connections that fell silent
	Missed        int // frames that nobody was subscribed to
}

// Exchange is a running exchange. New makes it; it ends with the test.
type Exchange struct {
	opts   Options
	venue  venue
	server *httptest.Server
	frames []frame
	rest   []response
	faults []fault // by frame

	done chan struct{}
	stop chan struct{}
	wg   sync.WaitGroup // the runner, the heartbeat, and each connection's goroutines

	mu       sync.Mutex // guards all below
	cond     *sync.Cond // any change of what is below
	closed   bool
	started  bool
	settle   *time.Timer
	pos      int // frames passed
	away     int // frames that still pass while a client is away
	books    map[key]*book
	required map[key]bool // subscriptions without which time stands still
	conns    []*conn      // in order of arrival; those that can still be sent to
	counts   Counts
}

// New starts an exchange that replays a recording. The venue is one of those in
// the package's documentation. Whatever is wrong ends the test.
func New(t testing.TB, venueName, recordingPath string, o Options) *Exchange {
	t.Helper()
	o.fill()
	l, err := recording(venueName, recordingPath, o.Frames)
	if err != nil {
		t.Fatalf("exchange %s: %v", venueName, err)
	}
	x := &Exchange{
		opts: o, venue: l.venue, frames: l.frames, rest: l.rest, faults: plan(len(l.frames), &o), done: make(chan struct{}), stop: make(chan struct{}),
		books: newBooks(l.venue, l.frames), required: make(map[key]bool),
	}
	x.cond = sync.NewCond(&x.mu)
	for k := range x.books {
		if len(o.Symbols) == 0 || contains(o.Symbols, k.symbol) {
			x.required[k] = true
		}
	}
	x.server = httptest.NewServer(x)
	x.wg.Add(2)
	go x.run()
	go x.beat()
	t.Cleanup(x.close)
	return x
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// WebSocketURL gives "ws://127.0.0.1:port". Any path below it is accepted.
func (x *Exchange) WebSocketURL() string {
	return "ws" + strings.TrimPrefix(x.server.URL, "http")
}

// RESTURL gives "http://127.0.0.1:port".
func (x *Exchange) RESTURL() string { return x.server.URL }

// Done is closed when the timeline is at its end and every connection's client
// has read what was sent to it.
func (x *Exchange) Done() <-chan struct{} { return x.done }

// Disconnect cuts all connections now, without a closing handshake.
func (x *Exchange) Disconnect() {
	x.mu.Lock()
	cut := slices.Clone(x.conns)
	for _, c := range cut {
		x.remove(c)
		x.counts.Cut++
	}
	x.mu.Unlock()
	for _, c := range cut {
		_ = c.ws.CloseNow()
	}
}

// Resume lets stalled connections go on where they stopped.
func (x *Exchange) Resume() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.conns {
		c.stalled.Store(false)
	}
	x.cond.Broadcast()
}

// Counts tell what has happened so far.
func (x *Exchange) Counts() Counts {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.counts
}

// Position gives how many frames of the timeline have passed, and its length.
func (x *Exchange) Position() (passed, total int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pos, len(x.frames)
}

func (x *Exchange) close() {
	x.mu.Lock()
	x.closed = true
	close(x.stop)
	if x.settle != nil {
		x.settle.Stop()
	}
	open := slices.Clone(x.conns)
	for _, c := range open {
		x.remove(c)
	}
	x.cond.Broadcast()
	x.mu.Unlock()
	for _, c := range open {
		_ = c.ws.CloseNow()
	}
	x.server.Close()
	x.wg.Wait()
}
