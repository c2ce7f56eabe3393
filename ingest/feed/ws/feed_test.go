package ws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

const address = "ws://exchange/ws"

func plan(c Connection) []Connection {
	c.Name, c.URL = "ws.1", address
	return []Connection{c}
}

// The session is told what a recording would tell it.
func TestSessionIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ws := accept(func(_ int, ws *websocket.Conn) {
			for range 2 {
				_, frame, err := ws.Read(t.Context())
				if err != nil {
					return
				}
				write(ws, "re "+string(frame))
			}
			hang(ws)
		})
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/list" {
				fmt.Fprint(w, "the list")
				return
			}
			ws(w, r)
		})
		v := &fake{lists: []string{"http://exchange/list"}, conns: plan(Connection{Subscribe: [][]byte{[]byte("a"), []byte("b")}})}
		r := newRig(t, Options{}, client, v)
		r.start(t)
		after(time.Second)
		r.stop(t)
		got := strings.Join(v.log(), "\n")
		want := []string{
			"response http http://exchange/list the list", "expect ws.1 a", "expect ws.1 b", "connect ws.1 " + address,
			"request ws.1 a", "request ws.1 b", "receive ws.1 re a", "receive ws.1 re b",
		}
		at := -1
		for _, line := range []string{want[0], want[1], want[2], want[3], want[4], want[6], want[7]} {
			i := strings.Index(got, line)
			if i <= at {
				t.Fatalf("%q is missing or too early in\n%s", line, got)
			}
			at = i
		}
		if strings.Index(got, want[5]) > strings.Index(got, want[7]) || len(v.log()) != len(want) {
			t.Errorf("the session was told\n%s", got)
		}
		if st := r.c.Stats(); st.Packets != 3 {
			t.Errorf("counts are %+v", st)
		}
	})
}

// The feed goes on without a list that cannot be had.
func TestListIsMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ws := accept(func(_ int, ws *websocket.Conn) { hang(ws) })
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/wrong":
				w.WriteHeader(http.StatusForbidden)
			case "/broken":
				w.WriteHeader(http.StatusInternalServerError)
			case "/list":
				fmt.Fprint(w, "the list")
			default:
				ws(w, r)
			}
		})
		v := &fake{lists: []string{"http://exchange/wrong", "http://exchange/broken", "http://exchange/list"}, conns: plan(Connection{})}
		r := newRig(t, Options{}, client, v)
		r.start(t)
		after(20 * time.Second)
		r.stop(t)
		if got, want := v.log(), []string{"response http http://exchange/list the list", "connect ws.1 " + address}; !slices.Equal(got, want) {
			t.Errorf("the session was told %q, want %q", got, want)
		}
	})
}

// A connection that is cut is made again, after times that grow, and the session
// record tells of it.
func TestReconnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var dialled notes[time.Time]
		client := serve(t, accept(func(n int, ws *websocket.Conn) {
			dialled.add(time.Now())
			time.Sleep(100 * time.Millisecond)
			write(ws, fmt.Sprint("hello ", n))
			if n == 9 {
				hang(ws)
			}
			time.Sleep(200 * time.Millisecond)
		}))
		v := &fake{conns: plan(Connection{})}
		r := newRig(t, Options{MinBackoff: time.Second, MaxBackoff: 20 * time.Second, Quiet: time.Hour}, client, v)
		r.start(t)
		after(5 * time.Minute)
		r.stop(t)
		var waits []time.Duration
		at := dialled.list()
		for i := range at[1:] {
			waits = append(waits, (at[i+1].Sub(at[i]) - 300*time.Millisecond).Round(time.Millisecond))
		}
		ms := time.Millisecond
		want := []time.Duration{750 * ms, 1500 * ms, 3000 * ms, 6000 * ms, 12000 * ms, 15000 * ms, 15000 * ms, 15000 * ms}
		if !slices.Equal(waits, want) {
			t.Errorf("waits are %v, want %v", waits, want)
		}
		gaps, err := emittest.JSON[market.Gap](r.q)
		if err != nil || len(gaps) != 8 {
			t.Fatalf("%d gaps, %v", len(gaps), err)
		}
		for i, g := range gaps {
			if g.Cause != market.GapDisconnect || g.Channel != "ws.1" || g.End-g.Start != int64(want[i]+200*time.Millisecond) { // since the hello
				t.Errorf("gap %d is %+v", i, g)
			}
		}
	})
}

// A venue that cannot be reached is tried again, and is left alone as long as it asks.
func TestDialAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ok := accept(func(_ int, ws *websocket.Conn) { hang(ws) })
		var dialled notes[time.Duration]
		begin := time.Now()
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch dialled.add(time.Since(begin).Round(time.Millisecond)) {
			case 1, 2:
				w.WriteHeader(http.StatusBadGateway)
			case 3:
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(http.StatusTooManyRequests)
			default:
				ok(w, r)
			}
		})
		v := &fake{conns: plan(Connection{})}
		r := newRig(t, Options{MinBackoff: time.Second}, client, v)
		r.start(t)
		after(10 * time.Minute)
		r.stop(t)
		ms, at := time.Millisecond, dialled.list()
		if want := []time.Duration{0, 750 * ms, 2250 * ms, 65250 * ms}; len(at) < 4 || !slices.Equal(at[:4], want) {
			t.Errorf("dialled at %v, want %v", at, want)
		}
	})
}

// Silence ends a connection; frames, and answers to the venue's own ping, keep it.
func TestQuiet(t *testing.T) {
	for name, c := range map[string]struct {
		conn        Connection
		talk        func(ws *websocket.Conn)
		connections int
	}{
		"silent":        {Connection{Quiet: 10 * time.Second}, hang, 5},
		"protocol ping": {Connection{Quiet: 10 * time.Second, PingEvery: 3 * time.Second}, hang, 5}, // only frames count
		"venue ping": {Connection{Quiet: 10 * time.Second, PingEvery: 3 * time.Second, Ping: []byte("ping")}, func(ws *websocket.Conn) {
			for {
				if _, _, err := ws.Read(context.Background()); err != nil || !write(ws, "pong") {
					return
				}
			}
		}, 1},
		"frames": {Connection{Quiet: 10 * time.Second}, func(ws *websocket.Conn) {
			go hang(ws)
			for write(ws, "tick") {
				time.Sleep(9 * time.Second)
			}
		}, 1},
		"age": {Connection{Quiet: time.Hour, MaxAge: 12 * time.Second}, hang, 5},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var connections atomic.Int32
				client := serve(t, accept(func(_ int, ws *websocket.Conn) { connections.Add(1); c.talk(ws) }))
				r := newRig(t, Options{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond}, client, &fake{conns: plan(c.conn)})
				r.start(t)
				after(55 * time.Second)
				r.stop(t)
				if n := int(connections.Load()); n != c.connections {
					t.Errorf("%d connections in 55 s, want %d", n, c.connections)
				}
			})
		})
	}
}

// A server's ping is answered while frames come.
func TestPong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var pongs atomic.Int32
		client := serve(t, accept(func(_ int, ws *websocket.Conn) {
			go hang(ws)
			for range 3 {
				if ws.Ping(context.Background()) != nil {
					return
				}
				pongs.Add(1)
			}
			<-t.Context().Done()
		}))
		r := newRig(t, Options{}, client, &fake{conns: plan(Connection{})})
		r.start(t)
		after(time.Second)
		r.stop(t)
		if pongs.Load() != 3 {
			t.Errorf("%d pongs", pongs.Load())
		}
	})
}

// Frames up to the limit are taken; a larger one is counted and the connection
// made anew.
func TestFrameLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client := serve(t, accept(func(n int, ws *websocket.Conn) {
			write(ws, "first", strings.Repeat("x", 100_000))
			if n == 1 {
				write(ws, strings.Repeat("x", 100_001))
			}
			write(ws, "last")
			hang(ws)
		}))
		v := &fake{conns: plan(Connection{})}
		r := newRig(t, Options{MaxFrame: 100_000}, client, v)
		r.start(t)
		after(20 * time.Second)
		r.stop(t)
		st := r.c.Stats()
		if st.SkippedBy["frame_too_large"] != 1 || st.Packets != 6 || st.Gaps != 1 || len(v.log()) != 7 {
			t.Errorf("counts %+v, the session was told\n%s", st, strings.Join(v.log(), "\n"))
		}
	})
}

// When the owner is slow the venue has to wait: every frame comes, in order, and
// the connection does not count as silent meanwhile.
func TestBackPressure(t *testing.T) {
	for name, c := range map[string]struct {
		items int
		bytes int64
	}{"items": {4, inboxBytes}, "bytes": {1000, 100}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const frames = 30
				var written atomic.Int32
				client := serve(t, accept(func(_ int, ws *websocket.Conn) {
					go hang(ws)
					for write(ws, fmt.Sprintf("frame %20d", written.Load())) {
						written.Add(1)
						time.Sleep(time.Second)
					}
				}))
				v := &fake{conns: plan(Connection{Quiet: 30 * time.Second, Ping: []byte("ping")}), delay: func() { time.Sleep(40 * time.Second) }}
				r := newRig(t, Options{}, client, v)
				r.inbox = newInbox(c.items, c.bytes)
				r.start(t)
				after(39 * time.Second)
				if n := written.Load(); n > 12 {
					t.Errorf("%d frames were taken while the first was looked at", n)
				}
				after(frames * 40 * time.Second)
				r.stop(t)
				log := v.log()
				if len(log) < frames+1 || r.c.Stats().Gaps != 0 {
					t.Fatalf("%d calls, counts %+v", len(log), r.c.Stats())
				}
				log = slices.DeleteFunc(log, func(line string) bool { return !strings.HasPrefix(line, "receive") })
				for i, line := range log {
					if want := fmt.Sprintf("receive ws.1 frame %20d", i); line != want {
						t.Fatalf("call %d is %q, want %q", i, line, want)
					}
				}
			})
		})
	}
}

// What was received before the end is written.
func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client := serve(t, accept(func(_ int, ws *websocket.Conn) {
			for i := range 50 {
				write(ws, fmt.Sprint(i))
			}
			hang(ws)
		}))
		block := make(chan struct{})
		v := &fake{conns: plan(Connection{}), delay: func() { <-block }}
		r := newRig(t, Options{}, client, v)
		r.start(t)
		after(time.Second)
		r.cancel()
		synctest.Wait()
		close(block)
		r.stop(t)
		if n := len(v.log()); n != 51 {
			t.Errorf("%d calls, want the connection and 50 frames", n)
		}
	})
}

// A raw queue that fails ends the feed with its error.
func TestQueueFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client := serve(t, accept(func(_ int, ws *websocket.Conn) {
			for i := uint64(1); write(ws, fmt.Sprintf("book %d %d", i, i-1)); i++ {
				time.Sleep(time.Millisecond)
			}
		}))
		r := newRig(t, Options{}, client, &fake{conns: plan(Connection{})})
		r.q.FailAt = 20
		r.start(t)
		if err := <-r.ended; !errors.Is(err, emittest.ErrFull) {
			t.Errorf("the feed ended with %v", err)
		}
		after(time.Minute)
	})
}
