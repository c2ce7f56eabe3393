package book

// level is one price inside a ladder: 32 bytes, two to a cache line.
type level struct {
	key   int64 // the price, or its complement for asks: a greater key is a better price
	size  int64
	count uint32
	head  uint32 // L3: first order of the queue, 0 in L2
	tail  uint32 // L3: last order of the queue, 0 in L2
}

// ladder holds the levels of one side, ascending by key: the worst first, the
// best last. levels is a window into buf:
//
//	buf:  [ room in front | levels ............ | room behind ]
//	      0               lo                    lo+len(levels)
//
// An insertion or removal moves whichever part of levels is shorter.
type ladder struct {
	levels []level
	flip   int64 // key = price ^ flip: 0 for bids, -1 for asks
	lo     int
	buf    []level
}

// minLadder is the first size of a ladder, in levels.
const minLadder = 16

// nearBest is how many levels, from the best, are searched one by one before
// the search starts to halve.
const nearBest = 16

// at gives level i as callers see it.
func (l *ladder) at(i int) Level {
	v := &l.levels[i]
	return Level{Price: v.key ^ l.flip, Size: v.size, Count: v.count}
}

// from gives the lowest position among the n best levels; all when n <= 0.
func (l *ladder) from(n int) int {
	if n <= 0 || n > len(l.levels) {
		return 0
	}
	return len(l.levels) - n
}

// find gives the position of key, or where it would have to be inserted.
func (l *ladder) find(key int64) (int, bool) {
	levels := l.levels
	stop := max(0, len(levels)-nearBest)
	for i := len(levels) - 1; i >= stop; i-- {
		if k := levels[i].key; k <= key {
			if k == key {
				return i, true
			}
			return i + 1, false
		}
	}
	return search(levels[:stop], key)
}

// search is the part of find beyond the levels near the best.
func search(levels []level, key int64) (int, bool) {
	if len(levels) == 0 || key < levels[0].key {
		return 0, false // a new worst level, as when a snapshot is loaded best first
	}
	lo, n := 0, len(levels) // levels[lo].key <= key
	for n > 1 {
		half := n / 2
		if levels[lo+half].key <= key {
			lo += half
		}
		n -= half
	}
	if levels[lo].key == key {
		return lo, true
	}
	return lo + 1, false
}

// insert puts v at position i, which find gave.
func (l *ladder) insert(i int, v level) {
	n := len(l.levels)
	if i*2 >= n {
		if n == cap(l.levels) {
			l.makeRoom()
		}
		l.levels = l.levels[:n+1]
		if i < n {
			copy(l.levels[i+1:], l.levels[i:n])
		}
		l.levels[i] = v
		return
	}
	if l.lo == 0 {
		l.makeRoom()
	}
	l.lo--
	l.levels = l.buf[l.lo : l.lo+n+1]
	copy(l.levels[:i], l.levels[1:i+1])
	l.levels[i] = v
}

// remove takes out position i.
func (l *ladder) remove(i int) {
	n := len(l.levels)
	if i*2 >= n {
		if i+1 < n {
			copy(l.levels[i:], l.levels[i+1:])
		}
		l.levels = l.levels[:n-1]
		return
	}
	copy(l.levels[1:i+1], l.levels[:i])
	l.dropWorst(1)
}

// dropWorst removes the n worst levels.
func (l *ladder) dropWorst(n int) {
	l.levels = l.levels[n:]
	l.lo += n
}

// makeRoom moves the levels to the middle of the buffer, and doubles it first
// when it is more than half full. Either way at least a quarter of the buffer
// becomes free at each end, so that its cost spreads over as many insertions.
func (l *ladder) makeRoom() {
	n, to := len(l.levels), l.buf
	if n*2 >= len(to) {
		to = make([]level, max(minLadder, 2*len(to)))
	}
	l.lo = (len(to) - n) / 2
	copy(to[l.lo:], l.levels)
	l.buf = to
	l.levels = to[l.lo : l.lo+n]
}

func (l *ladder) clear() {
	l.lo = len(l.buf) / 2
	l.levels = l.buf[l.lo:l.lo]
}
