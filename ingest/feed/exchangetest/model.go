package exchangetest

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// key names a channel and an instrument, in the venue's words.
type key struct{ channel, symbol string }

// frame is one frame of the timeline.
type frame struct {
	key    key
	at     float64 // seconds since the epoch; 0 where the recording is in order
	data   []byte
	change *change // of a book; nil when the frame changes none
}

// change is what a frame does to a book.
type change struct {
	snapshot   bool // the book is this, rather than changed by it
	bids, asks []level
	seq        uint64 // the venue's sequence after it; 0 where it has none
	meta       json.RawMessage
}

// level is one price of a book, in the venue's own digits.
type level struct {
	price, size string
	raw         json.RawMessage // the level as the venue wrote it
	order       float64         // the price, to sort by
}

func newLevel(price, size string, raw json.RawMessage) (level, error) {
	order, err := strconv.ParseFloat(price, 64)
	if err != nil {
		return level{}, err
	}
	if _, err := strconv.ParseFloat(size, 64); err != nil {
		return level{}, err
	}
	return level{price: price, size: size, raw: raw, order: order}, nil
}

// empty tells whether the size is nothing: "0", "0.000".
func (l *level) empty() bool { return strings.Trim(l.size, "0.") == "" }

// book is the exchange's own book of one instrument.
type book struct {
	key        key
	depth      int     // levels kept of each side; 0: all
	start      *change // the recorded REST snapshot, applied when the stream reaches it
	known      bool
	bids, asks map[string]level // by price without trailing zeros
	seq        uint64
	meta       json.RawMessage // of the last change
}

// newBooks gives the books of all instruments that frames has changes of, as
// they are before the first frame.
func newBooks(v venue, frames []frame) map[key]*book {
	out := make(map[key]*book)
	for i := range frames {
		if k := frames[i].key; frames[i].change != nil && out[k] == nil {
			b := &book{key: k, bids: make(map[string]level), asks: make(map[string]level)}
			v.prepare(b)
			out[k] = b
		}
	}
	return out
}

// apply changes the book by a frame.
func (b *book) apply(f *frame) {
	ch := f.change
	if ch == nil {
		return
	}
	if b.start != nil {
		if ch.seq < b.start.seq {
			return
		}
		b.set(b.start)
		if ch.seq == b.start.seq {
			b.start = nil
			return
		}
		b.start = nil
	}
	if !b.known && !ch.snapshot {
		return
	}
	b.set(ch)
}

func (b *book) set(ch *change) {
	if ch.snapshot {
		clear(b.bids)
		clear(b.asks)
		b.known = true
	}
	put(b.bids, ch.bids)
	put(b.asks, ch.asks)
	b.seq, b.meta = ch.seq, ch.meta
	if b.depth > 0 && len(b.bids) > b.depth {
		keep(b.bids, b.top(true, b.depth))
	}
	if b.depth > 0 && len(b.asks) > b.depth {
		keep(b.asks, b.top(false, b.depth))
	}
}

func put(side map[string]level, levels []level) {
	for _, l := range levels {
		if l.empty() {
			delete(side, plain(l.price))
		} else {
			side[plain(l.price)] = l
		}
	}
}

// keep leaves only the given levels.
func keep(side map[string]level, best []level) {
	clear(side)
	put(side, best)
}

// few is up to how many levels are picked one by one rather than sorted.
const few = 64

// top gives the n best levels of a side, best first; all with n = 0.
func (b *book) top(bid bool, n int) []level {
	side, better := b.asks, func(x, y level) int { return cmp.Compare(x.order, y.order) }
	if bid {
		side, better = b.bids, func(x, y level) int { return cmp.Compare(y.order, x.order) }
	}
	if n == 0 || n > few {
		best := slices.SortedFunc(maps.Values(side), better)
		if n > 0 {
			best = best[:min(n, len(best))]
		}
		return best
	}
	best := make([]level, 0, n+1)
	for _, l := range side {
		if len(best) == n && better(l, best[n-1]) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, l, better)
		best = slices.Insert(best, at, l)
		best = best[:min(n, len(best))]
	}
	return best
}

// plain gives a decimal without trailing zeros, and without its point if nothing
// follows it.
func plain(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
