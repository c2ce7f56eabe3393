package sim

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"
)

// line is one line of Lines, guarded by its mutex.
type line struct {
	*judge
	out   io.Writer
	done  Sent
	held  []heldPacket
	delay *delay // nil: packets are not late

	mu      sync.Mutex // of refused, which a late packet counts in its own time
	refused uint64
}

// heldPacket waits until others have passed.
type heldPacket struct {
	packet []byte
	left   int // packets to let pass
}

func newLine(opts LineOptions, seed uint64, name byte) (*line, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	n := &line{judge: newJudge(opts.Faults, seed, name), out: opts.Writer}
	if n.out == nil {
		conn, err := dial(opts)
		if err != nil {
			return nil, err
		}
		n.out = conn
	}
	if opts.Delay > 0 {
		n.delay = newDelay(opts.Delay, n.write)
	}
	return n, nil
}

// send decides a packet's fate and carries it out. Before a packet that changes
// sessions everything that is held back is sent.
func (n *line) send(packet []byte, r Range, count int, changes bool) (lost bool, err error) {
	if changes {
		err = n.release(true)
	}
	f := n.decide(count)
	switch {
	case f.lost:
		n.done.LostPackets++
		n.done.LostMessages += uint64(count)
		if f.blackout {
			n.done.InBlackouts += uint64(count)
		}
		if count > 0 {
			n.done.Lost = addRange(n.done.Lost, r)
		}
	case f.hold > 0:
		n.done.Reordered++
		n.held = append(n.held, heldPacket{bytes.Clone(packet), f.hold + 1})
	default:
		err = firstError(err, n.put(packet))
	}
	if f.twice && !f.lost {
		n.done.Duplicated++
		err = firstError(err, n.put(packet))
	}
	if count > 0 {
		err = firstError(err, n.release(false))
	}
	return f.lost, err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// release sends the held packets whose time has come with this packet; or all.
func (n *line) release(all bool) (err error) {
	kept := n.held[:0]
	for _, h := range n.held {
		if h.left--; h.left > 0 && !all {
			kept = append(kept, h)
			continue
		}
		err = firstError(err, n.put(h.packet))
	}
	n.held = kept
	return err
}

// put sends a packet, now or late.
func (n *line) put(packet []byte) error {
	n.done.Packets++
	n.done.Bytes += uint64(len(packet))
	if n.delay != nil {
		return n.delay.put(packet)
	}
	return n.write(packet)
}

func (n *line) write(packet []byte) error {
	refused, err := write(n.out, packet)
	if refused {
		n.mu.Lock()
		n.refused++
		n.mu.Unlock()
	}
	return err
}

func (n *line) sent() Sent {
	s := n.done
	s.Lost = slices.Clone(s.Lost)
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Refused = n.refused
	return s
}

func (n *line) close() error {
	err := n.release(true)
	if n.delay != nil {
		err = firstError(err, n.delay.close())
	}
	if c, ok := n.out.(io.Closer); ok {
		err = firstError(err, c.Close())
	}
	return err
}

// delay lets packets out a fixed time after they came in.
type delay struct {
	by    time.Duration
	queue chan latePacket
	free  chan []byte // buffers to use again
	ended chan error
}

type latePacket struct {
	due    time.Time
	packet []byte
}

// maxLate bounds the packets that are on their way; who puts more waits.
const maxLate = 4096

func newDelay(by time.Duration, write func([]byte) error) *delay {
	d := &delay{by: by, queue: make(chan latePacket, maxLate), free: make(chan []byte, maxLate), ended: make(chan error, 1)}
	go d.run(write)
	return d
}

// run lets packets out. After a failure it only takes them in.
func (d *delay) run(write func([]byte) error) {
	var failed error
	for p := range d.queue {
		for wait := time.Until(p.due); wait > 0 && failed == nil; wait = time.Until(p.due) {
			realTime{}.Sleep(context.Background(), wait)
		}
		if failed == nil {
			failed = write(p.packet)
		}
		select {
		case d.free <- p.packet:
		default:
		}
	}
	d.ended <- failed
}

func (d *delay) put(packet []byte) error {
	var b []byte
	select {
	case b = <-d.free:
	default:
	}
	d.queue <- latePacket{time.Now().Add(d.by), append(b[:0], packet...)}
	return nil
}

// close waits for the last packet and tells what failed.
func (d *delay) close() error {
	close(d.queue)
	return <-d.ended
}
