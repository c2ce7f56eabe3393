package sim

import "chronicle/market"

// Bounds of one side of a book, in orders.
const (
	fewOrders   = 12  // fewer are only added to
	leastOrders = 4   // what no execution takes
	mostDepth   = 250 // what the busiest book tends to
)

// state of a stock's market.
type state byte

const (
	waiting state = iota // for its opening auction
	trading
	halted
	closed
)

// The tables that a market's habits are drawn from.
var (
	sizes = mixture([2]uint32{100, 440}, [2]uint32{200, 110}, [2]uint32{300, 50}, [2]uint32{400, 30}, [2]uint32{500, 50},
		[2]uint32{1000, 40}, [2]uint32{2000, 10}, [2]uint32{5000, 6}, [2]uint32{10_000, 4},
		[2]uint32{1, 50}, [2]uint32{5, 30}, [2]uint32{10, 50}, [2]uint32{20, 30}, [2]uint32{25, 30}, [2]uint32{50, 50}, [2]uint32{75, 20})
	distances = powerLaw(1.3, 1500) // ticks behind the usual spread
	sweeps    = powerLaw(1.1, 60)   // further orders that a large execution takes
	answers   = mixture([2]uint32{0, 9}, [2]uint32{1, 8}, [2]uint32{2, 3})
)

// step makes one message and lets the true books follow.
func (s *Sim) step() {
	switch {
	case s.part == opening:
		s.open()
	case s.part == closing:
		s.close()
	case s.sweep.left > 0:
		s.sweepOn()
	case s.auction.ops != "":
		s.auctionOn()
	case s.closingDue():
		s.part = closing
		s.close()
	default:
		s.act()
	}
}

// continues tells whether the next message belongs to the same burst as the last.
func (s *Sim) continues() bool {
	return s.part == hours && (s.sweep.left > 0 || s.auction.ops != "" || s.pending > 0)
}

// act lets one stock act. Acts provoke others, mostly in the same stock: a
// branching process, as of self-exciting arrivals, whose bursts have four acts in
// the mean.
func (s *Sim) act() {
	if len(s.halts) > 0 && s.halts[0].until <= s.seq {
		st := s.halts[0].st
		s.halts = append(s.halts[:0], s.halts[1:]...)
		s.resume(st)
		return
	}
	st := s.hot
	switch {
	case s.pending == 0:
		st = s.choose()
		s.hot = st
		if s.dice.oneIn(400) {
			s.rare(st)
			return
		}
	case s.dice.oneIn(8):
		st = s.choose()
		fallthrough
	default:
		s.pending--
	}
	if s.dice.oneIn(40) {
		st.move(int32(s.dice.n(3)-1) * (1 + st.fair/20_000))
	}
	s.change(st)
	s.pending = min(s.pending+int(s.dice.of(answers)), 200)
}

func (s *Sim) choose() *stock { return &s.stocks[s.activity.draw(&s.dice)] }

// change picks what happens to one stock.
func (s *Sim) change(st *stock) {
	side := market.Bid
	if s.dice.oneIn(2) {
		side = market.Ask
	}
	if st.side(side.Opposite()).orders < st.side(side).orders && st.side(side.Opposite()).orders < fewOrders {
		side = side.Opposite()
	}
	l := st.side(side)
	switch {
	case l.orders < fewOrders:
		s.addOrder(st, side)
	case st.state == waiting:
		s.startAuction(st, "IIFFFX", 'O')
	case st.state != trading:
		s.quiet(st, side)
	case st.through(side) && s.dice.oneIn(2):
		s.retreat(st, side)
	default:
		s.usual(st, side)
	}
}

// retreat ends the oldest order of a price that the fair price has passed: mostly
// it is withdrawn in time, else it is a bargain that gets taken.
func (s *Sim) retreat(st *stock, side market.Side) {
	if s.dice.oneIn(6) {
		s.execute(st, side)
	} else {
		s.delete(st, st.first(side))
	}
}

// usual picks from what happens in continuous trading. Hardly any order ends by
// an execution; a book that is deeper than it tends to be is rather thinned out.
func (s *Sim) usual(st *stock, side market.Side) {
	adds := 500
	switch n := st.side(side).orders; {
	case n > st.depth:
		adds = 330
	case n < st.depth/2:
		adds = 530
	}
	switch p := s.dice.n(1000); {
	case p < adds:
		s.addOrder(st, side)
	case p < 860:
		s.deleteOrder(st)
	case p < 945:
		s.replaceOrder(st)
	case p < 961:
		s.cancelPart(st)
	case p < 984:
		s.execute(st, side)
	case p < 990:
		s.hiddenTrade(st)
	default:
		s.deleteOrder(st)
	}
}

// quiet changes a book in which nothing is executed.
func (s *Sim) quiet(st *stock, side market.Side) {
	if st.side(side).orders < st.depth && s.dice.oneIn(2) {
		s.addOrder(st, side)
	} else {
		s.deleteOrder(st)
	}
}

// move shifts the fair price, which stays between 1 and 50,000.
func (st *stock) move(ticks int32) { st.fair = min(max(st.fair+ticks, 100), 5_000_000) }

// through tells whether the fair price has passed the side's best price.
func (st *stock) through(side market.Side) bool {
	best, ok := st.side(side).best()
	return ok && best > st.fair*sign(side)
}

// place picks a key on a side, around the fair price, that does not cross the
// other: at the best price, before it, or behind it by a power law.
func (s *Sim) place(st *stock, side market.Side) int32 {
	fair := st.fair * sign(side)
	key := fair - st.spread - min(int32(s.dice.of(distances)), st.fair/2-st.spread)
	if best, ok := st.side(side).best(); ok && best < fair {
		switch p := s.dice.n(100); {
		case p < 30:
			key = best
		case p < 38 && best+1 < fair:
			key = best + 1
		}
	}
	return min(key, st.room(side))
}

func (s *Sim) addOrder(st *stock, side market.Side) {
	o := s.add(st, side, s.place(st, side), s.dice.of(sizes))
	s.addMessage(st, o, s.dice.oneIn(12))
}

// pick chooses a resting order, mostly one that came lately.
func (s *Sim) pick(st *stock) uint32 {
	n := len(st.all)
	if !s.dice.oneIn(3) {
		return st.all[n-1-s.dice.n(min(n, 16))]
	}
	return st.all[s.dice.n(n)]
}

func (s *Sim) deleteOrder(st *stock) {
	s.delete(st, s.pick(st))
}

func (s *Sim) delete(st *stock, ref uint32) {
	id, size := s.orders[ref].id, s.orders[ref].size
	s.reduce(st, ref, size)
	s.deleteMessage(st, id)
}

// cancelPart takes a part of an order off; all of it when it cannot be divided.
func (s *Sim) cancelPart(st *stock) {
	ref := s.pick(st)
	o := &s.orders[ref]
	if o.size < 2 {
		s.delete(st, ref)
		return
	}
	size := uint32(1 + s.dice.n(int(o.size-1)))
	s.reduce(st, ref, size)
	s.cancelMessage(st, o.id, size)
}

// replaceOrder gives an order another number, price and size; it loses its place.
func (s *Sim) replaceOrder(st *stock) {
	ref := s.pick(st)
	old, side := s.orders[ref].id, s.orders[ref].side
	s.reduce(st, ref, s.orders[ref].size)
	o := s.add(st, side, s.place(st, side), s.dice.of(sizes))
	s.replaceMessage(st, old, o)
}

// sweeping is an incoming order that takes what rests on a side.
type sweeping struct {
	st   *stock
	side market.Side
	left uint32 // shares to go
	most int    // executions to go
}

// execute lets an order come in against a side: it takes the oldest order of the
// best price or a part of it, or goes on through several.
func (s *Sim) execute(st *stock, side market.Side) {
	first := s.orders[st.first(side)].size
	want := first
	switch p := s.dice.n(10); {
	case p < 4:
		want = min(first, s.dice.of(sizes))
	case p < 7:
		want = first + s.dice.of(sizes)*(1+s.dice.of(sweeps))
	}
	s.sweep = sweeping{st, side, want, maxScript}
	s.pending = min(s.pending+s.dice.n(5), 200)
	s.sweepOn()
}

// sweepOn makes one execution. Where a price is used up, the fair price may give way.
func (s *Sim) sweepOn() {
	w := &s.sweep
	l := w.st.side(w.side)
	ref := w.st.first(w.side)
	o := s.orders[ref]
	size := min(o.size, w.left)
	s.reduce(w.st, ref, size)
	if s.dice.oneIn(25) {
		s.executedAtPrice(w.st, o.id, size, price(o.ticks())+tick/2, !s.dice.oneIn(4))
	} else {
		s.executed(w.st, o.id, size)
	}
	w.left -= size
	w.most--
	if best, ok := l.best(); ok && best != o.key && s.dice.oneIn(3) {
		w.st.move(-sign(w.side))
	}
	if w.most == 0 || l.orders <= leastOrders {
		w.left = 0
	}
}
