package udp

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Sockets are the open sockets of a feed. Close them after use.
type Sockets struct {
	opts    Options
	sockets []*socket // of the lines, then of the servers
	polls   []unix.PollFd
	out     []Datagram

	woken  atomic.Bool
	wakeMu sync.Mutex // for a Wake that comes while Close runs
	wake   int        // eventfd that ends a wait; -1 when closed
}

// Receive gives the datagrams that have come. If there are none it waits for up to
// the given time, and for nothing at all with Spin. It may return none.
//
// Until tells that everything which was received before it is given by now: a
// deadline at or before it has passed without a datagram that would have met it.
// It is 0 when that cannot be told because there is more to read. Receive does
// not fail because of what anyone sends; an error is the system's and final.
func (s *Sockets) Receive(wait time.Duration) (batch []Datagram, until int64, err error) {
	s.out = s.out[:0]
	until = s.opts.Now().UnixNano()
	if s.opts.Spin {
		err = s.readAll()
	} else {
		until, err = s.poll(until, max(wait, 0))
	}
	if err != nil {
		return nil, 0, err
	}
	if s.merge() {
		until = 0
	}
	return s.out, until, nil
}

// poll waits until a socket has something, and reads those that have.
func (s *Sockets) poll(now int64, wait time.Duration) (until int64, err error) {
	for _, r := range s.sockets {
		if r.at < r.n || r.more {
			wait = 0
		}
	}
	ts := unix.NsecToTimespec(int64(wait))
	n, err := unix.Ppoll(s.polls, &ts, nil)
	switch {
	case errors.Is(err, unix.EINTR):
		return now, nil
	case err != nil:
		return 0, fmt.Errorf("udp: poll: %w", err)
	case n == 0:
		now += int64(wait)
	}
	if s.polls[len(s.sockets)].Revents != 0 {
		s.woke()
	}
	for i, r := range s.sockets {
		switch {
		case r.at < r.n:
		case s.polls[i].Revents == 0:
			r.more = false
		default:
			if err := r.read(s.opts.Now); err != nil {
				return 0, fmt.Errorf("udp: line %d: %w", i, err)
			}
		}
	}
	return now, nil
}

// readAll reads every socket whose datagrams were given.
func (s *Sockets) readAll() error {
	if s.woken.Load() {
		s.woke()
	}
	for i, r := range s.sockets {
		if r.at == r.n {
			if err := r.read(s.opts.Now); err != nil {
				return fmt.Errorf("udp: line %d: %w", i, err)
			}
		}
	}
	return nil
}

// merge puts out the datagrams of all sockets by receive time, as far as no socket
// can have an earlier one that is not read. It tells whether there is more.
func (s *Sockets) merge() (more bool) {
	for {
		first := -1
		for i, r := range s.sockets {
			switch {
			case r.at == r.n && r.more:
				return true
			case r.at < r.n && (first < 0 || r.recv[r.at] < s.sockets[first].recv[s.sockets[first].at]):
				first = i
			}
		}
		if first < 0 {
			return false
		}
		r := s.sockets[first]
		s.out = append(s.out, Datagram{Line: first, Recv: r.recv[r.at], Data: r.data(r.at)})
		r.at++
	}
}

// Send sends a request to a server. It does not wait.
func (s *Sockets) Send(server int, request []byte) error {
	fd := s.sockets[len(s.opts.Lines)+server].fd
	_, err := unix.SendmsgN(fd, request, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err != nil {
		return fmt.Errorf("udp: send to %s: %w", s.opts.Servers[server], err)
	}
	return nil
}

// Wake makes a Receive that waits return, or the next one. Any goroutine may call
// it, at any time.
func (s *Sockets) Wake() {
	s.wakeMu.Lock()
	defer s.wakeMu.Unlock()
	if s.wake < 0 {
		return
	}
	s.woken.Store(true)
	_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // it fails only when it is set already
}

// woke takes the sign of Wake back.
func (s *Sockets) woke() {
	s.woken.Store(false)
	var b [8]byte
	_, _ = unix.Read(s.wake, b[:])
}

// Dropped gives how many datagrams of a line the kernel has dropped for want of
// buffer, as far as a later one has told.
func (s *Sockets) Dropped(line int) uint64 { return s.sockets[line].dropped }
