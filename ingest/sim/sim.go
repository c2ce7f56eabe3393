// Package sim is an exchange in a box: a reproducible flow of orders for a number
// of symbols, as ITCH 5.0 messages over MoldUDP64, sent on one line or two that
// can be made to fail, a server that sends again what was lost, and the true
// books to check against. It exists for trying the system without a venue, for
// tests and for benchmarks.
//
//	Sim ── packets ──▶ Send (pace) ─┬─▶ Recovery (history) ◀── requests
//	                                └─▶ Lines (faults) ──▶ line A, line B
//	Truth: the same flow again, for the book at any sequence
//	Series: a day of several sessions that end, break off or are reset, and its truth
//
// The messages of one set of options are always the same, whatever packets they
// are sent in; only the time stamps come from the caller's clock. A day begins
// with a directory; each stock opens with an auction once it has a book; then
// orders are added, cancelled, reduced, replaced and executed around a fair price
// that walks at random, in ticks of 0.01, with halts and everything else that the
// protocol knows. A session of a given length closes with auctions. Activity is a
// power law over the symbols and comes in bursts, since one act provokes others.
// Bids stay below asks at all times, and each message changes one book at most.
//
// The package knows the two wire formats by itself and uses none of the feed's
// decoders, so that neither can hide the other's mistake. ITCH is that of
// "Nasdaq TotalView-ITCH 5.0", MoldUDP64 that of its specification 1.00.
//
// A Sim belongs to one goroutine, as does a Truth.
package sim

import (
	"fmt"
	"math"
	"time"
)

// MaxPacket bounds a packet, header included, in bytes.
const MaxPacket = 1200

const (
	headerSize   = 20
	endOfSession = 0xffff
	maxMessage   = 2 + 50 // the longest message with its length
)

// Sim is a simulated session.
type Sim struct {
	opts     Options
	dice     dice    // of the flow
	cuts     dice    // of NextPacket's sizes, which must not change the flow
	stocks   []stock // by locate - 1
	bySym    map[string]*stock
	activity *alias
	session  [10]byte
	clock    clock
	journal  *journal // of a Truth, or nil

	orders []order // see order
	free   uint32  // the first of those that are free, linked by next

	seq     uint64 // of the last message made
	lastID  uint64 // the last order number given
	matches uint64 // the last match number given
	recent  [64]trade

	part    part
	told    int // messages made of the opening or the closing
	hot     *stock
	pending int // acts that the burst still has
	sweep   sweeping
	auction auctioning
	halts   []halting

	packet []byte
	count  int // messages in packet
}

// trade is one that may be broken.
type trade struct {
	locate uint16
	match  uint64
}

// New makes a session; nothing has been sent yet.
func New(opts Options) (*Sim, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	c, err := newClock()
	if err != nil {
		return nil, err
	}
	s := &Sim{
		opts: opts, dice: *newDice(opts.Seed, 0x5eed), cuts: *newDice(opts.Seed, 0xc075), clock: c,
		stocks: make([]stock, len(opts.Symbols)), bySym: make(map[string]*stock, len(opts.Symbols)),
		orders: make([]order, 1), packet: make([]byte, 0, MaxPacket),
	}
	copy(s.session[:], fmt.Sprintf("%-10s", opts.Session))
	weights := make([]float64, len(s.stocks))
	for i, name := range opts.Symbols {
		weights[i] = math.Pow(float64(i)+3.7, -max(opts.Exponent, 0))
		s.stocks[i] = s.newStock(i, name, weights[i]/weights[0])
		s.bySym[name] = &s.stocks[i]
	}
	s.activity = newAlias(weights)
	return s, nil
}

// newStock lists a stock. The more it is traded, the deeper and tighter its book.
func (s *Sim) newStock(i int, name string, activity float64) stock {
	st := stock{locate: uint16(i + 1), fair: int32(500 + s.dice.of(fairs))}
	copy(st.name[:], name+"        ")
	busy := math.Sqrt(activity)
	st.depth = max(int(mostDepth*busy), fewOrders+4)
	st.spread = min(max(int32(float64(st.fair)/20_000/busy), 1), st.fair/20)
	return st
}

// fairs are the first fair prices, in ticks above 5.00.
var fairs = func() []uint32 {
	table := powerLaw(0.9, 20)
	for i := range table {
		table[i] = table[i]*3000 + uint32(i)*10
	}
	return table
}()

// Seq gives the sequence of the last message made; 0 before the first.
func (s *Sim) Seq() uint64 { return s.seq }

// Session gives the session's name.
func (s *Sim) Session() string { return s.opts.Session }

// Done tells whether the session has all the messages that its options give it.
func (s *Sim) Done() bool { return s.opts.Messages > 0 && s.seq >= s.opts.Messages }

// NextPacket makes the next packet, stamped with now: one or a few messages, or
// as many as fit during the opening; none when the session is done. The bytes are
// valid until the next call.
func (s *Sim) NextPacket(now time.Time) []byte {
	n := 1
	for s.part != opening && s.cuts.oneIn(2) {
		n++
	}
	if s.part == opening {
		n = math.MaxInt
	}
	return s.nextPacket(now, n)
}

// FullPacket makes the next packet, stamped with now, of as many messages as fit;
// none when the session is done. The bytes are valid until the next call.
func (s *Sim) FullPacket(now time.Time) []byte { return s.nextPacket(now, math.MaxInt) }

func (s *Sim) nextPacket(now time.Time, most int) []byte {
	s.clock.stamp(now.UnixNano())
	s.begin()
	for s.count < most && s.fits() && !s.Done() {
		s.step()
	}
	return s.end(s.count)
}

// Heartbeat makes a packet without messages. The bytes are valid until the next call.
func (s *Sim) Heartbeat() []byte {
	s.begin()
	return s.end(0)
}

// EndOfSession makes the packet that ends the session. The bytes are valid until the next call.
func (s *Sim) EndOfSession() []byte {
	s.begin()
	return s.end(endOfSession)
}

func (s *Sim) begin() {
	s.packet = append(s.packet[:0], s.session[:]...)
	s.packet = be.AppendUint64(s.packet, s.seq+1)
	s.packet = append(s.packet, 0, 0)
	s.count = 0
}

// fits tells whether any message fits into the packet.
func (s *Sim) fits() bool { return len(s.packet)+maxMessage <= MaxPacket }

func (s *Sim) end(count int) []byte {
	be.PutUint16(s.packet[headerSize-2:], uint16(count))
	return s.packet
}
