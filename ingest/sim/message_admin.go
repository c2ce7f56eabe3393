package sim

import (
	"math"
	"time"
)

// participants are the market participants that show their name.
var participants = []string{"ALFA", "BRVO", "CHRL", "DLTA", "ECHO", "FOXT", "GOLF", "HOTL"}

// system tells an hour of the day: O and C bound the messages, S and E the
// system's hours, Q and M the market's.
func (s *Sim) system(code byte) {
	s.message('S', 12, 0)[11] = code
}

func (s *Sim) directory(st *stock) {
	b := s.message('R', 39, st.locate)
	copy(b[11:], st.name[:])
	b[19], b[20] = 'Q', 'N' // global select market, normal
	be.PutUint32(b[21:], 100)
	b[25] = 'N'       // odd lots are taken
	copy(b[26:], "C") // common stock, without a sub-type
	copy(b[27:], "Z ")
	b[29], b[30], b[31], b[32], b[33] = 'P', 'N', 'N', '1', 'N'
	b[38] = 'N'
}

// tradingAction tells that a stock is halted (H), paused (P), quoted only (Q) or traded (T).
func (s *Sim) tradingAction(st *stock, action byte, reason string) {
	b := s.message('H', 25, st.locate)
	copy(b[11:], st.name[:])
	b[19], b[20] = action, ' '
	copy(b[21:25], "    ")
	copy(b[21:25], reason)
}

// regSHO tells whether short sales are restricted: no, since today, since yesterday.
func (s *Sim) regSHO(st *stock, action byte) {
	b := s.message('Y', 20, st.locate)
	copy(b[11:], st.name[:])
	b[19] = action
}

func (s *Sim) position(st *stock, participant int, status byte) {
	b := s.message('L', 26, st.locate)
	copy(b[11:], participants[participant%len(participants)])
	copy(b[15:], st.name[:])
	b[23], b[24], b[25] = 'Y', 'N', status
}

// breakerLevels are the market-wide circuit breaker's: 7, 13 and 20 % below the
// last close, in prices of eight decimals.
func (s *Sim) breakerLevels() {
	const close = 5_000_00000000
	b := s.message('V', 35, 0)
	be.PutUint64(b[11:], close/100*93)
	be.PutUint64(b[19:], close/100*87)
	be.PutUint64(b[27:], close/100*80)
}

// breakerBreached tells of a breach of the first level, as it is after 15:25,
// when it halts nothing.
func (s *Sim) breakerBreached() {
	s.message('W', 12, 0)[11] = '1'
}

func (s *Sim) quotingPeriod(st *stock) {
	b := s.message('K', 28, st.locate)
	copy(b[11:], st.name[:])
	be.PutUint32(b[19:], 10*3600+15*60) // released at 10:15
	b[23] = 'A'
	be.PutUint32(b[24:], price(st.fair))
}

// collar bounds the auction after a volatility pause.
func (s *Sim) collar(st *stock) {
	b := s.message('J', 35, st.locate)
	copy(b[11:], st.name[:])
	be.PutUint32(b[19:], price(st.fair))
	be.PutUint32(b[23:], price(st.fair+st.fair/20+1))
	be.PutUint32(b[27:], price(st.fair-st.fair/20))
}

func (s *Sim) operationalHalt(st *stock, action byte) {
	b := s.message('h', 21, st.locate)
	copy(b[11:], st.name[:])
	b[19], b[20] = 'Q', action
}

func (s *Sim) retailInterest(st *stock) {
	b := s.message('N', 20, st.locate)
	copy(b[11:], st.name[:])
	b[19] = "BSAN"[s.dice.n(4)]
}

// directListing gives the bounds of the opening of a listing that raises capital.
func (s *Sim) directListing(st *stock) {
	b := s.message('O', 48, st.locate)
	copy(b[11:], st.name[:])
	b[19] = 'N'
	be.PutUint32(b[20:], price(st.fair/2))
	be.PutUint32(b[24:], price(min(st.fair*2, math.MaxInt32/tick)))
	be.PutUint32(b[28:], price(st.fair))
	be.PutUint64(b[32:], uint64(10*time.Hour)) // not the clock's: the flow is the seed's alone
	be.PutUint32(b[40:], price(st.fair-st.fair/10))
	be.PutUint32(b[44:], price(st.fair+st.fair/10))
}
