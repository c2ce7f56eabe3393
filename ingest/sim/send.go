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
	// Messages is how many messages to send at least before the session ends;
	// default 0: until the context is done.
	Messages uint64
	// Heartbeat is the longest time without a packet; default 1 s.
	Heartbeat time.Duration
	// Unpaced sends as fast as the connection takes it; default: at the session's rate.
	Unpaced bool
}

// Send sends packets to conn, each with one Write, at the session's mean rate,
// with heartbeats while nothing is due, and the end of the session at the end.
// It returns nil when the context is done or all messages are sent, and an error
// when a write fails. A connected UDP socket serves as conn; that nobody listens
// at the other end is no failure, as it is none for multicast.
func Send(ctx context.Context, conn io.Writer, s *Sim, opts SendOptions) error {
	if opts.Heartbeat <= 0 {
		opts.Heartbeat = time.Second
	}
	p := pacer{start: time.Now(), first: s.Seq(), rate: s.opts.Rate, heartbeat: opts.Heartbeat}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil && (opts.Messages == 0 || s.Seq()-p.first < opts.Messages) {
		if wait := p.wait(s.Seq()); wait > 0 && !opts.Unpaced {
			if err := p.rest(ctx, timer, wait, conn, s); err != nil {
				return err
			}
			continue
		}
		if err := write(conn, s.NextPacket(time.Now())); err != nil {
			return err
		}
	}
	return write(conn, s.EndOfSession())
}

// pacer knows when the next packet is due.
type pacer struct {
	start     time.Time
	first     uint64 // sequence at start
	rate      float64
	heartbeat time.Duration
}

// wait gives how long the message after seq has to wait.
func (p *pacer) wait(seq uint64) time.Duration {
	due := time.Duration(float64(seq-p.first) / p.rate * float64(time.Second))
	return due - time.Since(p.start)
}

// rest waits, but not longer than a heartbeat, which it then sends.
func (p *pacer) rest(ctx context.Context, timer *time.Timer, wait time.Duration, conn io.Writer, s *Sim) error {
	timer.Reset(min(wait, p.heartbeat))
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
	}
	if wait < p.heartbeat {
		return nil
	}
	return write(conn, s.Heartbeat())
}

func write(conn io.Writer, packet []byte) error {
	if _, err := conn.Write(packet); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("sim: send: %w", err)
	}
	return nil
}
