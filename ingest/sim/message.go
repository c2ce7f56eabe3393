package sim

import (
	"encoding/binary"

	"chronicle/market"
)

var be = binary.BigEndian

// message begins a message of the given size, its length first, and gives its bytes.
func (s *Sim) message(typ byte, size int, locate uint16) []byte {
	at := len(s.packet)
	s.packet = s.packet[:at+2+size]
	clear(s.packet[at:])
	be.PutUint16(s.packet[at:], uint16(size))
	b := s.packet[at+2:]
	b[0] = typ
	be.PutUint16(b[1:], locate)
	putTime(b, s.clock.nanos)
	s.seq++
	s.count++
	return b
}

// putTime writes a message's time, ns since midnight in 6 bytes.
func putTime(b []byte, nanos uint64) {
	be.PutUint16(b[5:], uint16(nanos>>32))
	be.PutUint32(b[7:], uint32(nanos))
}

func letter(side market.Side) byte {
	if side == market.Bid {
		return 'B'
	}
	return 'S'
}

// addMessage announces an order, with its participant when attributed.
func (s *Sim) addMessage(st *stock, o *order, attributed bool) {
	typ, size := byte('A'), 36
	if attributed {
		typ, size = 'F', 40
	}
	b := s.message(typ, size, st.locate)
	be.PutUint64(b[11:], o.id)
	b[19] = letter(o.side)
	be.PutUint32(b[20:], o.size)
	copy(b[24:], st.name[:])
	be.PutUint32(b[32:], price(o.ticks()))
	if attributed {
		copy(b[36:], participants[o.id%uint64(len(participants))])
	}
}

// price turns ticks into a price of four decimals.
func price(ticks int32) uint32 { return uint32(ticks) * tick }

func (s *Sim) deleteMessage(st *stock, id uint64) {
	be.PutUint64(s.message('D', 19, st.locate)[11:], id)
}

func (s *Sim) cancelMessage(st *stock, id uint64, size uint32) {
	b := s.message('X', 23, st.locate)
	be.PutUint64(b[11:], id)
	be.PutUint32(b[19:], size)
}

func (s *Sim) replaceMessage(st *stock, old uint64, o *order) {
	b := s.message('U', 35, st.locate)
	be.PutUint64(b[11:], old)
	be.PutUint64(b[19:], o.id)
	be.PutUint32(b[27:], o.size)
	be.PutUint32(b[31:], price(o.ticks()))
}

// match gives the next match number, which a broken trade may name later.
func (s *Sim) match(st *stock) uint64 {
	s.matches++
	s.recent[s.matches%uint64(len(s.recent))] = trade{st.locate, s.matches}
	return s.matches
}

func (s *Sim) executed(st *stock, id uint64, size uint32) {
	b := s.message('E', 31, st.locate)
	be.PutUint64(b[11:], id)
	be.PutUint32(b[19:], size)
	be.PutUint64(b[23:], s.match(st))
}

// executedAtPrice is an execution at another price than the order's. What is
// part of a cross is not printable: the cross's own message tells its volume.
func (s *Sim) executedAtPrice(st *stock, id uint64, size, price uint32, printable bool) {
	b := s.message('C', 36, st.locate)
	be.PutUint64(b[11:], id)
	be.PutUint32(b[19:], size)
	be.PutUint64(b[23:], s.match(st))
	b[31] = 'N'
	if printable {
		b[31] = 'Y'
	}
	be.PutUint32(b[32:], price)
}

// hiddenTrade is a trade against an order that the book does not show.
func (s *Sim) hiddenTrade(st *stock) {
	b := s.message('P', 44, st.locate)
	b[19] = 'B' // always, since 2014
	be.PutUint32(b[20:], s.dice.of(sizes))
	copy(b[24:], st.name[:])
	be.PutUint32(b[32:], price(st.fair))
	be.PutUint64(b[36:], s.match(st))
}

// brokenTrade takes back a trade of late.
func (s *Sim) brokenTrade() {
	t := s.recent[(s.matches-uint64(s.dice.n(int(min(s.matches, uint64(len(s.recent)))))))%uint64(len(s.recent))]
	be.PutUint64(s.message('B', 19, t.locate)[11:], t.match)
}

// crossTrade is the bulk print of an auction.
func (s *Sim) crossTrade(st *stock, shares uint64, ticks int32, cross byte) {
	b := s.message('Q', 40, st.locate)
	be.PutUint64(b[11:], shares)
	copy(b[19:], st.name[:])
	if shares > 0 {
		be.PutUint32(b[27:], price(ticks))
	}
	be.PutUint64(b[31:], s.match(st))
	b[39] = cross
}

// imbalance is the indication before an auction.
func (s *Sim) imbalance(st *stock, cross byte) {
	b := s.message('I', 50, st.locate)
	be.PutUint64(b[11:], uint64(100*s.dice.n(500)))
	if excess := s.dice.n(200) - 20; excess <= 0 {
		b[27] = 'N'
	} else {
		be.PutUint64(b[19:], uint64(100*excess))
		b[27] = "BS"[s.dice.n(2)]
	}
	copy(b[28:], st.name[:])
	be.PutUint32(b[36:], price(st.fair-1))
	be.PutUint32(b[40:], price(st.fair+1))
	be.PutUint32(b[44:], price(st.fair))
	b[48], b[49] = cross, 'L'
}
