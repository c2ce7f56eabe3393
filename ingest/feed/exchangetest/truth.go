package exchangetest

import "strings"

// Level is a price and a size, decimals without trailing zeros.
type Level struct{ Price, Size string }

// Book is the best levels of an instrument, best first.
type Book struct{ Bids, Asks []Level }

// String gives the book as text; equal books give equal text.
func (b Book) String() string {
	var s strings.Builder
	for _, side := range [][]Level{b.Bids, b.Asks} {
		for _, l := range side {
			s.WriteString(l.Price + "@" + l.Size + " ")
		}
		s.WriteString("| ")
	}
	return s.String()
}

// State is an instrument's book after a frame of its own.
type State struct {
	Frame int    // from 1
	Seq   uint64 // the venue's sequence, where it has one
	Book  Book
}

// Truth gives the best levels of every book after frame n (0 is before the
// first), by the venue's name of the instrument: what is right, whatever was
// sent to whom. Instruments whose book is not known yet are absent. A depth of 0
// is all levels.
func (x *Exchange) Truth(n, depth int) map[string]Book {
	books := newBooks(x.venue, x.frames)
	for i := range x.frames[:min(n, len(x.frames))] {
		if b := books[x.frames[i].key]; b != nil {
			b.apply(&x.frames[i])
		}
	}
	out := make(map[string]Book)
	for k, b := range books {
		if b.known {
			out[k.symbol] = b.best(depth)
		}
	}
	return out
}

// States gives every state that an instrument's book ever had, in order: after
// each frame that changed it.
func (x *Exchange) States(symbol string, depth int) []State {
	var out []State
	x.Walk(symbol, func(frame int, seq uint64, book func(depth int) Book) {
		out = append(out, State{Frame: frame, Seq: seq, Book: book(depth)})
	})
	return out
}

// Walk is States for who looks at some of the books only: making one of a large
// book costs more than all else.
func (x *Exchange) Walk(symbol string, visit func(frame int, seq uint64, book func(depth int) Book)) {
	books := newBooks(x.venue, x.frames)
	for i := range x.frames {
		f := &x.frames[i]
		b := books[f.key]
		if b == nil || !strings.EqualFold(f.key.symbol, symbol) {
			continue
		}
		if b.apply(f); b.known {
			visit(i+1, b.seq, b.best)
		}
	}
}

// best gives the best levels in plain digits.
func (b *book) best(depth int) (out Book) {
	for _, l := range b.top(true, depth) {
		out.Bids = append(out.Bids, Level{plain(l.price), plain(l.size)})
	}
	for _, l := range b.top(false, depth) {
		out.Asks = append(out.Asks, Level{plain(l.price), plain(l.size)})
	}
	return out
}
