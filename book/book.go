package book

import "chronicle/market"

// Level is one price of one side.
type Level struct {
	Price int64  // fixed point, the instrument's price exponent
	Size  int64  // fixed point, the instrument's size exponent; > 0
	Count uint32 // orders at the level; L2: as the venue said, 0 when it does not
}

// Order is one resting order of an L3 book.
type Order struct {
	ID    uint64
	Price int64 // fixed point, the instrument's price exponent
	Size  int64 // what still rests; fixed point, the instrument's size exponent; > 0
	Side  market.Side
}

// Result counts the entries of one event that could not be applied. The zero
// Result means that all of them were.
type Result struct {
	Unknown   int // entries that name an order or a level which the book does not hold
	Duplicate int // L3 Adds of an id that already rests
	Invalid   int // entries with impossible values, and those that would overflow a level's size
}

// OK tells whether every entry was applied.
func (r Result) OK() bool { return r == Result{} }

// outcome says what became of one entry.
type outcome uint8

const (
	applied outcome = iota
	unknown
	duplicate
	invalid
	outcomes // how many there are
)

// Book is the book of one instrument. Use New to make one. A Book has one owner
// at a time.
type Book struct {
	l3 bool

	// L3 only.
	ids    index
	orders pool

	bids, asks ladder
}

// New gives an empty book. Any type but market.L3 makes a book by price level.
func New(t market.BookType) *Book {
	b := &Book{l3: t == market.L3}
	b.asks.flip = -1
	return b
}

// Type tells how the book is kept.
func (b *Book) Type() market.BookType {
	if b.l3 {
		return market.L3
	}
	return market.L2
}

// Apply takes one event: the changes of a KindBook in their order, or a
// KindSnapshot, whose entries (all of them Adds) replace the whole book. Entries
// that cannot be applied are counted and left out, the others take effect. An
// event of any other kind changes nothing and is invalid. Apply keeps no
// reference to ev, and allocates only where the book outgrows what it has been.
func (b *Book) Apply(ev *market.BookEvent, kind market.Kind) Result {
	var n [outcomes]int
	switch kind {
	case market.KindBook:
		for i := range ev.Entries {
			n[b.apply(&ev.Entries[i])]++
		}
	case market.KindSnapshot:
		b.Clear()
		for i := range ev.Entries {
			n[b.load(&ev.Entries[i])]++
		}
	default:
		n[invalid] = max(1, len(ev.Entries))
	}
	return Result{Unknown: n[unknown], Duplicate: n[duplicate], Invalid: n[invalid]}
}

func (b *Book) apply(e *market.Entry) outcome {
	if b.l3 {
		return b.applyOrder(e)
	}
	return b.applyLevel(e)
}

func (b *Book) load(e *market.Entry) outcome {
	if e.Action != market.Add {
		return invalid
	}
	return b.apply(e)
}

// Clear empties the book and keeps its memory for what comes.
func (b *Book) Clear() {
	b.bids.clear()
	b.asks.clear()
	b.orders.clear()
	b.ids.clear()
}

// clearSide applies a Clear entry.
func (b *Book) clearSide(side market.Side) outcome {
	switch side {
	case market.NoSide:
		b.Clear()
		return applied
	case market.Bid, market.Ask:
		l := b.side(side)
		if b.l3 {
			b.dropOrders(l)
		}
		l.clear()
		return applied
	}
	return invalid
}

// side gives the levels of a side; nil where there is none.
func (b *Book) side(s market.Side) *ladder {
	switch s {
	case market.Bid:
		return &b.bids
	case market.Ask:
		return &b.asks
	}
	return nil
}

// Best gives the best level of a side in O(1); false when the side is empty.
func (b *Book) Best(side market.Side) (Level, bool) {
	l := b.side(side)
	if l == nil || len(l.levels) == 0 {
		return Level{}, false
	}
	return l.at(len(l.levels) - 1), true
}

// Level gives the level at a price; false when there is none.
func (b *Book) Level(side market.Side, price int64) (Level, bool) {
	l := b.side(side)
	if l == nil {
		return Level{}, false
	}
	i, ok := l.find(price ^ l.flip)
	if !ok {
		return Level{}, false
	}
	return l.at(i), true
}

// Levels appends the n best levels of a side to dst, best first, and gives the
// extended slice; all of them when n <= 0.
func (b *Book) Levels(side market.Side, n int, dst []Level) []Level {
	l := b.side(side)
	if l == nil {
		return dst
	}
	for i := len(l.levels) - 1; i >= l.from(n); i-- {
		dst = append(dst, l.at(i))
	}
	return dst
}

// Depth gives the number of levels of a side.
func (b *Book) Depth(side market.Side) int {
	l := b.side(side)
	if l == nil {
		return 0
	}
	return len(l.levels)
}

// Crossed tells whether the best bid is above the best ask.
func (b *Book) Crossed() bool {
	bid, haveBid := b.Best(market.Bid)
	ask, haveAsk := b.Best(market.Ask)
	return haveBid && haveAsk && bid.Price > ask.Price
}

// Locked tells whether the best bid equals the best ask.
func (b *Book) Locked() bool {
	bid, haveBid := b.Best(market.Bid)
	ask, haveAsk := b.Best(market.Ask)
	return haveBid && haveAsk && bid.Price == ask.Price
}
