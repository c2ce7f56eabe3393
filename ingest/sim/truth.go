package sim

import (
	"slices"
	"sort"

	"chronicle/market"
)

// Truth answers what the book of any symbol is after any message of a session. It
// runs the flow again, as far as it is asked, and keeps the changes of each book
// with the whole book every so often: about 60 bytes a message. Who needs one
// book of a long session makes a Sim and calls Advance.
//
// A Truth belongs to one goroutine.
type Truth struct {
	sim     *Sim
	journal journal
	digests []Digest // after each message, from message 1 on
}

// Digest sums up a stream of messages: all their bytes, in order, but the six of
// the time, which are the sender's clock. It is no protection against malice.
type Digest uint64

// Add gives the digest of the stream with one more message, which is given
// without its length.
func (d Digest) Add(msg []byte) Digest {
	const prime = 0x100000001b3 // FNV-1a
	h := (uint64(d) ^ uint64(len(msg))) * prime
	for i, b := range msg {
		if i < 5 || i > 10 {
			h = (h ^ uint64(b)) * prime
		}
	}
	return Digest(h)
}

// journal notes what happens to the books.
type journal struct {
	seq    *uint64
	stocks []history // by locate - 1
}

// history is one stock's: its changes, and its book before some of them.
type history struct {
	changes []change
	books   []keptBook
}

// change is an order that comes (with its price) or is reduced.
type change struct {
	seq   uint64
	id    uint64
	size  uint32
	ticks int32 // 0 for a reduction
	side  market.Side
}

// keptBook is a whole book before the change at a place of the history.
type keptBook struct {
	at     int
	orders []Order
}

// keepEvery is the least number of changes between two kept books.
const keepEvery = 256

// NewTruth makes the truth about the session with these options.
func NewTruth(opts Options) (*Truth, error) {
	s, err := New(opts)
	if err != nil {
		return nil, err
	}
	t := &Truth{sim: s}
	t.journal = journal{&s.seq, make([]history, len(s.stocks))}
	s.journal = &t.journal
	return t, nil
}

func (j *journal) added(st *stock, o *order) {
	j.note(st, change{*j.seq + 1, o.id, o.size, o.ticks(), o.side})
}

func (j *journal) reduced(st *stock, o *order, size uint32) {
	j.note(st, change{*j.seq + 1, o.id, size, 0, o.side})
}

func (j *journal) note(st *stock, c change) {
	h := &j.stocks[st.locate-1]
	h.changes = append(h.changes, c)
}

// keep keeps the stock's book when enough has changed since the last one.
func (t *Truth) keep(i int) {
	h := &t.journal.stocks[i]
	last, size := 0, 0
	if n := len(h.books); n > 0 {
		last, size = h.books[n-1].at, len(h.books[n-1].orders)
	}
	if len(h.changes)-last < max(keepEvery, size) {
		return
	}
	name := t.sim.opts.Symbols[i]
	h.books = append(h.books, keptBook{len(h.changes), append(t.sim.Orders(name, market.Bid), t.sim.Orders(name, market.Ask)...)})
}

// Advance makes messages, which go nowhere, up to the given sequence. It ends
// early when the session does.
func (s *Sim) Advance(to uint64) {
	for s.seq < to && !s.Done() {
		s.begin()
		for s.seq < to && s.fits() && !s.Done() {
			s.step()
		}
	}
}

// reach runs the flow up to a message, and tells whether the session has it.
func (t *Truth) reach(seq uint64) bool {
	s := t.sim
	for s.seq < seq && !s.Done() {
		s.begin()
		s.step()
		msg := s.packet[headerSize+2:]
		var d Digest
		if n := len(t.digests); n > 0 {
			d = t.digests[n-1]
		}
		t.digests = append(t.digests, d.Add(msg))
		if locate := be.Uint16(msg[1:]); locate > 0 {
			t.keep(int(locate) - 1)
		}
	}
	return s.seq >= seq
}

// Symbols gives the session's symbols.
func (t *Truth) Symbols() []string { return t.sim.Symbols() }

// Digest gives the digest of the messages up to and including one. ok is false
// when the session has not that many.
func (t *Truth) Digest(seq uint64) (d Digest, ok bool) {
	if !t.reach(seq) {
		return 0, false
	}
	if seq > 0 {
		d = t.digests[seq-1]
	}
	return d, true
}

// Book is a true book, best price first, the oldest of a price first.
type Book struct {
	Symbol   string
	Sequence uint64
	Bids     []Order
	Asks     []Order
}

// Levels gives the best n levels of a side; all of them when n is 0.
func (b *Book) Levels(side market.Side, n int) []Level {
	if side == market.Ask {
		return levelsOf(b.Asks, n)
	}
	return levelsOf(b.Bids, n)
}

// BBO gives the best level of each side; of an empty side the zero Level.
func (b *Book) BBO() (bid, ask Level) {
	if l := levelsOf(b.Bids, 1); len(l) > 0 {
		bid = l[0]
	}
	if l := levelsOf(b.Asks, 1); len(l) > 0 {
		ask = l[0]
	}
	return bid, ask
}

// Book gives a symbol's book after the message seq; 0 is before the first. ok is
// false for an unknown symbol or a message that the session does not have.
func (t *Truth) Book(symbol string, seq uint64) (b Book, ok bool) {
	st, known := t.sim.bySym[symbol]
	if !known || !t.reach(seq) {
		return Book{}, false
	}
	orders := t.journal.stocks[st.locate-1].at(seq)
	sort.SliceStable(orders, func(i, j int) bool {
		a, b := orders[i], orders[j]
		if a.Side != b.Side {
			return a.Side == market.Bid
		}
		return a.Side == market.Bid && a.Price > b.Price || a.Side == market.Ask && a.Price < b.Price
	})
	n := 0
	for n < len(orders) && orders[n].Side == market.Bid {
		n++
	}
	return Book{symbol, seq, orders[:n:n], orders[n:]}, true
}

// at gives the orders after the message seq; those of one price are in the order
// of their arrival.
func (h *history) at(seq uint64) []Order {
	end := sort.Search(len(h.changes), func(i int) bool { return h.changes[i].seq > seq })
	k := sort.Search(len(h.books), func(i int) bool { return h.books[i].at > end })
	var orders []Order
	from := 0
	if k > 0 {
		from, orders = h.books[k-1].at, slices.Clone(h.books[k-1].orders)
	}
	place := make(map[uint64]int, len(orders))
	for i, o := range orders {
		place[o.ID] = i
	}
	for _, c := range h.changes[from:end] {
		if c.ticks != 0 {
			place[c.id] = len(orders)
			orders = append(orders, Order{c.id, c.side, int64(c.ticks) * tick, int64(c.size)})
		} else {
			orders[place[c.id]].Size -= int64(c.size)
		}
	}
	return slices.DeleteFunc(orders, func(o Order) bool { return o.Size == 0 })
}
