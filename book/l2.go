package book

import "chronicle/market"

// applyLevel applies one entry to an L2 book.
func (b *Book) applyLevel(e *market.Entry) outcome {
	switch e.Action {
	case market.Add, market.Modify:
		return b.setLevel(e, e.Size)
	case market.Cancel:
		return b.setLevel(e, 0)
	case market.Clear:
		return b.clearSide(e.Side)
	case market.Exec, market.Fill:
		return applied
	}
	return invalid
}

// setLevel makes size the size of the entry's level; 0 removes it.
func (b *Book) setLevel(e *market.Entry, size int64) outcome {
	l := b.side(e.Side)
	if l == nil || e.Price == market.UndefPrice || size < 0 {
		return invalid
	}
	key := e.Price ^ l.flip
	i, ok := l.find(key)
	switch {
	case ok && size > 0:
		v := &l.levels[i]
		v.size, v.count = size, e.Count
	case ok:
		l.remove(i)
	case size > 0:
		l.insert(i, level{key: key, size: size, count: e.Count})
	default:
		return unknown
	}
	return applied
}

// Truncate cuts a side of an L2 book to its n best levels, as venues do that keep
// a limited depth. It appends one Cancel for each level it removed to dst, the
// one nearest to the best first, with the size and count that the level had, and
// gives the extended slice. With n <= 0, or for an L3 book, nothing is removed.
func (b *Book) Truncate(side market.Side, n int, dst []market.Entry) []market.Entry {
	l := b.side(side)
	if l == nil || b.l3 || n <= 0 || len(l.levels) <= n {
		return dst
	}
	extra := len(l.levels) - n
	for i := extra - 1; i >= 0; i-- {
		v := l.at(i)
		dst = append(dst, market.Entry{Price: v.Price, Size: v.Size, Count: v.Count, Side: side, Action: market.Cancel})
	}
	l.dropWorst(extra)
	return dst
}
