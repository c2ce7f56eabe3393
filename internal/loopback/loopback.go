// Package loopback opens ports that are closed to other machines by default: what
// has neither TLS nor tokens listens on loopback, unless it is told otherwise.
package loopback

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Listen listens on an address. Flag is the option that says which, for errors. An
// address that is not loopback is refused unless insecure is set.
func Listen(flag, addr string, insecure bool) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return nil, fmt.Errorf("--%s %q: write it as host:port, such as 127.0.0.1:8080", flag, addr)
	}
	if !insecure && !isLoopback(host) {
		return nil, fmt.Errorf("--%s %s: an address that is not loopback needs TLS and tokens; --insecure to override", flag, addr)
	}
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--%s %s: the port is in use by another program: stop it, or give --%s another port", flag, addr, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flag, addr, err)
	}
	return l, nil
}

// isLoopback tells whether a host is this machine alone. Names other than
// localhost are not looked up: what they mean can change.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
