package ws

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"chronicle/store/queue"
)

// chain is a server of one chained book.
type chain struct {
	begin     time.Time
	frames    chan string // to send
	snapshots []uint64    // sequences to answer with; the last one again and again
	slow      time.Duration
	asked     notes[time.Duration] // when
}

func (c *chain) client(t *testing.T) *http.Client {
	c.begin, c.frames = time.Now(), make(chan string)
	ws := accept(func(_ int, ws *websocket.Conn) {
		go hang(ws)
		for f := range c.frames {
			if f == "cut" || !write(ws, f) {
				return
			}
		}
	})
	t.Cleanup(func() { close(c.frames) })
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/snapshot" {
			ws(w, r)
			return
		}
		n := c.asked.add(time.Since(c.begin).Round(time.Millisecond))
		seq := c.snapshots[min(n, len(c.snapshots))-1]
		time.Sleep(c.slow)
		fmt.Fprintf(w, "snapshot %d", seq)
	})
}

// watch starts a feed of the book.
func (c *chain) watch(t *testing.T) *rig {
	v := &fake{conns: plan(Connection{Books: []string{"S"}, Quiet: time.Hour}), re: Resync{Get: "http://exchange/snapshot"}}
	r := newRig(t, Options{MinBackoff: time.Second, MaxBackoff: 8 * time.Second}, c.client(t), v)
	r.start(t)
	return r
}

func (c *chain) wantAsked(t *testing.T, want ...time.Duration) {
	t.Helper()
	if at := c.asked.list(); !slices.Equal(at, want) {
		t.Errorf("snapshots were fetched at %v, want %v", at, want)
	}
}

// The snapshot is fetched when the first event is there for it to join; one that
// is too old is fetched again, later each time; a broken chain leads to the next.
func TestChainedBookIsJoined(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &chain{snapshots: []uint64{5, 6, 12, 25}}
		r := c.watch(t)
		after(time.Second)
		c.frames <- "book 10 9"
		after(10 * time.Second)
		c.wantAsked(t, time.Second, 2*time.Second, 3500*time.Millisecond)
		c.frames <- "book 15 10" // follows 10, but the snapshot is of 12: joined all the same
		c.frames <- "book 20 15"
		after(50 * time.Second)
		c.wantAsked(t, time.Second, 2*time.Second, 3500*time.Millisecond)
		if w := r.guard.books[0]; !w.good || w.seq != 20 {
			t.Errorf("the book is good %v at %d", w.good, w.seq)
		}
		after(10 * time.Second)
		c.frames <- "book 30 25" // 21 to 25 are missing
		after(time.Second)
		c.wantAsked(t, time.Second, 2*time.Second, 3500*time.Millisecond, 71*time.Second)
		if w := r.guard.books[0]; !w.good || w.seq != 30 {
			t.Errorf("the book is good %v at %d after the hole", w.good, w.seq)
		}
		r.stop(t)
	})
}

// A book that breaks again at once is not fetched at once again and again.
func TestBreaksInARow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &chain{snapshots: []uint64{10, 20, 30, 40, 50, 60}}
		r := c.watch(t)
		for i := uint64(1); i <= 6; i++ {
			after(time.Second)
			c.frames <- fmt.Sprintf("book %d %d", 10*i, 10*i-1)
		}
		after(time.Minute)
		c.wantAsked(t, time.Second, 3*time.Second, 4500*time.Millisecond, 7500*time.Millisecond, 13500*time.Millisecond, 19500*time.Millisecond)
		if !r.guard.books[0].good {
			t.Error("the book is not good in the end")
		}
		r.stop(t)
	})
}

// The book of an instrument that is not traded is fetched after a while.
func TestQuietBookIsFetched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &chain{snapshots: []uint64{7}}
		r := c.watch(t)
		after(time.Minute)
		c.wantAsked(t, firstEvent)
		c.frames <- "book 9 7"
		after(time.Second)
		if w := r.guard.books[0]; !w.good || w.seq != 9 {
			t.Errorf("the book is good %v at %d", w.good, w.seq)
		}
		r.stop(t)
	})
}

// A snapshot that comes when its connection has ended is not used: it is older
// than what the next connection brings.
func TestAnswerOfAnotherLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &chain{snapshots: []uint64{10, 50}, slow: 3 * time.Second}
		r := c.watch(t)
		after(time.Second)
		c.frames <- "book 10 9"
		after(time.Second)
		c.frames <- "cut"
		after(1500 * time.Millisecond) // connected again, the answer still under way
		c.frames <- "book 50 49"
		after(10 * time.Second)
		if at := c.asked.list(); len(at) != 2 || !r.guard.books[0].good {
			t.Errorf("fetched at %v, good %v", at, r.guard.books[0].good)
		}
		books, err := r.q.Books()
		if err != nil {
			t.Fatal(err)
		}
		var seqs []uint64
		for _, b := range books {
			seqs = append(seqs, b.Seq)
		}
		if want := []uint64{10, 50, 50}; !slices.Equal(seqs, want) {
			t.Errorf("book records are of %v, want %v: no snapshot of 10", seqs, want)
		}
		r.stop(t)
	})
}

// An answer that was under way in the queue when its connection ended is counted.
func TestStaleAnswer(t *testing.T) {
	r := newRig(t, Options{}, nil, &fake{})
	r.venue = r.v
	w := &watched{guard: r.guard, conn: &connection{life: &life{}}}
	r.handle(&item{what: answered, get: &get{book: w, life: &life{}}, buf: r.inbox.buffer()})
	r.handle(&item{what: answered, get: &get{book: w, life: w.conn.life}, buf: r.inbox.buffer()})
	w.busy = true
	r.handle(&item{what: failed, get: &get{book: w, life: &life{}}})
	if st := r.c.Stats(); st.SkippedBy["stale_answer"] != 1 || len(r.v.log()) != 1 || !w.busy {
		t.Errorf("counts %+v, the session was told %v, busy %v", st, r.v.log(), w.busy)
	}
}

// Where the snapshot comes by subscription it is asked for when it does not come.
func TestSubscribedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked notes[string]
		client := serve(t, accept(func(_ int, ws *websocket.Conn) {
			for {
				_, f, err := ws.Read(t.Context())
				if err != nil {
					return
				}
				if asked.add(string(f)) == 5 {
					write(ws, "book 1 0")
				}
			}
		}))
		v := &fake{
			conns: plan(Connection{Books: []string{"S"}, Quiet: time.Hour, Subscribe: [][]byte{[]byte("sub")}}),
			re:    Resync{Send: [][]byte{[]byte("unsub"), []byte("sub")}},
		}
		r := newRig(t, Options{}, client, v)
		r.start(t)
		after(9 * time.Second)
		if got := asked.list(); len(got) != 1 {
			t.Errorf("asked for %v before the patience is over", got)
		}
		after(26 * time.Second)
		r.stop(t)
		if got, want := asked.list(), []string{"sub", "unsub", "sub", "unsub", "sub", "unsub", "sub"}; !slices.Equal(got, want) {
			t.Errorf("asked for %v, want %v", got, want)
		}
	})
}

// The emitter must find out where the raw queue's segments begin.
func TestGuardedQueueTellsSegments(t *testing.T) {
	w, err := queue.OpenWriter(filepath.Join(t.TempDir(), "raw.q"), queue.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	q := newGuard(time.Second, backoff{}).queue(w)
	if _, err := q.Reserve(1); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Commit(queue.Record{}, 1); err != nil {
		t.Fatal(err)
	}
	if s, ok := q.(interface{ SegmentSeq() uint64 }); !ok || s.SegmentSeq() != w.SegmentSeq() {
		t.Error("the guarded queue does not tell its segment")
	}
}
