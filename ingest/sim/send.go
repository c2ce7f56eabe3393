package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// SendOptions say how a session is sent.
type SendOptions struct {
	// Messages is how many messages to send before the session ends; default 0:
	// until the context or the session is done.
	Messages uint64
	// Heartbeat is the longest time without a packet; default 1 s.
	Heartbeat time.Duration
	// Unpaced sends as fast as the connection takes it, in full packets; default:
	// at the session's rate.
	Unpaced bool
	// Batch is how long a message may wait for others to share its packet; default
	// 250 µs. A packet goes out when its last message is due, or, where several
	// packets are due within half a millisecond, together with the others.
	Batch time.Duration
	// Start, when set, is a synthetic clock: messages are stamped with when they are
	// due at the session's rate, counted from Start. The packets of a session are
	// then the same in every run.
	Start time.Time
	// KeepOpen leaves the session open: another Send, of the same session or of one
	// that takes its place, may follow on the same line.
	KeepOpen bool
	// Linger is for how long the end of the session is sent again and again, for
	// receivers that lost it or still ask for messages; default 0: it is sent once.
	Linger time.Duration

	time timekeeper // default: realTime
}

// endInterval is the time between two packets that end a session.
const endInterval = 100 * time.Millisecond

func (o *SendOptions) fill() {
	if o.Heartbeat <= 0 {
		o.Heartbeat = time.Second
	}
	if o.Batch <= 0 {
		o.Batch = 250 * time.Microsecond
	}
	if o.time == nil {
		o.time = realTime{}
	}
}

// Send sends packets to conn, each with one Write, at the session's mean rate,
// with heartbeats while nothing is due, and the end of the session at the end.
// It returns nil when the context is done or all messages are sent, and an error
// when a write fails. A connected UDP socket serves as conn, and so do Lines; an
// io.MultiWriter lets a Recovery know what is sent. That nobody listens at the
// other end is no failure, as it is none for multicast.
func Send(ctx context.Context, conn io.Writer, s *Sim, opts SendOptions) error {
	opts.fill()
	x := &sender{
		SendOptions: opts, conn: conn, s: s, start: opts.time.Now(),
		due: newSchedule(s, opts.Unpaced), stamps: newSchedule(s, false),
	}
	x.last = x.start
	for ctx.Err() == nil && !x.complete() {
		if wait := x.due.next(s) - x.since(x.start); wait > 0 {
			if err := x.rest(ctx, wait); err != nil {
				return err
			}
			continue
		}
		if err := x.packet(ctx); err != nil {
			return err
		}
	}
	if opts.KeepOpen {
		return nil
	}
	return end(ctx, conn, s, opts.Linger, opts.time)
}

// End ends a session that Send left open, again and again while it lingers and ctx
// is not done.
func End(ctx context.Context, conn io.Writer, s *Sim, linger time.Duration) error {
	return end(ctx, conn, s, linger, realTime{})
}

func end(ctx context.Context, conn io.Writer, s *Sim, linger time.Duration, clock timekeeper) error {
	over := clock.Now().Add(linger)
	for {
		if _, err := write(conn, s.EndOfSession()); err != nil {
			return err
		}
		next := clock.Now().Add(endInterval)
		if next.After(over) {
			next = over
		}
		for ctx.Err() == nil && clock.Now().Before(next) {
			clock.Sleep(ctx, next.Sub(clock.Now()))
		}
		if ctx.Err() != nil || !clock.Now().Before(over) {
			return nil
		}
	}
}

// sender is one Send in progress.
type sender struct {
	SendOptions
	conn   io.Writer
	s      *Sim
	start  time.Time
	last   time.Time // of the last packet
	due    *schedule
	stamps *schedule // of the synthetic clock
}

func (x *sender) since(t time.Time) time.Duration { return x.time.Now().Sub(t) }

func (x *sender) complete() bool {
	return x.s.Done() || x.Messages > 0 && x.s.seq-x.due.first >= x.Messages
}

// packet makes a packet of the messages that are due within Batch, waits for the
// last of them and sends it.
func (x *sender) packet(ctx context.Context) error {
	s := x.s
	s.begin()
	last := x.due.next(s)
	for limit := last + x.Batch; s.fits() && !x.complete(); {
		due := x.due.next(s)
		if due > limit {
			break
		}
		last = due
		if !x.Start.IsZero() {
			s.clock.stamp(x.Start.Add(x.stamps.next(s)).UnixNano())
		}
		s.step()
	}
	for wait := last - x.since(x.start); wait > 0 && ctx.Err() == nil; wait = last - x.since(x.start) {
		x.time.Sleep(ctx, max(wait, minNap))
	}
	if x.Start.IsZero() {
		s.restamp(x.time.Now())
	}
	return x.write(s.end(s.count))
}

// restamp gives all messages of the packet the time now.
func (s *Sim) restamp(now time.Time) {
	s.clock.stamp(now.UnixNano())
	for b := s.packet[headerSize:]; len(b) > 0; b = b[2+be.Uint16(b):] {
		putTime(b[2:], s.clock.nanos)
	}
}

// rest waits, but not longer than to the next heartbeat, which it then sends.
func (x *sender) rest(ctx context.Context, wait time.Duration) error {
	beat := x.Heartbeat - x.since(x.last)
	if beat <= 0 {
		return x.write(x.s.Heartbeat())
	}
	x.time.Sleep(ctx, max(min(wait, beat), minNap))
	return nil
}

func (x *sender) write(packet []byte) error {
	x.last = x.time.Now()
	_, err := write(x.conn, packet)
	return err
}

// write sends a packet; refused tells that nobody listened for one of late. A socket
// reports that of an earlier packet and does not send the present one, which is
// therefore tried again.
func write(conn io.Writer, packet []byte) (refused bool, err error) {
	for range 2 {
		if _, err = conn.Write(packet); !errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		refused = true
	}
	if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		return refused, fmt.Errorf("sim: send: %w", err)
	}
	return refused, nil
}
