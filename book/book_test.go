package book

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"chronicle/market"
)

func apply(t *testing.T, b *Book, entries ...market.Entry) Result {
	t.Helper()
	r := b.Apply(&market.BookEvent{Entries: entries}, market.KindBook)
	if err := b.check(); err != nil {
		t.Fatal(err)
	}
	return r
}

func entry(action market.Action, side market.Side, id uint64, price, size int64) market.Entry {
	return market.Entry{OrderID: id, Price: price, Size: size, Side: side, Action: action}
}

// queue gives the ids of a side's best level in priority order.
func queue(b *Book, side market.Side) []uint64 {
	var ids []uint64
	for _, o := range b.AppendOrders(side, 1, nil) {
		ids = append(ids, o.ID)
	}
	return ids
}

func TestPriority(t *testing.T) {
	b := New(market.L3)
	for id := range uint64(4) {
		apply(t, b, entry(market.Add, market.Bid, id, 100, 10))
	}
	steps := []struct {
		name string
		e    market.Entry
		want []uint64
	}{
		{"smaller keeps its place", entry(market.Modify, market.Bid, 1, 100, 5), []uint64{0, 1, 2, 3}},
		{"equal keeps its place", entry(market.Modify, market.Bid, 1, 100, 5), []uint64{0, 1, 2, 3}},
		{"larger goes to the end", entry(market.Modify, market.Bid, 1, 100, 6), []uint64{0, 2, 3, 1}},
		{"larger at the end stays", entry(market.Modify, market.Bid, 1, 100, 7), []uint64{0, 2, 3, 1}},
		{"a part taken off keeps its place", entry(market.Cancel, market.Bid, 0, 100, 3), []uint64{0, 2, 3, 1}},
		{"an execution alone changes nothing", entry(market.Exec, market.Ask, 0, 100, 3), []uint64{0, 2, 3, 1}},
		{"nor does a fill", entry(market.Fill, market.Bid, 0, 100, 3), []uint64{0, 2, 3, 1}},
		{"another price leaves", entry(market.Modify, market.Bid, 0, 99, 7), []uint64{2, 3, 1}},
		{"and comes back at the end", entry(market.Modify, market.Bid, 0, 100, 1), []uint64{2, 3, 1, 0}},
		{"unknown price and size keep all", entry(market.Modify, market.NoSide, 2, market.UndefPrice, market.UndefSize), []uint64{2, 3, 1, 0}},
		{"more than rests removes", entry(market.Cancel, market.Bid, 2, 100, 11), []uint64{3, 1, 0}},
		{"unknown size removes", entry(market.Cancel, market.Bid, 3, market.UndefPrice, market.UndefSize), []uint64{1, 0}},
		{"size 0 removes", entry(market.Modify, market.Bid, 0, 100, 0), []uint64{1}},
	}
	for _, s := range steps {
		if r := apply(t, b, s.e); !r.OK() {
			t.Errorf("%s: %+v", s.name, r)
		}
		if got := queue(b, market.Bid); !slices.Equal(got, s.want) {
			t.Errorf("%s: queue %v, want %v", s.name, got, s.want)
		}
	}
	if best, _ := b.Best(market.Bid); best != (Level{Price: 100, Size: 7, Count: 1}) {
		t.Errorf("at the end the best is %+v", best)
	}
}

// Entries that cannot be applied are counted one by one and change nothing.
func TestBadEntries(t *testing.T) {
	const huge = math.MaxInt64
	cases := []struct {
		name string
		l3   bool
		e    market.Entry
		want Result
	}{
		{"duplicate", true, entry(market.Add, market.Ask, 1, 101, 5), Result{Duplicate: 1}},
		{"unknown cancel", true, entry(market.Cancel, market.Bid, 9, 100, 5), Result{Unknown: 1}},
		{"unknown modify", true, entry(market.Modify, market.Bid, 9, 100, 5), Result{Unknown: 1}},
		{"overflow by add", true, entry(market.Add, market.Bid, 9, 100, huge), Result{Invalid: 1}},
		{"overflow by modify", true, entry(market.Modify, market.Bid, 1, 100, huge), Result{Invalid: 1}},
		{"overflow by move", true, entry(market.Modify, market.Bid, 3, 100, huge), Result{Invalid: 1}},
		{"add of nothing", true, entry(market.Add, market.Bid, 9, 100, 0), Result{Invalid: 1}},
		{"add without price", true, entry(market.Add, market.Bid, 9, market.UndefPrice, 1), Result{Invalid: 1}},
		{"add without side", true, entry(market.Add, market.NoSide, 9, 100, 1), Result{Invalid: 1}},
		{"modify to the other side", true, entry(market.Modify, market.Ask, 1, 100, 1), Result{Invalid: 1}},
		{"negative modify", true, entry(market.Modify, market.Bid, 1, 100, -1), Result{Invalid: 1}},
		{"negative cancel", true, entry(market.Cancel, market.Bid, 1, 100, -1), Result{Invalid: 1}},
		{"no such action", true, entry('?', market.Bid, 1, 100, 1), Result{Invalid: 1}},
		{"clear of no such side", true, entry(market.Clear, 'x', 0, 0, 0), Result{Invalid: 1}},
		{"unknown level", false, entry(market.Cancel, market.Bid, 0, 55, 1), Result{Unknown: 1}},
		{"unknown level set to 0", false, entry(market.Modify, market.Ask, 0, 55, 0), Result{Unknown: 1}},
		{"negative size", false, entry(market.Add, market.Ask, 0, 55, -1), Result{Invalid: 1}},
		{"level without price", false, entry(market.Add, market.Ask, 0, market.UndefPrice, 1), Result{Invalid: 1}},
		{"level without side", false, entry(market.Add, market.NoSide, 0, 55, 1), Result{Invalid: 1}},
		{"no such level action", false, entry('?', market.Bid, 0, 100, 1), Result{Invalid: 1}},
	}
	for _, c := range cases {
		b := New(market.L2)
		if c.l3 {
			b = New(market.L3)
		}
		apply(t, b, entry(market.Add, market.Bid, 1, 100, 5), entry(market.Add, market.Bid, 2, 100, 5), entry(market.Add, market.Bid, 3, 99, 5))
		before := b.Digest()
		if got := apply(t, b, c.e); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if b.Digest() != before {
			t.Errorf("%s: the book changed", c.name)
		}
	}
}

func TestOtherKindsAreInvalid(t *testing.T) {
	b := New(market.L2)
	ev := &market.BookEvent{Entries: []market.Entry{entry(market.Add, market.Bid, 0, 1, 1)}}
	if r := b.Apply(ev, market.KindTrade); r != (Result{Invalid: 1}) || b.Depth(market.Bid) != 0 {
		t.Errorf("a trade: %+v, %d levels", r, b.Depth(market.Bid))
	}
}

func TestSnapshotTakesAddsOnly(t *testing.T) {
	b := New(market.L3)
	apply(t, b, entry(market.Add, market.Bid, 1, 100, 5))
	ev := &market.BookEvent{Entries: []market.Entry{entry(market.Add, market.Ask, 2, 101, 5), entry(market.Cancel, market.Ask, 2, 101, 5)}}
	if r := b.Apply(ev, market.KindSnapshot); r != (Result{Invalid: 1}) {
		t.Errorf("result %+v", r)
	}
	if b.OrderCount() != 1 || b.Depth(market.Bid) != 0 || b.Depth(market.Ask) != 1 {
		t.Errorf("%d orders, %d bids, %d asks", b.OrderCount(), b.Depth(market.Bid), b.Depth(market.Ask))
	}
}

func TestCrossedAndLocked(t *testing.T) {
	for _, c := range []struct {
		bid, ask        int64
		crossed, locked bool
	}{{99, 100, false, false}, {100, 100, false, true}, {101, 100, true, false}} {
		b := New(market.L2)
		if b.Crossed() || b.Locked() {
			t.Error("an empty book is neither crossed nor locked")
		}
		apply(t, b, entry(market.Add, market.Bid, 0, c.bid, 1))
		if b.Crossed() || b.Locked() {
			t.Error("one side alone is neither crossed nor locked")
		}
		apply(t, b, entry(market.Add, market.Ask, 0, c.ask, 1))
		if b.Crossed() != c.crossed || b.Locked() != c.locked {
			t.Errorf("%d/%d: crossed %v, locked %v", c.bid, c.ask, b.Crossed(), b.Locked())
		}
	}
}

func TestNoSuchSide(t *testing.T) {
	b := New(market.L3)
	apply(t, b, entry(market.Add, market.Bid, 1, 100, 5))
	_, best := b.Best(market.NoSide)
	_, at := b.Level(market.NoSide, 100)
	if best || at || b.Depth(market.NoSide) != 0 || b.Levels(market.NoSide, 0, nil) != nil ||
		b.AppendOrders(market.NoSide, 0, nil) != nil || b.Truncate(market.NoSide, 1, nil) != nil {
		t.Error("side N has levels")
	}
	if b.Truncate(market.Bid, 1, nil) != nil || b.OrderCount() != 1 {
		t.Error("an L3 book was truncated")
	}
}

// The digest is part of the archive's format: these values never change.
func TestDigestIsFixed(t *testing.T) {
	for _, c := range []struct {
		bt          market.BookType
		empty, full uint64
	}{
		{market.L2, 0xd5fba65e42dcd141, 0x43e07ef81beb97d8},
		{market.L3, 0x15a5284f53b0974d, 0x83b3abc49f84db21},
	} {
		b := New(c.bt)
		if b.Type() != c.bt || b.Digest() != c.empty {
			t.Errorf("%s, empty: type %s, digest %#x, want %#x", c.bt, b.Type(), b.Digest(), c.empty)
		}
		apply(t, b, entry(market.Add, market.Bid, 1, 100, 5), entry(market.Add, market.Bid, 2, 99, 7),
			entry(market.Add, market.Ask, 3, 101, 1), entry(market.Add, market.Ask, 4, 101, 2))
		if b.Digest() != c.full {
			t.Errorf("%s: digest %#x, want %#x", c.bt, b.Digest(), c.full)
		}
	}
}

// Ids that venues number in a row, in large steps or at random all stay findable
// while the table grows and shrinks.
func TestManyOrders(t *testing.T) {
	for _, step := range []uint64{1, 2, 1 << 20, 1 << 40, 0x9E3779B97F4A7C15} {
		b := New(market.L3)
		const n = 5000
		for i := range uint64(n) {
			b.Apply(&market.BookEvent{Entries: []market.Entry{entry(market.Add, market.Ask, i*step, int64(i%700), 1)}}, market.KindBook)
		}
		if err := b.check(); err != nil {
			t.Fatal(err)
		}
		for i := range uint64(n) {
			if i%3 > 0 {
				b.Apply(&market.BookEvent{Entries: []market.Entry{entry(market.Cancel, market.Ask, i*step, 0, 1)}}, market.KindBook)
			}
		}
		if err := b.check(); err != nil {
			t.Fatal(err)
		}
		if got := b.OrderCount(); got != (n+2)/3 {
			t.Errorf("step %#x: %d orders rest, want %d", step, got, (n+2)/3)
		}
	}
}

// Two ids whose stored hashes are equal are still two orders.
func TestHashCollision(t *testing.T) {
	seen, rng := map[uint64]uint64{}, rand.New(rand.NewPCG(1, 2))
	for range 1_000_000 {
		id := rng.Uint64()
		other, ok := seen[hashID(id)]
		if !ok {
			seen[hashID(id)] = id
			continue
		}
		b := New(market.L3)
		apply(t, b, entry(market.Add, market.Bid, other, 100, 5))
		if r := apply(t, b, entry(market.Cancel, market.Bid, id, 100, 5)); r.Unknown != 1 {
			t.Errorf("order %d was taken for %d: %+v", other, id, r)
		}
		apply(t, b, entry(market.Add, market.Bid, id, 100, 6))
		apply(t, b, entry(market.Cancel, market.Bid, other, 100, 5))
		if o, ok := b.Order(id); !ok || o.Size != 6 || b.OrderCount() != 1 {
			t.Errorf("order %d: %+v %v", id, o, ok)
		}
		return
	}
	t.Error("no two of a million ids collide: the hash is wider than it is said to be")
}

func TestSnapshotOrderIsCanonical(t *testing.T) {
	for _, bt := range []market.BookType{market.L2, market.L3} {
		b := New(bt)
		id := func(n uint64) uint64 {
			if bt == market.L2 {
				return 0
			}
			return n
		}
		apply(t, b,
			entry(market.Add, market.Ask, id(1), 102, 1), entry(market.Add, market.Bid, id(2), 99, 2),
			entry(market.Add, market.Bid, id(3), 100, 3), entry(market.Add, market.Ask, id(4), 101, 4))
		want := []market.Entry{
			entry(market.Add, market.Bid, id(3), 100, 3), entry(market.Add, market.Bid, id(2), 99, 2),
			entry(market.Add, market.Ask, id(4), 101, 4), entry(market.Add, market.Ask, id(1), 102, 1),
		}
		if got := b.AppendSnapshot(nil); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", bt, got, want)
		}
	}
}
