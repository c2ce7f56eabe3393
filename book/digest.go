package book

import "chronicle/market"

// Digest gives a 64-bit hash of the book's state and of nothing else: two books
// that hold the same levels (L2) or the same orders in the same priority (L3) have
// the same digest, whatever their history, process or machine. Different books
// have different digests but for one chance in 2^64; it is no defence against
// somebody who makes collisions on purpose. It is computed on demand, in O(levels)
// or O(orders), and is part of the archive's format: it will not change.
//
// The hash runs over 64-bit words, all arithmetic modulo 2^64:
//
//	h = 2 for an L2 book, 3 for an L3 book
//	word(w):  h = (h xor w) * 0x9E3779B97F4A7C15;  h = h xor (h >> 32)
//	for the bids, then for the asks:
//	    word(number of levels)
//	    for each level, best first:
//	        L2: word(price) word(size) word(count)
//	        L3: word(price) word(count), and for each order in priority: word(id) word(size)
//	digest = word(0) once more
//
// Prices and sizes are the fixed-point integers, as two's complement.
func (b *Book) Digest() uint64 {
	h := digest(2)
	if b.l3 {
		h = 3
	}
	b.digestSide(&h, market.Bid)
	b.digestSide(&h, market.Ask)
	h.word(0)
	return uint64(h)
}

func (b *Book) digestSide(h *digest, side market.Side) {
	l := b.side(side)
	h.word(uint64(len(l.levels)))
	for i := len(l.levels) - 1; i >= 0; i-- {
		v := l.at(i)
		h.word(uint64(v.Price))
		if !b.l3 {
			h.word(uint64(v.Size))
			h.word(uint64(v.Count))
			continue
		}
		h.word(uint64(v.Count))
		for ref := l.levels[i].head; ref != 0; {
			o := &b.orders.all[ref]
			h.word(o.id)
			h.word(uint64(o.size))
			ref = o.next
		}
	}
}

// digest is the running hash.
type digest uint64

func (d *digest) word(w uint64) {
	h := (uint64(*d) ^ w) * 0x9E3779B97F4A7C15
	*d = digest(h ^ h>>32)
}
