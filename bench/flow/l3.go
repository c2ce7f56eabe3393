package flow

import (
	"math"
	"math/rand/v2"

	"chronicle/book"
	"chronicle/market"
)

const (
	tick      = 100  // of a price with the exponent -4: 0.01
	deepest   = 1500 // ticks from the middle
	fewOrders = 12   // fewer are only added to
)

// L3 is flow by order. Half of the orders come within some twenty ticks of the
// middle, the oldest of the best price is the one that is executed, and what is
// withdrawn came mostly a short while ago.
type L3 struct {
	rng      *rand.Rand
	stocks   []stock
	byWeight []uint32
	opening  []uint32 // instruments of the orders that build the books, from the end
	events   int
	made     uint64
	hot      *stock
	line     []book.Order
}

// stock is one instrument; its book knows what rests and what is first in line.
type stock struct {
	id     uint32
	book   *book.Book
	mid    int64    // in ticks
	orders []uint64 // numbers of those that rest, older ones first, and of some that no longer do
	target int      // how many should rest
}

// NewL3 makes a flow over some instruments with so many resting orders in all.
func NewL3(instruments, orders int, seed uint64) *L3 {
	f := &L3{rng: rand.New(rand.NewPCG(seed, 3)), stocks: make([]stock, instruments), byWeight: newTable(instruments, activity)}
	var sum float64
	for i := range instruments {
		sum += depth(i)
	}
	for i := range f.stocks {
		target := max(2*fewOrders, int(float64(orders)*depth(i)/sum))
		f.stocks[i] = stock{id: uint32(i + 1), book: book.New(market.L3), mid: 2000 + f.rng.Int64N(30_000), target: target}
		for range target {
			f.opening = append(f.opening, uint32(i))
		}
	}
	f.rng.Shuffle(len(f.opening), func(i, j int) { f.opening[i], f.opening[j] = f.opening[j], f.opening[i] })
	f.events = len(f.opening) + instruments
	f.hot = &f.stocks[0]
	return f
}

// Instruments implements Flow.
func (f *L3) Instruments() int { return len(f.stocks) }

// Opening implements Flow: every order is added, and every stock traded once.
func (f *L3) Opening() int { return f.events }

// Definition implements Flow.
func (f *L3) Definition(id uint32) market.Definition {
	s := SymbolOf(id)
	return market.Definition{ID: id, Venue: Venue, Symbol: s, Native: s, BookType: market.L3, PriceExponent: -4, Channel: Channel, Currency: "USD"}
}

// Next implements Flow.
func (f *L3) Next(ev *market.BookEvent) (uint32, market.Kind) {
	f.made++
	*ev = market.BookEvent{Seq: f.made, Flags: market.FlagLast, Entries: ev.Entries[:0]}
	opened := f.events - len(f.stocks)
	var s *stock
	switch {
	case len(f.opening) > 0:
		last := len(f.opening) - 1
		s = &f.stocks[f.opening[last]]
		f.opening = f.opening[:last]
		f.add(s, f.side(), ev)
	case f.made <= uint64(f.events):
		s = &f.stocks[f.made-uint64(opened)-1]
		f.execute(s, f.side(), ev)
	default:
		if f.rng.IntN(2) == 0 {
			f.hot = &f.stocks[f.byWeight[f.rng.IntN(len(f.byWeight))]]
		}
		s = f.hot
		f.change(s, ev)
	}
	return s.id, market.KindBook
}

func (f *L3) side() market.Side {
	if f.rng.IntN(2) == 0 {
		return market.Bid
	}
	return market.Ask
}

// change makes one message of continuous trading.
func (f *L3) change(s *stock, ev *market.BookEvent) {
	if f.rng.IntN(40) == 0 {
		s.mid = min(max(s.mid+f.rng.Int64N(3)-1, 2*deepest), 100*deepest)
	}
	resting := s.book.OrderCount()
	adds := 480
	if resting > s.target {
		adds = 400
	}
	p := f.rng.IntN(1000)
	switch {
	case resting < fewOrders || p < adds:
		f.add(s, f.side(), ev)
	case f.passed(s, market.Bid):
		f.execute(s, market.Bid, ev)
	case f.passed(s, market.Ask):
		f.execute(s, market.Ask, ev)
	case p < 840:
		f.withdraw(s, f.pick(s), ev)
	case p < 930:
		f.replace(s, f.pick(s), ev)
	case p < 950:
		f.reduce(s, f.pick(s), ev)
	default:
		f.execute(s, f.side(), ev)
	}
}

// passed tells whether the middle has gone through the best price of a side.
func (f *L3) passed(s *stock, side market.Side) bool {
	best, ok := s.book.Best(side)
	return ok && (side == market.Bid && best.Price > s.mid*tick || side == market.Ask && best.Price < s.mid*tick)
}

// price picks one on a side that does not reach the other side.
func (f *L3) price(s *stock, side market.Side) int64 {
	away := 1 + int64(deepest*math.Pow(f.rng.Float64(), 6))
	if side == market.Bid {
		price := (s.mid - away) * tick
		if best, ok := s.book.Best(market.Ask); ok {
			price = min(price, best.Price-tick)
		}
		return price
	}
	price := (s.mid + away) * tick
	if best, ok := s.book.Best(market.Bid); ok {
		price = max(price, best.Price+tick)
	}
	return price
}

func (f *L3) add(s *stock, side market.Side, ev *market.BookEvent) {
	f.rest(s, market.Entry{OrderID: f.made, Price: f.price(s, side), Size: 100 * (1 + f.rng.Int64N(10)), Side: side, Action: market.Add}, ev)
}

// rest lets an order rest and adds its entry to the event.
func (f *L3) rest(s *stock, e market.Entry, ev *market.BookEvent) {
	s.orders = append(s.orders, e.OrderID)
	f.apply(s, e)
	ev.Entries = append(ev.Entries, e)
}

func (f *L3) apply(s *stock, e market.Entry) {
	one := [1]market.Entry{e}
	if r := s.book.Apply(&market.BookEvent{Entries: one[:]}, market.KindBook); !r.OK() {
		panic("flow: its own book refuses what it makes")
	}
}

// pick chooses an order that rests, mostly one of the latest.
func (f *L3) pick(s *stock) book.Order {
	for {
		n := len(s.orders)
		i := f.rng.IntN(n)
		if f.rng.IntN(3) != 0 {
			i = n - 1 - f.rng.IntN(min(n, 16))
		}
		o, ok := s.book.Order(s.orders[i])
		if ok {
			return o
		}
		s.orders[i] = s.orders[n-1]
		s.orders = s.orders[:n-1]
	}
}

// open is an entry of the raw queue that names an order and no more.
func open(id uint64, action market.Action, size int64) market.Entry {
	return market.Entry{OrderID: id, Price: market.UndefPrice, Size: size, Side: market.NoSide, Action: action}
}

func (f *L3) withdraw(s *stock, o book.Order, ev *market.BookEvent) {
	e := open(o.ID, market.Cancel, market.UndefSize)
	f.apply(s, e)
	ev.Entries = append(ev.Entries, e)
}

func (f *L3) reduce(s *stock, o book.Order, ev *market.BookEvent) {
	e := open(o.ID, market.Cancel, max(1, o.Size/2))
	f.apply(s, e)
	ev.Entries = append(ev.Entries, e)
}

// replace gives an order another number, price and size; the raw event does not
// tell the new order's side.
func (f *L3) replace(s *stock, o book.Order, ev *market.BookEvent) {
	f.withdraw(s, o, ev)
	f.rest(s, market.Entry{OrderID: f.made, Price: f.price(s, o.Side), Size: o.Size, Side: o.Side, Action: market.Add}, ev)
	ev.Entries[1].Side = market.NoSide
}

// execute takes a part or all of the first order of a side.
func (f *L3) execute(s *stock, side market.Side, ev *market.BookEvent) {
	f.line = s.book.AppendOrders(side, 1, f.line[:0])
	if len(f.line) == 0 {
		f.add(s, side, ev)
		return
	}
	o := f.line[0]
	size := o.Size
	if f.rng.IntN(2) == 0 {
		size = max(1, size/2)
	}
	f.apply(s, open(o.ID, market.Cancel, size))
	ev.Entries = append(ev.Entries, open(o.ID, market.Fill, size), open(f.made, market.Exec, size))
}
