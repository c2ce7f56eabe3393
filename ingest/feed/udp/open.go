package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// openLine opens the socket of a line, bound and joined.
func openLine(l Line) (int, error) {
	addr, err := parseAddress(l.Address)
	if err != nil {
		return -1, err
	}
	if !addr.Addr().IsMulticast() && (l.Interface != "" || l.Source != "") {
		return -1, fmt.Errorf("interface %q, source %q: they are for multicast groups, and %s is none", l.Interface, l.Source, addr.Addr())
	}
	fd, err := newUDP()
	if err != nil {
		return -1, err
	}
	if err := bindLine(fd, l, addr); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func newUDP() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := setUp(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// bindLine binds to the group's own address, so that datagrams to other groups,
// or to this host itself, do not come in.
func bindLine(fd int, l Line, addr netip.AddrPort) error {
	group := addr.Addr().IsMulticast()
	if group { // several processes may follow one group
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fmt.Errorf("SO_REUSEADDR: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0); err != nil {
			return fmt.Errorf("IP_MULTICAST_ALL: %w", err)
		}
	}
	if err := unix.Bind(fd, sockaddr(addr)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if !group {
		return nil
	}
	return join(fd, l, addr.Addr())
}

// join joins a group on an interface, of all senders or of one.
func join(fd int, l Line, group netip.Addr) error {
	index, err := interfaceIndex(l.Interface)
	if err != nil {
		return err
	}
	if l.Source == "" {
		m := unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(index)}
		if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("join %s on interface %q: %w", group, l.Interface, err)
		}
		return nil
	}
	source, err := netip.ParseAddr(l.Source)
	if err != nil || !source.Is4() || source.IsMulticast() {
		return fmt.Errorf("source %q: write the sender's IPv4 address", l.Source)
	}
	req := groupSourceReq(index, group, source)
	if err := unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.MCAST_JOIN_SOURCE_GROUP, string(req)); err != nil {
		return fmt.Errorf("join %s of %s on interface %q: %w", group, source, l.Interface, err)
	}
	return nil
}

// groupSourceReq makes a struct group_source_req of a 64-bit Linux: the
// interface's index, then, aligned to 8 bytes, two struct sockaddr_storage.
func groupSourceReq(index int, group, source netip.Addr) []byte {
	const storage = 128
	b := make([]byte, 8+2*storage)
	binary.NativeEndian.PutUint32(b, uint32(index))
	for i, a := range []netip.Addr{group, source} {
		at := b[8+i*storage:]
		binary.NativeEndian.PutUint16(at, unix.AF_INET)
		copy(at[4:], a.AsSlice())
	}
	return b
}

// interfaceIndex finds an interface by name or by one of its addresses; 0 is the
// system's choice.
func interfaceIndex(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return 0, fmt.Errorf("interface %q: %w", name, err)
		}
		return ifi.Index, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return 0, fmt.Errorf("interface %q: %w", name, err)
	}
	for _, ifi := range all {
		addrs, err := ifi.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == addr {
				return ifi.Index, nil
			}
		}
	}
	return 0, fmt.Errorf("interface %q: no interface has that address", name)
}

// openServer opens a socket that talks to one re-request server.
func openServer(address string) (int, error) {
	addr, err := parseAddress(address)
	if err != nil {
		return -1, err
	}
	fd, err := newUDP()
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, sockaddr(addr)); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

// setUp asks for the kernel's receive times and its count of drops.
func setUp(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("SO_TIMESTAMPNS: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return fmt.Errorf("SO_RXQ_OVFL: %w", err)
	}
	return nil
}

// setReadBuffer sets the receive buffer and gives what the kernel made of it.
// A process with CAP_NET_ADMIN may exceed net.core.rmem_max.
func setReadBuffer(fd, size int) (int, error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size); err != nil {
			return 0, fmt.Errorf("set a receive buffer of %d bytes: %w", size, err)
		}
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, fmt.Errorf("SO_RCVBUF: %w", err)
	}
	return got / 2, nil // the kernel doubles it for its own needs
}
