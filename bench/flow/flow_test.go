package flow

import (
	"testing"

	"chronicle/book"
	"chronicle/market"
)

// TestFlowIsMarketFlow: whoever applies the flow from the raw queue, as the ETL
// does, has right books that never cross, and of the size that was asked for.
func TestFlowIsMarketFlow(t *testing.T) {
	for _, c := range []struct {
		name string
		flow Flow
		bt   market.BookType
		want int // orders or levels in all
	}{
		{"l3", NewL3(30, 6_000, 1), market.L3, 6_000},
		{"l2", NewL2(3, 400, 1), market.L2, 3 * 2 * 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ev market.BookEvent
			var resolver book.Resolver
			seq, trades := map[uint32]uint64{}, 0
			books := make([]*book.Book, c.flow.Instruments()+1)
			for i := range books {
				books[i] = book.New(c.bt)
			}
			for i := range c.flow.Opening() + 60_000 {
				id, kind := c.flow.Next(&ev)
				if c.bt == market.L2 && kind == market.KindBook && ev.PrevSeq != seq[id] {
					t.Fatalf("event %d follows %d, the last one was %d", i, ev.PrevSeq, seq[id])
				}
				seq[id] = ev.Seq
				b := books[id]
				if c.bt == market.L3 {
					trades += len(resolver.Resolve(b, &ev))
				}
				if r := b.Apply(&ev, kind); !r.OK() {
					t.Fatalf("event %d: %+v of %+v", i, r, ev)
				}
				if b.Crossed() || b.Locked() {
					t.Fatalf("event %d crosses the book of %d", i, id)
				}
			}
			have := 0
			for _, b := range books {
				have += b.OrderCount()
				if c.bt == market.L2 {
					have += b.Depth(market.Bid) + b.Depth(market.Ask)
				}
			}
			if have < c.want*8/10 || have > c.want*13/10 {
				t.Errorf("%d are left, want about %d", have, c.want)
			}
			if c.bt == market.L3 && trades < 1000 {
				t.Errorf("%d trades in 60,000 messages", trades)
			}
		})
	}
}

func TestSameOptionsMakeSameFlow(t *testing.T) {
	for _, make := range []func() Flow{func() Flow { return NewL3(10, 500, 7) }, func() Flow { return NewL2(2, 50, 7) }} {
		a, b := make(), make()
		var x, y market.BookEvent
		for i := range 5_000 {
			idA, kind := a.Next(&x)
			idB, _ := b.Next(&y)
			if idA != idB || string(body(&x, kind)) != string(body(&y, kind)) {
				t.Fatalf("event %d: %+v and %+v", i, x, y)
			}
		}
	}
}

func body(ev *market.BookEvent, kind market.Kind) []byte {
	b := make([]byte, ev.Size(kind))
	ev.Put(b, kind)
	return b
}
