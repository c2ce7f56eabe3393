package book

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"chronicle/market"
)

// Few ids and prices, so that entries meet; and now and then the extremes.
var (
	genID    = rapid.OneOf(rapid.Uint64Range(0, 40), rapid.Uint64Range(0, 40), rapid.Just(uint64(math.MaxUint64)))
	genPrice = rapid.OneOf(rapid.Int64Range(-30, 30), rapid.Int64Range(-3, 3),
		rapid.SampledFrom([]int64{market.UndefPrice, math.MinInt64 + 1, math.MaxInt64}))
	genSize = rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(1, 5),
		rapid.SampledFrom([]int64{market.UndefSize, -1, math.MaxInt64, math.MaxInt64 / 2}))
	genAction = rapid.SampledFrom([]market.Action{market.Add, market.Add, market.Add, market.Add, market.Modify, market.Modify,
		market.Cancel, market.Cancel, market.Exec, market.Fill})
	genSide = rapid.SampledFrom([]market.Side{market.Bid, market.Bid, market.Bid, market.Ask, market.Ask, market.Ask, market.NoSide})
)

func drawEntry(t *rapid.T) market.Entry {
	e := market.Entry{
		OrderID: genID.Draw(t, "id"),
		Price:   genPrice.Draw(t, "price"),
		Size:    genSize.Draw(t, "size"),
		Count:   rapid.Uint32Range(0, 3).Draw(t, "count"),
		Side:    genSide.Draw(t, "side"),
		Action:  genAction.Draw(t, "action"),
	}
	if rapid.IntRange(0, 99).Draw(t, "clear") == 0 {
		e.Action = market.Clear
	}
	return e
}

func drawEvent(t *rapid.T) (*market.BookEvent, market.Kind) {
	ev := &market.BookEvent{Entries: rapid.SliceOfN(rapid.Custom(drawEntry), 0, 20).Draw(t, "entries")}
	if rapid.IntRange(0, 19).Draw(t, "kind") > 0 {
		return ev, market.KindBook
	}
	for i := range ev.Entries {
		if i%8 != 7 {
			ev.Entries[i].Action = market.Add
		}
	}
	return ev, market.KindSnapshot
}

func TestAgainstModel(t *testing.T) {
	for _, bt := range []market.BookType{market.L2, market.L3} {
		t.Run(string(bt), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b, m := New(bt), newModel(bt)
				for range rapid.IntRange(1, 12).Draw(t, "events") {
					ev, kind := drawEvent(t)
					if got, want := b.Apply(ev, kind), m.Apply(ev, kind); got != want {
						t.Fatalf("%v: result %+v, want %+v", kind, got, want)
					}
					if err := b.check(); err != nil {
						t.Fatal(err)
					}
					compare(t, b, m)
				}
				roundTrip(t, b)
			})
		})
	}
}

// compare asks the book everything that the model can answer.
func compare(t *rapid.T, b *Book, m *model) {
	for _, side := range []market.Side{market.Bid, market.Ask} {
		want := m.Levels(side)
		if got := b.Levels(side, 0, []Level{}); !slices.Equal(got, want) {
			t.Fatalf("%c: levels %v, want %v", side, got, want)
		}
		if n := min(2, len(want)); !slices.Equal(b.Levels(side, 2, nil), want[:n]) || b.Depth(side) != len(want) {
			t.Fatalf("%c: best two %v, depth %d; want %v", side, b.Levels(side, 2, nil), b.Depth(side), want)
		}
		best, ok := b.Best(side)
		if ok != (len(want) > 0) || ok && best != want[0] {
			t.Fatalf("%c: best %v %v, want %v", side, best, ok, want)
		}
		for _, l := range want {
			if got, ok := b.Level(side, l.Price); !ok || got != l {
				t.Fatalf("%c: level %v %v, want %v", side, got, ok, l)
			}
		}
		if got, want := b.AppendOrders(side, 0, []Order{}), m.queue(side); !slices.Equal(got, want) {
			t.Fatalf("%c: orders %v, want %v", side, got, want)
		}
	}
	for id, want := range m.orders {
		if got, ok := b.Order(id); !ok || got != want.Order {
			t.Fatalf("order %d: %v %v, want %v", id, got, ok, want.Order)
		}
	}
	if b.OrderCount() != len(m.orders) {
		t.Fatalf("%d orders, want %d", b.OrderCount(), len(m.orders))
	}
}

// roundTrip loads the book's snapshot into another one, which is not empty.
func roundTrip(t rapid.TB, b *Book) {
	entries := b.AppendSnapshot(nil)
	c := New(b.Type())
	c.Apply(&market.BookEvent{Entries: []market.Entry{{OrderID: 1, Price: 7, Size: 7, Side: market.Bid, Action: market.Add}}}, market.KindBook)
	if r := c.Apply(&market.BookEvent{Entries: entries}, market.KindSnapshot); !r.OK() {
		t.Fatalf("the book's own snapshot was loaded with %+v", r)
	}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.AppendSnapshot(nil), entries) || c.Digest() != b.Digest() {
		t.Fatalf("after a round trip %v, digest %x; want %v, %x", c.AppendSnapshot(nil), c.Digest(), entries, b.Digest())
	}
}

// Two books of few possible states: equal digests exactly when equal states.
func TestDigestMeansState(t *testing.T) {
	for _, bt := range []market.BookType{market.L2, market.L3} {
		t.Run(string(bt), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				draw := rapid.Custom(func(t *rapid.T) market.Entry {
					return market.Entry{
						OrderID: rapid.Uint64Range(1, 3).Draw(t, "id"), Price: rapid.Int64Range(1, 2).Draw(t, "price"),
						Size: rapid.Int64Range(1, 2).Draw(t, "size"), Action: market.Add,
						Side: rapid.SampledFrom([]market.Side{market.Bid, market.Ask}).Draw(t, "side"),
					}
				})
				var books [2]*Book
				for i := range books {
					books[i] = New(bt)
					books[i].Apply(&market.BookEvent{Entries: rapid.SliceOfN(draw, 0, 3).Draw(t, "entries")}, market.KindBook)
				}
				same := slices.Equal(books[0].AppendSnapshot(nil), books[1].AppendSnapshot(nil))
				if (books[0].Digest() == books[1].Digest()) != same {
					t.Fatalf("digests %x and %x of books that are equal: %v", books[0].Digest(), books[1].Digest(), same)
				}
			})
		})
	}
}

func TestTruncate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, c := New(market.L2), New(market.L2)
		ev, kind := drawEvent(t)
		b.Apply(ev, kind)
		c.Apply(ev, kind)
		side := rapid.SampledFrom([]market.Side{market.Bid, market.Ask}).Draw(t, "side")
		n := rapid.IntRange(-1, 12).Draw(t, "n")
		want := b.Levels(side, n, nil)
		cancels := b.Truncate(side, n, nil)
		if err := b.check(); err != nil {
			t.Fatal(err)
		}
		if got := b.Levels(side, 0, nil); !slices.Equal(got, want) {
			t.Fatalf("cut to %d: %v, want %v", n, got, want)
		}
		if r := c.Apply(&market.BookEvent{Entries: cancels}, market.KindBook); !r.OK() || c.Digest() != b.Digest() {
			t.Fatalf("the cancels %v do not do what Truncate did: %+v", cancels, r)
		}
	})
}
