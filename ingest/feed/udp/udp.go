// Package udp receives the datagrams of a feed: of one line or two, multicast or
// not, and the answers of re-request servers, all in one goroutine.
//
//	       poll ─▶ recvmmsg, a batch per ready socket ─▶ merge by receive time ─▶ Receive
//	line A ──┤
//	line B ──┤
//	servers ─┘
//
// Every datagram has the time at which the kernel received it, in ns since the
// Unix epoch; where the kernel gives none it is the time at which it was read. (So
// it is for some milliseconds after the host's first socket that asks for times.)
// Datagrams of all sockets come in the order of these times, as far as they have
// been read; see [Sockets.Receive] for what that is good for.
//
// A line's socket is bound to its group's address and hears the groups that it
// joined itself, so that groups which share a port do not mix. A server's socket
// is connected, so that nobody else can answer.
//
// Nothing is allocated while receiving. IPv4 and Linux only. A Sockets belongs to
// one goroutine, but for Wake.
package udp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// MaxDatagram is the size of the largest datagram that is received whole; what is
// longer is cut.
const MaxDatagram = 16 << 10

// DefaultReadBuffer is the default of Options.ReadBuffer.
const DefaultReadBuffer = 16 << 20

// Line is where one line of a feed comes from.
type Line struct {
	// Address is the address to receive on: a multicast group "233.54.12.111:26477",
	// or an address of this host's, "127.0.0.1:26477". Port 0 takes a free one. Required.
	Address string
	// Interface joins the group: a name, or an address of it. Default: the system's choice.
	Interface string
	// Source is the only sender of the group to be heard. Default: all are.
	Source string
}

// Options say what to receive.
type Options struct {
	// Lines are numbered from 0. Required.
	Lines []Line
	// Servers are the addresses of re-request servers. Their answers come on lines
	// numbered after Lines.
	Servers []string
	// ReadBuffer is each line's receive buffer in bytes. Default: DefaultReadBuffer.
	ReadBuffer int
	// Spin makes Receive look again and again instead of sleeping: a core is spent
	// for some microseconds less.
	Spin bool
	// Now gives the time where the kernel does not. Default: time.Now.
	Now func() time.Time
	// Log takes warnings. Default: discard.
	Log *slog.Logger
}

// Datagram is one datagram, valid until the next call of Receive.
type Datagram struct {
	Line int
	Recv int64 // ns since the Unix epoch
	Data []byte
}

// Open opens the sockets. Every datagram that comes from now on is received.
func Open(opts Options) (*Sockets, error) {
	if len(opts.Lines) == 0 {
		return nil, errors.New("udp: no lines: give the address to receive on")
	}
	if opts.ReadBuffer <= 0 {
		opts.ReadBuffer = DefaultReadBuffer
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sockets{opts: opts, wake: -1}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sockets) open() (err error) {
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("udp: eventfd: %w", err)
	}
	for _, l := range s.opts.Lines {
		fd, err := openLine(l)
		if err != nil {
			return fmt.Errorf("receive on %s: %w", l.Address, err)
		}
		if err := s.add(fd, l.Address); err != nil {
			return err
		}
	}
	for _, address := range s.opts.Servers {
		fd, err := openServer(address)
		if err != nil {
			return fmt.Errorf("re-request server %s: %w", address, err)
		}
		if err := s.add(fd, address); err != nil {
			return err
		}
	}
	for _, r := range s.sockets {
		s.polls = append(s.polls, unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN})
	}
	s.polls = append(s.polls, unix.PollFd{Fd: int32(s.wake), Events: unix.POLLIN})
	s.out = make([]Datagram, 0, len(s.sockets)*batchSize)
	return nil
}

// add takes a socket over.
func (s *Sockets) add(fd int, address string) error {
	s.sockets = append(s.sockets, newSocket(fd))
	got, err := setReadBuffer(fd, s.opts.ReadBuffer)
	if err != nil {
		return fmt.Errorf("receive on %s: %w", address, err)
	}
	if got < s.opts.ReadBuffer {
		s.opts.Log.Warn("the kernel gives a smaller receive buffer: bursts may be lost; raise net.core.rmem_max",
			"address", address, "asked_bytes", s.opts.ReadBuffer, "given_bytes", got)
	}
	return nil
}

// parseAddress reads an IPv4 address and port.
func parseAddress(text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, fmt.Errorf("address %q: %w (write address:port)", text, err)
	}
	if a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()); !a.Addr().Is4() {
		return a, fmt.Errorf("address %q: only IPv4 is supported", text)
	}
	return a, nil
}

// Addr gives a line's own address, with the port that was given for port 0.
func (s *Sockets) Addr(line int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(s.sockets[line].fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("udp: getsockname: %w", err)
	}
	in, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return netip.AddrPort{}, errors.New("udp: getsockname: no IPv4 address")
	}
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
}

// Name gives the address of a line, with its port, or of a server.
func (s *Sockets) Name(line int) string {
	if i := line - len(s.opts.Lines); i >= 0 {
		return s.opts.Servers[i]
	}
	if addr, err := s.Addr(line); err == nil {
		return addr.String()
	}
	return s.opts.Lines[line].Address
}

// Close closes the sockets. Receive must not be running.
func (s *Sockets) Close() error {
	var errs []error
	for _, r := range s.sockets {
		errs = append(errs, unix.Close(r.fd))
	}
	s.wakeMu.Lock()
	defer s.wakeMu.Unlock()
	if s.wake >= 0 {
		errs = append(errs, unix.Close(s.wake))
	}
	s.sockets, s.wake = nil, -1
	return errors.Join(errs...)
}
