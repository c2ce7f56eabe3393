package book

import "chronicle/market"

// AppendSnapshot appends the whole book to dst as Adds and gives the extended
// slice. The order is canonical: bids, then asks; levels best first; in an L3 book the
// orders of a level in priority order. Applied as a KindSnapshot the entries
// make an equal book, with the same digest.
func (b *Book) AppendSnapshot(dst []market.Entry) []market.Entry {
	dst = b.appendSide(dst, market.Bid)
	return b.appendSide(dst, market.Ask)
}

func (b *Book) appendSide(dst []market.Entry, side market.Side) []market.Entry {
	l := b.side(side)
	for i := len(l.levels) - 1; i >= 0; i-- {
		if b.l3 {
			dst = b.appendQueue(dst, l.levels[i].head)
			continue
		}
		v := l.at(i)
		dst = append(dst, market.Entry{Price: v.Price, Size: v.Size, Count: v.Count, Side: side, Action: market.Add})
	}
	return dst
}

func (b *Book) appendQueue(dst []market.Entry, head uint32) []market.Entry {
	for ref := head; ref != 0; {
		o := &b.orders.all[ref]
		dst = append(dst, market.Entry{OrderID: o.id, Price: o.price, Size: o.size, Side: o.side, Action: market.Add})
		ref = o.next
	}
	return dst
}
