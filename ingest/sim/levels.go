package sim

import "chronicle/market"

// Level is one price of a true book.
type Level struct {
	Price int64 // four decimals
	Size  int64 // shares
	Count int   // orders
}

// Order is one order of a true book.
type Order struct {
	ID    uint64
	Side  market.Side
	Price int64 // four decimals
	Size  int64 // shares
}

// Symbols gives the session's symbols; the i-th has the stock locate i+1.
func (s *Sim) Symbols() []string { return s.opts.Symbols }

// Orders gives one side of the true book after message Seq, order by order: best
// price first, the oldest of a price first. It is nil for an unknown symbol.
func (s *Sim) Orders(symbol string, side market.Side) (out []Order) {
	st, ok := s.bySym[symbol]
	if !ok {
		return nil
	}
	levels := st.side(side).levels
	for i := len(levels) - 1; i >= 0; i-- {
		for ref := levels[i].head; ref != 0; ref = s.orders[ref].next {
			o := &s.orders[ref]
			out = append(out, Order{ID: o.id, Side: side, Price: int64(o.ticks()) * tick, Size: int64(o.size)})
		}
	}
	return out
}

// Levels gives the best n levels of the true book after message Seq, best
// first; all of them when n is 0. Prices have four decimals. It is nil for an
// unknown symbol.
func (s *Sim) Levels(symbol string, side market.Side, n int) []Level {
	return levelsOf(s.Orders(symbol, side), n)
}

// levelsOf sums up orders that stand in priority.
func levelsOf(orders []Order, n int) (out []Level) {
	for _, o := range orders {
		if k := len(out); k == 0 || out[k-1].Price != o.Price {
			if k == n && n > 0 {
				break
			}
			out = append(out, Level{Price: o.Price})
		}
		l := &out[len(out)-1]
		l.Size += o.Size
		l.Count++
	}
	return out
}
