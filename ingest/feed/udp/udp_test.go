package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain begins when the kernel stamps what it receives: that takes some
// milliseconds from the host's first socket that asks for it.
func TestMain(m *testing.M) {
	s, err := Open(Options{Lines: []Line{loopback}})
	if err != nil {
		panic(err)
	}
	addr, err := s.Addr(0)
	if err != nil {
		panic(err)
	}
	conn, err := net.Dial("udp4", addr.String())
	if err != nil {
		panic(err)
	}
	for stamped := false; !stamped; {
		_, _ = conn.Write([]byte("x"))
		sent := time.Now().UnixNano()
		for time.Now().UnixNano() == sent {
		}
		batch, _, err := s.Receive(time.Second)
		stamped = err != nil || len(batch) == 1 && batch[0].Recv <= sent
	}
	m.Run()
}

// open opens sockets on loopback.
func open(t testing.TB, opts Options) *Sockets {
	t.Helper()
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var loopback = Line{Address: "127.0.0.1:0"}

// dial connects to a line.
func dial(t testing.TB, s *Sockets, line int) *net.UDPConn {
	t.Helper()
	addr, err := s.Addr(line)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// take receives until n datagrams have come, as "line:data", and checks their order.
func take(t testing.TB, s *Sockets, n int) (got []string) {
	t.Helper()
	last := int64(0)
	for end := time.Now().Add(10 * time.Second); len(got) < n && time.Now().Before(end); {
		batch, _, err := s.Receive(100 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range batch {
			got = append(got, fmt.Sprintf("%d:%s", d.Line, d.Data))
			if d.Recv < last {
				t.Errorf("%s was received %d ns before the one before it", got[len(got)-1], last-d.Recv)
			}
			last = d.Recv
		}
	}
	return got
}

func TestTwoLinesInOrderOfReceipt(t *testing.T) {
	for name, spin := range map[string]bool{"poll": false, "spin": true} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Lines: []Line{loopback, loopback}, Spin: spin})
			a, b := dial(t, s, 0), dial(t, s, 1)
			var want []string
			for i := range 150 { // more than a batch on each line
				send(t, a, fmt.Sprint("x", i))
				send(t, b, fmt.Sprint("y", i))
				want = append(want, fmt.Sprint("0:x", i), fmt.Sprint("1:y", i))
			}
			if got := take(t, s, len(want)); !slices.Equal(got, want) {
				t.Errorf("received %v", got)
			}
		})
	}
}

func TestTimesAreTheKernels(t *testing.T) {
	s := open(t, Options{Lines: []Line{loopback}, Now: func() time.Time { return time.Unix(5, 0) }})
	conn := dial(t, s, 0)
	before := time.Now().UnixNano()
	send(t, conn, "hello")
	after := time.Now().UnixNano()
	batch, until, err := s.Receive(time.Second)
	if err != nil || len(batch) != 1 || batch[0].Recv < before || batch[0].Recv > after || until != 5e9 {
		t.Errorf("%+v until %d, %v: want a time between %d and %d", batch, until, err, before, after)
	}
	if err := unix.SetsockoptInt(s.sockets[0].fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 0); err != nil {
		t.Fatal(err)
	}
	send(t, conn, "hello")
	if batch, _, err = s.Receive(time.Second); err != nil || len(batch) != 1 || batch[0].Recv != 5e9 {
		t.Errorf("without the kernel's time: %+v, %v", batch, err)
	}
}

func TestUntil(t *testing.T) {
	now := time.Unix(1000, 0)
	s := open(t, Options{Lines: []Line{loopback, loopback}, Now: func() time.Time { return now }})
	if batch, until, err := s.Receive(2 * time.Millisecond); err != nil || len(batch) != 0 || until != now.UnixNano()+2e6 {
		t.Errorf("after nothing came: %v until %d, %v", batch, until, err)
	}
	a, b := dial(t, s, 0), dial(t, s, 1)
	send(t, b, "first")
	for range batchSize + 1 {
		send(t, a, "x")
	}
	batch, until, err := s.Receive(time.Second)
	if err != nil || len(batch) != batchSize+1 || until != 0 || batch[0].Line != 1 {
		t.Errorf("%d datagrams until %d, %v: there is one more", len(batch), until, err)
	}
	batch, until, err = s.Receive(time.Second)
	if err != nil || len(batch) != 1 || until != now.UnixNano() {
		t.Errorf("%d datagrams until %d, %v", len(batch), until, err)
	}
}

// A batch that was full and had nothing behind it must not hold the other line up.
func TestFullBatchThenSilence(t *testing.T) {
	s := open(t, Options{Lines: []Line{loopback, loopback}})
	a, b := dial(t, s, 0), dial(t, s, 1)
	for range batchSize {
		send(t, a, "x")
	}
	if got := take(t, s, batchSize); len(got) != batchSize {
		t.Fatalf("%d datagrams", len(got))
	}
	send(t, b, "y")
	if got := take(t, s, 1); !slices.Equal(got, []string{"1:y"}) {
		t.Errorf("received %v", got)
	}
}

func TestWake(t *testing.T) {
	for name, spin := range map[string]bool{"poll": false, "spin": true} {
		s := open(t, Options{Lines: []Line{loopback}, Spin: spin})
		ctx, cancel := context.WithCancel(context.Background())
		defer context.AfterFunc(ctx, s.Wake)()
		done := make(chan error, 1)
		go func() {
			for ctx.Err() == nil {
				if _, _, err := s.Receive(time.Hour); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: Receive does not end", name)
		}
	}
}

func TestServer(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := open(t, Options{Lines: []Line{loopback}, Servers: []string{server.LocalAddr().String()}})
	if err := s.Send(0, []byte("ask")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, from, err := server.ReadFromUDP(b)
	if err != nil || string(b[:n]) != "ask" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	stranger, err := net.DialUDP("udp4", nil, from)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	send(t, stranger, "forged")
	if _, err := server.WriteToUDP([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	if got := take(t, s, 1); !slices.Equal(got, []string{"1:answer"}) {
		t.Errorf("received %v", got)
	}
}

// A server that is not there makes the kernel report errors; the lines go on.
func TestServerIsAway(t *testing.T) {
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	address := gone.LocalAddr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Lines: []Line{loopback}, Servers: []string{address}})
	conn := dial(t, s, 0)
	for i := range 3 {
		_ = s.Send(0, []byte("ask")) // refused from the second time on
		send(t, conn, fmt.Sprint(i))
		if got := take(t, s, 1); !slices.Equal(got, []string{fmt.Sprint("0:", i)}) {
			t.Errorf("received %v", got)
		}
	}
}

func TestDropsAreCounted(t *testing.T) {
	var log bytes.Buffer
	s := open(t, Options{Lines: []Line{loopback}, ReadBuffer: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	conn := dial(t, s, 0)
	const sent = 1000
	for range sent {
		send(t, conn, strings.Repeat("x", 500))
	}
	var got int
	for got == 0 || s.Dropped(0) == 0 {
		batch, _, err := s.Receive(time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if got += len(batch); len(batch) == 0 { // all are read: the next one tells
			send(t, conn, "x")
			got--
		}
	}
	for batch, _, err := s.Receive(0); len(batch) > 0; batch, _, err = s.Receive(0) {
		if got += len(batch); err != nil {
			t.Fatal(err)
		}
	}
	if uint64(got)+s.Dropped(0) != sent {
		t.Errorf("%d received and %d dropped of %d", got, s.Dropped(0), sent)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log.String())
	}
}

func TestLongDatagramsAreCut(t *testing.T) {
	s := open(t, Options{Lines: []Line{loopback}})
	conn := dial(t, s, 0)
	send(t, conn, strings.Repeat("x", MaxDatagram+1))
	send(t, conn, "y")
	if got := take(t, s, 2); len(got) != 2 || len(got[0]) != 2+MaxDatagram || got[1] != "0:y" {
		t.Errorf("received %d datagrams", len(got))
	}
}

func TestSmallBufferIsReported(t *testing.T) {
	var log bytes.Buffer
	open(t, Options{Lines: []Line{loopback}, ReadBuffer: 1 << 30, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if unix.Geteuid() != 0 && !strings.Contains(log.String(), "net.core.rmem_max") {
		t.Errorf("log: %s", log.String())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for text, opts := range map[string]Options{
		"no lines":     {},
		"address:port": {Lines: []Line{{Address: "localhost"}}},
		"IPv4":         {Lines: []Line{{Address: "[::1]:0"}}},
		"groups":       {Lines: []Line{{Address: "127.0.0.1:0", Interface: "lo"}}},
		"nosuchif":     {Lines: []Line{{Address: "239.1.2.3:26477", Interface: "nosuchif"}}},
		"no interface": {Lines: []Line{{Address: "239.1.2.3:26477", Interface: "203.0.113.77"}}},
		"sender":       {Lines: []Line{{Address: "239.1.2.3:26477", Interface: "lo", Source: "somebody"}}},
		"re-request":   {Lines: []Line{loopback}, Servers: []string{"nowhere"}},
	} {
		s, err := Open(opts)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: error %v, want one that mentions %q", opts, err, text)
		}
		if err == nil {
			_ = s.Close()
		}
	}
	busy := open(t, Options{Lines: []Line{loopback}})
	addr, err := busy.Addr(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Lines: []Line{loopback, {Address: addr.String()}}}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	s := open(t, Options{Lines: []Line{loopback, loopback}})
	a, b := dial(t, s, 0), dial(t, s, 1)
	msg := []byte("hello")
	allocs := testing.AllocsPerRun(100, func() {
		_, _ = a.Write(msg)
		_, _ = b.Write(msg)
		for n := 0; n < 2; {
			batch, _, err := s.Receive(time.Second)
			if err != nil {
				t.Fatal(err)
			}
			n += len(batch)
		}
		if _, _, err := s.Receive(time.Microsecond); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkReceive(b *testing.B) {
	s := open(b, Options{Lines: []Line{loopback}})
	conn := dial(b, s, 0)
	packet := make([]byte, 700)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for n := 0; n < b.N; {
		b.StopTimer()
		for range batchSize {
			_, _ = conn.Write(packet)
		}
		b.StartTimer()
		for got := 0; got < batchSize; {
			batch, _, err := s.Receive(time.Second)
			if err != nil {
				b.Fatal(err)
			}
			got += len(batch)
		}
		n += batchSize
	}
}
