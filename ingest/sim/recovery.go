package sim

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// RecoveryOptions describe a re-request server.
type RecoveryOptions struct {
	// Messages and Bytes bound the history; defaults 1 Mi and 64 MiB. A session that
	// was replaced by another keeps its history until that one is replaced too.
	Messages int
	Bytes    int
	// Loss is the probability that an answer is lost; Seed decides which are.
	Loss float64
	Seed uint64
	// Rate is how many requests a second are answered; the others are ignored.
	// Default 0: all are answered.
	Rate float64

	now func() time.Time // default: time.Now
}

// Recovered is what a re-request server did.
type Recovered struct {
	Requests       uint64 `json:"requests"`
	Answered       uint64 `json:"answered"`
	Messages       uint64 `json:"messages"` // in the answers, lost ones included
	Lost           uint64 `json:"lost"`     // of the answers
	Malformed      uint64 `json:"malformed"`
	UnknownSession uint64 `json:"unknown_session"`
	CountZero      uint64 `json:"count_zero"`
	NotYet         uint64 `json:"not_yet"` // for messages that were not sent, or sequence 0
	Forgotten      uint64 `json:"forgotten"`
	Limited        uint64 `json:"limited"` // by Rate
}

// Recovery is a MoldUDP64 re-request server. It keeps the messages of the packets
// that are written to it and answers requests for them:
//
//	request                       answer: a downstream packet
//	 0  session  10 bytes          of the messages from that sequence on, as
//	10  sequence u64               many as were asked for and fit into MaxPacket
//	18  count    u16
//
// Who misses more asks again for the rest. A request that cannot be answered is
// ignored and counted. All methods may be called by any goroutine.
type Recovery struct {
	opts RecoveryOptions

	mu       sync.Mutex
	sessions [2]*kept // the current and the one before; nil when there is none
	dice     *dice
	tokens   float64 // requests that may be answered now
	filled   time.Time
	report   Recovered
}

// NewRecovery makes a server that knows nothing yet.
func NewRecovery(opts RecoveryOptions) (*Recovery, error) {
	if opts.Messages == 0 {
		opts.Messages = 1 << 20
	}
	if opts.Bytes == 0 {
		opts.Bytes = 64 << 20
	}
	if opts.now == nil {
		opts.now = time.Now
	}
	if opts.Messages < 1 || opts.Bytes < MaxPacket {
		return nil, fmt.Errorf("sim: history of %d messages and %d bytes: at least 1 and %d", opts.Messages, opts.Bytes, MaxPacket)
	}
	if !(opts.Loss >= 0 && opts.Loss <= 1) || !(opts.Rate >= 0) {
		return nil, fmt.Errorf("sim: recovery with loss %v and rate %v: the first is 0 to 1, the second not negative", opts.Loss, opts.Rate)
	}
	return &Recovery{opts: opts, dice: newDice(opts.Seed, 0x4ec0)}, nil
}

// Write keeps the messages of a packet, which is one of a Sim. It never fails.
func (r *Recovery) Write(packet []byte) (int, error) {
	if len(packet) < headerSize {
		return len(packet), nil
	}
	session, seq, count := [10]byte(packet[:10]), be.Uint64(packet[10:]), be.Uint16(packet[18:])
	if count == endOfSession {
		count = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.sessions[0]
	switch {
	case h == nil || h.session != session:
		h = newKept(session, seq, r.opts.Messages, r.opts.Bytes)
		r.sessions = [2]*kept{h, r.sessions[0]}
	case h.next != seq:
		h.restart(seq)
	}
	for b := packet[headerSize:]; count > 0 && len(b) >= 2; count-- {
		n := 2 + int(be.Uint16(b))
		if n > len(b) {
			break
		}
		h.keep(b[:n])
		b = b[n:]
	}
	return len(packet), nil
}

// Report tells what was done so far.
func (r *Recovery) Report() Recovered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report
}

// Answer appends the answer to a request to dst; nil when there is none.
func (r *Recovery) Answer(dst, request []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &r.report
	n.Requests++
	if len(request) != headerSize {
		n.Malformed++
		return nil
	}
	h := r.sessions[0]
	if h == nil || h.session != [10]byte(request) {
		h = r.sessions[1]
	}
	seq, count := be.Uint64(request[10:]), be.Uint16(request[18:])
	switch {
	case h == nil || h.session != [10]byte(request):
		n.UnknownSession++
	case count == 0:
		n.CountZero++
	case seq >= h.next || seq == 0:
		n.NotYet++
	case seq < h.first:
		n.Forgotten++
	case !r.allowed():
		n.Limited++
	case r.dice.chance(r.opts.Loss):
		n.Lost++
	default:
		n.Answered++
		answer, messages := h.packet(dst, seq, int(count))
		n.Messages += uint64(messages)
		return answer
	}
	return nil
}

// allowed takes one of the tokens that come in at Rate, up to a tenth of a second's.
func (r *Recovery) allowed() bool {
	if r.opts.Rate == 0 {
		return true
	}
	now := r.opts.now()
	most := max(r.opts.Rate/10, 1)
	if r.filled.IsZero() {
		r.tokens = most
	} else {
		r.tokens = min(r.tokens+now.Sub(r.filled).Seconds()*r.opts.Rate, most)
	}
	r.filled = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// ListenRecovery opens the socket of a server; its LocalAddr tells the port that
// was given for port 0.
func ListenRecovery(address string) (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, fmt.Errorf("sim: recovery on %q: %w (write address:port)", address, err)
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("sim: recovery on %s: %w", address, err)
	}
	return conn, nil
}

// Serve answers the requests that arrive at conn, to where each came from, until
// ctx is done, which is no error. It closes conn.
func (r *Recovery) Serve(ctx context.Context, conn *net.UDPConn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var request [headerSize + 1]byte // a longer one is malformed
	answer := make([]byte, 0, MaxPacket)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(request[:])
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("sim: recovery: %w", err)
		}
		if a := r.Answer(answer[:0], request[:n]); a != nil {
			_, _ = conn.WriteToUDPAddrPort(a, from) // who does not get it asks again
		}
	}
}
