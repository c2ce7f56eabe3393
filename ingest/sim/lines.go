package sim

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// LineOptions describe one line.
type LineOptions struct {
	// To is the UDP address to send to, "127.0.0.1:26477" or a multicast group
	// "239.1.2.3:26477". Interface, TTL and NoLoopback are for groups: the outgoing
	// network interface (default: the system's choice), how far packets go (0: not
	// beyond this host, 1: the local network), and whether this host's own receivers
	// are left out.
	To         string
	Interface  string
	TTL        int
	NoLoopback bool
	// Writer takes the packets instead of To, each with one Write. Lines closes it
	// when it is an io.Closer.
	Writer io.Writer
	// Delay is how long every packet of the line is late.
	Delay time.Duration
	Faults
}

// LinesOptions describe the lines of a feed.
type LinesOptions struct {
	A LineOptions
	B *LineOptions // nil: there is one line
	// Seed decides all faults: the same packets with the same seed fare the same.
	Seed uint64
}

// Lines is a feed's pair of lines: every packet written goes out on both, and each
// line loses, repeats and reorders packets on its own. What it did it tells.
//
// Write and Close belong to one goroutine; Report may be called by any.
type Lines struct {
	a, b    *line
	session [10]byte
	name    string // of the session, for the report
	next    uint64 // sequence after the last message
	epoch   int
	mu      sync.Mutex
	report  Report
}

// NewLines opens the lines.
func NewLines(opts LinesOptions) (*Lines, error) {
	a, err := newLine(opts.A, opts.Seed, 'A')
	if err != nil {
		return nil, err
	}
	l := &Lines{a: a, epoch: -1}
	if opts.B == nil {
		return l, nil
	}
	if l.b, err = newLine(*opts.B, opts.Seed, 'B'); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return l, nil
}

// Write sends one packet. It fails when a line cannot be written to.
func (l *Lines) Write(packet []byte) (int, error) {
	if len(packet) < headerSize {
		return 0, fmt.Errorf("sim: packet of %d bytes: a MoldUDP64 packet has at least %d", len(packet), headerSize)
	}
	seq, count := be.Uint64(packet[10:]), int(be.Uint16(packet[18:]))
	ends := count == endOfSession
	if ends {
		count = 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch < 0 || [10]byte(packet[:10]) != l.session || seq < l.next {
		l.session, l.epoch = [10]byte(packet[:10]), l.epoch+1
		l.name = strings.TrimRight(string(packet[:10]), " ")
		ends = true // nothing of the old session comes after this
	}
	l.next = seq + uint64(count)
	r := Range{l.epoch, l.name, seq, seq + uint64(count) - 1}
	lost, err := l.a.send(packet, r, count, ends)
	if l.b != nil {
		lostB, errB := l.b.send(packet, r, count, ends)
		lost, err = lost && lostB, firstError(err, errB)
	}
	l.report.Packets++
	l.report.Messages += uint64(count)
	if lost && count > 0 {
		l.report.LostBoth += uint64(count)
		l.report.Lost = addRange(l.report.Lost, r)
	}
	return len(packet), err
}

// Report tells what was done so far.
func (l *Lines) Report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.report
	r.Lost, r.A = append([]Range{}, r.Lost...), l.a.sent()
	if l.b != nil {
		b := l.b.sent()
		r.B = &b
	}
	return r
}

// Close sends what is still held back or late and closes the lines.
func (l *Lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.a.close()
	if l.b != nil {
		err = errors.Join(err, l.b.close())
	}
	return err
}
