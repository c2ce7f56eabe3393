package sim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendBuffer is the size that is asked for of a socket's send buffer, in bytes.
const sendBuffer = 4 << 20

// dial opens the socket of a line.
func dial(opts LineOptions) (*net.UDPConn, error) {
	addr, err := netip.ParseAddrPort(opts.To)
	if err != nil {
		return nil, fmt.Errorf("sim: line to %q: %w (write address:port)", opts.To, err)
	}
	if opts.TTL < 0 || opts.TTL > 255 {
		return nil, fmt.Errorf("sim: line to %s: TTL %d: 0 to 255", opts.To, opts.TTL)
	}
	if opts.Interface != "" && !addr.Addr().IsMulticast() {
		return nil, fmt.Errorf("sim: line to %s: interface %q: only a multicast group is sent to by an interface", opts.To, opts.Interface)
	}
	dialer := net.Dialer{}
	if addr.Addr().IsMulticast() {
		if dialer.Control, err = multicast(addr.Addr(), opts); err != nil {
			return nil, fmt.Errorf("sim: line to %s: %w", opts.To, err)
		}
	}
	conn, err := dialer.Dial("udp", opts.To)
	if err != nil {
		return nil, fmt.Errorf("sim: line to %s: %w", opts.To, err)
	}
	udp := conn.(*net.UDPConn)
	_ = udp.SetWriteBuffer(sendBuffer) // as large as the system allows
	return udp, nil
}

// multicast gives what sets a socket's way to a group. It comes before the socket
// is connected, which otherwise needs a route.
func multicast(group netip.Addr, opts LineOptions) (func(network, address string, c syscall.RawConn) error, error) {
	index, loop, set := 0, 1, multicast6
	if opts.Interface != "" {
		ifi, err := net.InterfaceByName(opts.Interface)
		if err != nil {
			return nil, fmt.Errorf("interface %q: %w", opts.Interface, err)
		}
		index = ifi.Index
	}
	if opts.NoLoopback {
		loop = 0
	}
	if group.Is4() {
		set = multicast4
	}
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = set(int(fd), index, opts.TTL, loop) })
		return errors.Join(err, failed)
	}, nil
}

func multicast4(fd, index, ttl, loop int) error {
	var err error
	if index > 0 {
		err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)})
	}
	return errors.Join(err,
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, loop))
}

func multicast6(fd, index, ttl, loop int) error {
	var err error
	if index > 0 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index)
	}
	return errors.Join(err,
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, ttl),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, loop))
}
