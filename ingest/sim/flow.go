package sim

import (
	"chronicle/market"
)

// Bounds of one side of a book, in orders: below the first orders are only
// added, above the second only removed.
const (
	fewOrders  = 15
	manyOrders = 150
)

// opening gives how many messages open the session.
func (s *Sim) opening() int { return 2*len(s.stocks) + 3 }

// step makes one message and lets the true books follow.
func (s *Sim) step() {
	if s.started < s.opening() {
		s.open(s.started)
		s.started++
		return
	}
	st := s.stocks[s.random.IntN(len(s.stocks))]
	if s.random.IntN(20) == 0 {
		st.fair = max(st.fair+int64(s.random.IntN(3)-1), 100)
	}
	s.change(st)
}

// open makes the i-th opening message: start of messages, each stock's
// directory entry and trading action, start of system and of market hours.
func (s *Sim) open(i int) {
	n := len(s.stocks)
	switch {
	case i == 0:
		s.system('O')
	case i <= n:
		s.directory(s.stocks[i-1])
	case i <= 2*n:
		s.tradingAction(s.stocks[i-n-1], 'T')
	case i == 2*n+1:
		s.system('S')
	default:
		s.system('Q')
	}
}

// change picks what happens to one stock.
func (s *Sim) change(st *stock) {
	side := market.Bid
	if s.random.IntN(2) == 0 {
		side = market.Ask
	}
	if st.count(side) < fewOrders {
		s.addOrder(st, side)
		return
	}
	if st.through(side) && s.random.IntN(2) == 0 {
		s.execute(st, side)
		return
	}
	limit := 46
	if st.count(side) > manyOrders {
		limit = 0
	}
	switch p := s.random.IntN(100); {
	case p < limit:
		s.addOrder(st, side)
	case p < 82:
		s.deleteOrder(st)
	case p < 87:
		s.cancelPart(st)
	case p < 93:
		s.replaceOrder(st)
	case p < 99:
		s.execute(st, side)
	default:
		s.hiddenTrade(st)
	}
}

// count gives how many orders a side holds, by its levels' queues.
func (st *stock) count(side market.Side) (n int) {
	for _, l := range st.side(side).levels {
		n += len(l.orders)
	}
	return n
}

// through tells whether the fair price has passed the side's best price, which
// then is a bargain that gets taken.
func (st *stock) through(side market.Side) bool {
	levels := st.side(side).levels
	return len(levels) > 0 && st.side(side).better(levels[0].ticks, st.fair)
}

// price picks a price around the fair one that does not cross the other side.
func (s *Sim) price(st *stock, side market.Side) int64 {
	away := int64(1)
	for s.random.Float64() < 0.8 && away < 40 {
		away++
	}
	ticks := st.fair + away
	if side == market.Bid {
		ticks = st.fair - away
	}
	if room, ok := st.room(side); ok && st.side(side).better(ticks, room) {
		ticks = room
	}
	return max(ticks, 1)
}

func (s *Sim) size() uint32 {
	if s.random.IntN(4) == 0 {
		return uint32(1 + s.random.IntN(99)) // an odd lot
	}
	return uint32(100 * (1 + s.random.IntN(10)))
}

func (s *Sim) newOrder(side market.Side, ticks int64, size uint32) *order {
	s.orders++
	return &order{id: s.orders, side: side, ticks: ticks, size: size}
}

func (s *Sim) addOrder(st *stock, side market.Side) {
	ticks := s.price(st, side)
	if room, ok := st.room(side); ok && st.side(side).better(ticks, room) {
		return // the floor price would cross
	}
	o := s.newOrder(side, ticks, s.size())
	st.add(o)
	s.addMessage(st, o, s.random.IntN(10) == 0)
}

func (s *Sim) pick(st *stock) *order { return st.all[s.random.IntN(len(st.all))] }

func (s *Sim) deleteOrder(st *stock) {
	o := s.pick(st)
	s.deleteMessage(st, o.id)
	st.reduce(o, o.size)
}

// cancelPart takes a part of an order off, never the whole.
func (s *Sim) cancelPart(st *stock) {
	o := s.pick(st)
	if o.size < 2 {
		return
	}
	size := uint32(1 + s.random.IntN(int(o.size-1)))
	s.cancelMessage(st, o.id, size)
	st.reduce(o, size)
}

// replaceOrder gives an order another number, price and size; it loses its place.
func (s *Sim) replaceOrder(st *stock) {
	old := s.pick(st)
	st.reduce(old, old.size)
	ticks := s.price(st, old.side)
	if room, ok := st.room(old.side); ok && st.side(old.side).better(ticks, room) {
		ticks = old.ticks
	}
	o := s.newOrder(old.side, ticks, s.size())
	st.add(o)
	s.replaceMessage(st, old.id, o)
}

// execute lets an order come in against the oldest of the side's best level.
func (s *Sim) execute(st *stock, side market.Side) {
	o := st.side(side).levels[0].orders[0]
	size := min(o.size, s.size())
	s.matches++
	if s.random.IntN(12) == 0 {
		s.executedAtPrice(st, o, size, s.random.IntN(4) != 0)
	} else {
		s.executed(st, o.id, size)
	}
	st.reduce(o, size)
}

// hiddenTrade is a trade against an order that the book does not show.
func (s *Sim) hiddenTrade(st *stock) {
	s.matches++
	s.tradeMessage(st, s.size(), st.fair)
}
