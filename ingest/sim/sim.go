// Package sim makes a market: a reproducible flow of orders for a number of
// symbols, as ITCH 5.0 messages over MoldUDP64, and the true books to check
// against. It exists for trying the system without a venue, and for tests.
//
// The flow of one seed is always the same; only the time stamps come from the
// caller's clock. A session begins with a system event, a directory message and
// a trading action for each symbol; then orders are added, cancelled, reduced,
// replaced and executed around a fair price that walks at random, in ticks of
// 0.01. Bids stay below asks at all times.
//
// The package knows the two wire formats by itself and uses none of the feed's
// decoders, so that neither can hide the other's mistake.
//
// A Sim belongs to one goroutine.
package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
	_ "time/tzdata" // New York's midnight must not depend on the machine

	"chronicle/market"
)

// MaxPacket bounds a packet, header included, in bytes.
const MaxPacket = 1200

const (
	headerSize   = 20
	endOfSession = 0xffff
	maxMessage   = 2 + 50 // the longest message with its length
)

// Options describe a simulated session.
type Options struct {
	Seed    uint64   // seed of everything that is random
	Symbols []string // up to 8 characters each; default AAPL, MSFT, NVDA
	// Rate is the mean number of messages a second, over all symbols, that Send
	// keeps; default 1000.
	Rate float64
	// Session is the session's name, up to 10 characters. A receiver takes two
	// sessions of one name for the same session. Default "SIM" and 7 digits of the seed.
	Session string
}

func (o *Options) fill() error {
	if len(o.Symbols) == 0 {
		o.Symbols = []string{"AAPL", "MSFT", "NVDA"}
	}
	if o.Rate == 0 {
		o.Rate = 1000
	}
	if o.Session == "" {
		o.Session = fmt.Sprintf("SIM%07d", o.Seed%10_000_000)
	}
	if o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0) {
		return fmt.Errorf("sim: rate %v: must be a positive number of messages a second", o.Rate)
	}
	if len(o.Session) > 10 {
		return fmt.Errorf("sim: session %q: at most 10 characters", o.Session)
	}
	if len(o.Symbols) > math.MaxUint16 {
		return fmt.Errorf("sim: %d symbols: at most %d", len(o.Symbols), math.MaxUint16)
	}
	seen := make(map[string]bool)
	for _, s := range o.Symbols {
		if s == "" || len(s) > 8 || strings.TrimSpace(s) != s || seen[s] {
			return fmt.Errorf("sim: symbol %q: 1 to 8 characters, each once", s)
		}
		seen[s] = true
	}
	return nil
}

// Sim is a simulated session.
type Sim struct {
	opts    Options
	random  *rand.Rand
	stocks  []*stock
	bySym   map[string]*stock
	session [10]byte
	newYork *time.Location

	seq     uint64 // of the last message made
	orders  uint64 // the last order number given
	matches uint64 // the last match number given
	started int    // opening messages made
	now     time.Time
	nanos   uint64 // now, since midnight in New York
	packet  []byte
	count   int // messages in packet
}

// New makes a session; nothing has been sent yet.
func New(opts Options) (*Sim, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		return nil, errors.Join(errors.New("sim: no time zone data"), err)
	}
	s := &Sim{
		opts: opts, random: rand.New(rand.NewPCG(opts.Seed, 0x5eed)), newYork: newYork,
		bySym: make(map[string]*stock), packet: make([]byte, 0, MaxPacket),
	}
	copy(s.session[:], fmt.Sprintf("%-10s", opts.Session))
	for i, name := range opts.Symbols {
		st := newStock(uint16(i+1), name, int64(2_000+s.random.IntN(48_000)))
		s.stocks = append(s.stocks, st)
		s.bySym[name] = st
	}
	return s, nil
}

// Seq gives the sequence of the last message made; 0 before the first.
func (s *Sim) Seq() uint64 { return s.seq }

// Session gives the session's name.
func (s *Sim) Session() string { return s.opts.Session }

// NextPacket makes the next packet: one or more messages, stamped with now. The
// bytes are valid until the next call.
func (s *Sim) NextPacket(now time.Time) []byte {
	s.stamp(now)
	s.begin()
	for burst := s.burst(); s.count < burst && len(s.packet)+maxMessage <= MaxPacket; {
		s.step()
	}
	return s.end(s.count)
}

// Heartbeat makes a packet without messages. The bytes are valid until the next call.
func (s *Sim) Heartbeat() []byte {
	s.begin()
	return s.end(0)
}

// EndOfSession makes the packet that ends the session.
func (s *Sim) EndOfSession() []byte {
	s.begin()
	return s.end(endOfSession)
}

// stamp takes the time of the messages to come; it never goes back.
func (s *Sim) stamp(now time.Time) {
	if now.Before(s.now) {
		now = s.now
	}
	s.now = now
	now = now.In(s.newYork)
	y, m, d := now.Date()
	s.nanos = uint64(now.Sub(time.Date(y, m, d, 0, 0, 0, 0, s.newYork)))
}

// burst gives how many messages come together: the opening all at once, later
// mostly few.
func (s *Sim) burst() int {
	if s.started < s.opening() {
		return MaxPacket
	}
	n := 1
	for s.random.Float64() < 0.5 {
		n++
	}
	return n
}

func (s *Sim) begin() {
	s.packet = append(s.packet[:0], s.session[:]...)
	s.packet = binary.BigEndian.AppendUint64(s.packet, s.seq+1)
	s.packet = append(s.packet, 0, 0)
	s.count = 0
}

func (s *Sim) end(count int) []byte {
	binary.BigEndian.PutUint16(s.packet[headerSize-2:], uint16(count))
	return s.packet
}

// Levels gives the best n levels of the true book after message Seq, best
// first; all of them when n is 0. Prices have four decimals. It is nil for an
// unknown symbol.
func (s *Sim) Levels(symbol string, side market.Side, n int) []Level {
	st, ok := s.bySym[symbol]
	if !ok {
		return nil
	}
	levels := st.side(side).levels
	if n > 0 {
		levels = levels[:min(n, len(levels))]
	}
	var out []Level
	for _, l := range levels {
		level := Level{Price: l.ticks * tick, Count: len(l.orders)}
		for _, o := range l.orders {
			level.Size += int64(o.size)
		}
		out = append(out, level)
	}
	return out
}
