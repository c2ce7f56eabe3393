package sim

import (
	"encoding/binary"

	"chronicle/market"
)

var be = binary.BigEndian

// message begins a message of the given size, its length first, and gives its bytes.
func (s *Sim) message(typ byte, size int, locate uint16) []byte {
	at := len(s.packet)
	s.packet = be.AppendUint16(s.packet, uint16(size))
	s.packet = append(s.packet, make([]byte, size)...)
	b := s.packet[at+2:]
	b[0] = typ
	be.PutUint16(b[1:], locate)
	be.PutUint16(b[5:], uint16(s.nanos>>32))
	be.PutUint32(b[7:], uint32(s.nanos))
	s.seq++
	s.count++
	return b
}

func (s *Sim) system(code byte) {
	s.message('S', 12, 0)[11] = code
}

func (s *Sim) directory(st *stock) {
	b := s.message('R', 39, st.locate)
	copy(b[11:], st.name[:])
	b[19], b[20] = 'Q', 'N' // global select market, normal
	be.PutUint32(b[21:], 100)
	copy(b[25:], "NC  PN 1N")
	be.PutUint32(b[34:], 0)
	b[38] = 'N'
}

func (s *Sim) tradingAction(st *stock, state byte) {
	b := s.message('H', 25, st.locate)
	copy(b[11:], st.name[:])
	b[19], b[20] = state, ' '
	copy(b[21:], "    ")
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
	be.PutUint32(b[32:], uint32(o.ticks*tick))
	if attributed {
		copy(b[36:], "SIMU")
	}
}

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
	be.PutUint32(b[31:], uint32(o.ticks*tick))
}

func (s *Sim) executed(st *stock, id uint64, size uint32) {
	b := s.message('E', 31, st.locate)
	be.PutUint64(b[11:], id)
	be.PutUint32(b[19:], size)
	be.PutUint64(b[23:], s.matches)
}

// executedAtPrice is an execution at another price than the order's.
func (s *Sim) executedAtPrice(st *stock, o *order, size uint32, printable bool) {
	b := s.message('C', 36, st.locate)
	be.PutUint64(b[11:], o.id)
	be.PutUint32(b[19:], size)
	be.PutUint64(b[23:], s.matches)
	b[31] = 'N'
	if printable {
		b[31] = 'Y'
	}
	be.PutUint32(b[32:], uint32(o.ticks*tick+tick/2))
}

func (s *Sim) tradeMessage(st *stock, size uint32, ticks int64) {
	b := s.message('P', 44, st.locate)
	b[19] = 'B'
	be.PutUint32(b[20:], size)
	copy(b[24:], st.name[:])
	be.PutUint32(b[32:], uint32(ticks*tick))
	be.PutUint64(b[36:], s.matches)
}
