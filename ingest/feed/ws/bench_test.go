package ws

import (
	"bytes"
	"context"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
	"chronicle/store/queue"
)

// nowhere is a queue that keeps nothing.
type nowhere struct{ body [1 << 16]byte }

func (n *nowhere) Reserve(size int) ([]byte, error)         { return n.body[:size], nil }
func (n *nowhere) Commit(queue.Record, int) (uint64, error) { return 0, nil }

// busy is a venue that makes a book event with a checksum of every frame.
type busy struct {
	fake
	event market.BookEvent
}

func (v *busy) Receive(recv int64, _, _ []byte) {
	v.event.Seq, v.event.PrevSeq = v.event.Seq+1, v.event.Seq
	v.e.Book(market.KindBook, 1, recv, recv, &v.event)
}

// way gives a function that takes one frame all the way from its connection to
// the queue, as reader and owner do, and past the guard.
func way(tb testing.TB, d market.Definition) func() {
	v := &busy{event: market.BookEvent{Flags: market.FlagLast, Attr: market.AttrChecksum}}
	f := New(&nowhere{}, &emit.Counters{}, emit.Options{Venue: "v"}, Options{}, time.Now)
	v.e, f.venue = f.e, v
	c := newConnection(f, Connection{Name: "ws.1", Books: []string{"S"}})
	c.life = &life{begun: time.Now()}
	f.guard.watch(c, v)
	d.Native, d.Symbol, d.BookType = "S", "s", market.L2
	f.e.Define(1, 1, d)
	f.e.Book(market.KindSnapshot, 1, 1, 1, &market.BookEvent{})
	for i := range int64(20) {
		v.event.Entries = append(v.event.Entries, market.Entry{Side: market.Bid, Action: market.Modify, Price: 100 - i, Size: 1 + i})
	}
	frame, r, ctx := bytes.Repeat([]byte("x"), 3000), bytes.NewReader(nil), context.Background()
	return func() {
		buf := f.inbox.buffer()
		r.Reset(frame)
		if err := buf.fill(r); err != nil {
			tb.Fatal(err)
		}
		f.inbox.push(ctx, item{what: received, recv: f.now().UnixNano(), conn: c, life: c.life, buf: buf})
		it := <-f.inbox.items
		f.handle(&it)
		f.guard.books[0].good = true // the checksum is nobody's
	}
}

func BenchmarkFrame(b *testing.B) {
	for name, d := range map[string]market.Definition{"plain": {}, "chained": {Chained: true}, "checksum": {Checksum: "kraken"}} {
		b.Run(name, func(b *testing.B) {
			run := way(b, d)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

func TestFrameDoesNotAllocate(t *testing.T) {
	for name, d := range map[string]market.Definition{"plain": {}, "chained": {Chained: true}, "checksum": {Checksum: "kraken"}} {
		run := way(t, d)
		run()
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%s: %v allocations for a frame, want 0", name, n)
		}
	}
}
