package sim

import "chronicle/market"

// part of the day.
type part byte

const (
	opening part = iota // directory, up to the start of market hours
	hours               // market hours
	closing
	done
)

// maxScript bounds the messages of one sweep or auction, which nothing interrupts.
const maxScript = 32

// haltLength is how long a halt lasts, in messages of the session.
const haltLength = 6000

// open makes the next opening message: the start of messages, the circuit
// breaker's levels, what there is to tell of each stock, and the start of
// system and market hours.
func (s *Sim) open() {
	const each = 4
	i, n := s.told, each*len(s.stocks)
	s.told++
	switch {
	case i == 0:
		s.system('O')
	case i == 1:
		s.breakerLevels()
	case i < 2+n:
		st := &s.stocks[(i-2)/each]
		switch (i - 2) % each {
		case 0:
			s.directory(st)
		case 1:
			s.tradingAction(st, 'T', "")
		case 2:
			s.regSHO(st, '0')
		default:
			s.position(st, int(st.locate), 'A')
		}
	case i == 2+n:
		s.system('S')
	default:
		s.system('Q')
		s.part, s.told = hours, 0
	}
}

// closingDue tells whether the day has to end now to end in time.
func (s *Sim) closingDue() bool {
	if s.opts.Messages == 0 {
		return false
	}
	left, needs := s.opts.Messages-s.seq, uint64(2*len(s.stocks)+3)
	return left >= needs && left < needs+maxScript
}

// close makes the next closing message: an indication and the closing auction of
// each stock, the end of market hours, some changes after hours, the end of
// system hours and of messages.
func (s *Sim) close() {
	n := len(s.stocks)
	i, left := s.told, s.opts.Messages-s.seq
	s.told++
	switch {
	case i < n:
		s.imbalance(&s.stocks[i], 'C')
	case i < 2*n:
		st := &s.stocks[i-n]
		st.state = closed
		s.crossTrade(st, uint64(100*s.dice.n(5000)), st.fair, 'C')
	case i == 2*n:
		s.system('M')
	case left > 2:
		s.change(s.choose())
	case left == 2:
		s.system('E')
	default:
		s.system('C')
		s.part = done
	}
}

// auctioning is an auction in progress. Each letter of ops is one message:
// J collar, Q quoting resumes, I indication, F fill of a resting order, X cross,
// T trading resumes.
type auctioning struct {
	st     *stock
	ops    string
	cross  byte // O opening, H after a halt
	shares uint64
}

func (s *Sim) startAuction(st *stock, ops string, cross byte) {
	s.auction = auctioning{st: st, ops: ops, cross: cross}
	s.auctionOn()
}

func (s *Sim) auctionOn() {
	a := &s.auction
	op := a.ops[0]
	a.ops = a.ops[1:]
	switch op {
	case 'J':
		s.collar(a.st)
	case 'Q':
		s.tradingAction(a.st, 'Q', "T3")
	case 'F':
		s.auctionFill(a)
	case 'X':
		s.crossTrade(a.st, a.shares+uint64(100*s.dice.n(100)), a.st.fair, a.cross)
	case 'T':
		s.tradingAction(a.st, 'T', "")
	default:
		s.imbalance(a.st, a.cross)
	}
	if a.ops == "" {
		a.st.state = trading
	}
}

// auctionFill executes the first order of a side at the auction's price.
func (s *Sim) auctionFill(a *auctioning) {
	side := market.Bid
	if len(a.ops)%2 == 0 {
		side = market.Ask
	}
	if a.st.side(side).orders <= leastOrders {
		s.imbalance(a.st, a.cross)
		return
	}
	ref := a.st.first(side)
	o := s.orders[ref]
	s.reduce(a.st, ref, o.size)
	s.executedAtPrice(a.st, o.id, o.size, price(a.st.fair), false)
	a.shares += uint64(o.size)
}

// halting is a stock that trades again after a message.
type halting struct {
	st    *stock
	until uint64
}

func (s *Sim) halt(st *stock, volatility bool) {
	st.state, st.paused = halted, volatility
	s.halts = append(s.halts, halting{st, s.seq + haltLength})
	if volatility {
		s.tradingAction(st, 'P', "LUDP")
	} else {
		s.tradingAction(st, 'H', "T1")
	}
}

func (s *Sim) resume(st *stock) {
	ops := "QIIFFXT"
	if st.paused {
		ops = "JQIFFXT"
	}
	s.startAuction(st, ops, 'H')
}

// toggle turns one of a stock's conditions over and gives the letter for it.
func (st *stock) toggle(i int, letters string) byte {
	st.flags[i] = !st.flags[i]
	if st.flags[i] {
		return letters[1]
	}
	return letters[0]
}

// rare makes one of the messages that a day has few of.
func (s *Sim) rare(st *stock) {
	switch p := s.dice.n(100); {
	case p < 30:
		s.retailInterest(st)
	case p < 52:
		s.position(st, s.dice.n(len(participants)), st.toggle(0, "AW"))
	case p < 65:
		s.regSHO(st, st.toggle(1, "01"))
	case p < 76 && s.matches > 0:
		s.brokenTrade()
	case p < 82:
		s.operationalHalt(st, st.toggle(2, "TH"))
	case p < 86 && st.state == trading:
		s.halt(st, p < 84)
	case p < 90:
		s.quotingPeriod(st)
	case p < 94:
		s.directListing(st)
	case p < 97:
		s.breakerBreached()
	default:
		s.hiddenTrade(st)
	}
}
