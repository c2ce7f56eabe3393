package loopback

import (
	"net"
	"strings"
	"testing"
)

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1": true, "::1": true, "localhost": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "192.168.1.2": false, "example.com": false, "127.0.0.1.example.com": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("isLoopback(%q) = %v, want %v", host, got, want)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:0":      "--rest 0.0.0.0:0: an address that is not loopback needs TLS and tokens; --insecure to override",
		":0":             "--rest :0: an address that is not loopback needs TLS and tokens; --insecure to override",
		"127.0.0.1":      `--rest "127.0.0.1": write it as host:port, such as 127.0.0.1:8080`,
		"127.0.0.1:":     `--rest "127.0.0.1:": write it as host:port, such as 127.0.0.1:8080`,
		"127.0.0.1:name": "--rest 127.0.0.1:name: listen tcp",
	} {
		if l, err := Listen("rest", addr, false); err == nil {
			l.Close()
			t.Errorf("%s was opened", addr)
		} else if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %q, want %q", addr, err, want)
		}
	}
}

func TestListenInsecure(t *testing.T) {
	l, err := Listen("rest", "0.0.0.0:0", true)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	_, err = Listen("flight", addr, false)
	want := "--flight " + addr + ": the port is in use by another program: stop it, or give --flight another port"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}
