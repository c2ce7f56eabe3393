package feed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/itch"
	"chronicle/ingest/feed/moldudp"
	"chronicle/store/queue"
)

// maxDatagram is more than any UDP datagram holds.
const maxDatagram = 1 << 16

// ListenUDP opens the socket that opts describe; its LocalAddr tells the port that was given for port 0.
func ListenUDP(opts PacketOptions) (*net.UDPConn, error) {
	addr, err := netip.ParseAddrPort(opts.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w (write address:port)", opts.Listen, err)
	}
	conn, err := listen(net.UDPAddrFromAddrPort(addr), opts.Interface)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", opts.Listen, err)
	}
	size := opts.ReadBuffer
	if size <= 0 {
		size = 16 << 20
	}
	if err := conn.SetReadBuffer(size); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen on %s: set a receive buffer of %d bytes: %w", opts.Listen, size, err)
	}
	return conn, nil
}

func listen(addr *net.UDPAddr, name string) (*net.UDPConn, error) {
	if !addr.IP.IsMulticast() {
		return net.ListenUDP("udp", addr)
	}
	var ifi *net.Interface
	if name != "" {
		var err error
		if ifi, err = net.InterfaceByName(name); err != nil {
			return nil, fmt.Errorf("interface %q: %w", name, err)
		}
	}
	return net.ListenMulticastUDP("udp", ifi, addr)
}

// receive is where datagrams come from. A source that reads many at once and
// takes the kernel's receive times serves Live as well.
type receive interface {
	// Next gives the next datagram, valid until the next call, and its time of
	// receipt in ns since the Unix epoch. It fails when it is told to stop.
	Next() (data []byte, recv int64, err error)
}

// socket receives one datagram at a time and stamps it when it is read.
type socket struct {
	conn net.PacketConn
	now  func() time.Time
	buf  [maxDatagram]byte
}

var _ receive = (*socket)(nil)

func (s *socket) Next() ([]byte, int64, error) {
	var n int
	var err error
	if udp, ok := s.conn.(*net.UDPConn); ok { // without an allocation for the sender's address
		n, _, err = udp.ReadFromUDPAddrPort(s.buf[:])
	} else {
		n, _, err = s.conn.ReadFrom(s.buf[:])
	}
	return s.buf[:n], s.now().UnixNano(), err
}

// livePackets receives datagrams.
//
// An ITCH message's date comes from the time of receipt, in New York.
func livePackets(ctx context.Context, w *queue.Writer, opts LiveOptions, c *Counters) error {
	if opts.Packets.Conn == nil && opts.Packets.Listen == "" {
		return errors.New("live feed: Listen is empty: give the UDP address to receive on")
	}
	conn := opts.Packets.Conn
	if conn == nil {
		udp, err := ListenUDP(opts.Packets)
		if err != nil {
			return err
		}
		conn = udp
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	e := emit.New(w, c, emit.Options{
		Source: opts.Format, Venue: opts.Venue, Name: conn.LocalAddr().String(), Unit: "packet", Log: opts.Log,
	})
	opts.Log.Info("feed receives", "address", conn.LocalAddr().String(), "format", opts.Format, "venue", opts.Venue)
	return pump(ctx, &socket{conn: conn, now: opts.Now}, e)
}

// pump moves datagrams from the source to the queue.
func pump(ctx context.Context, from receive, e *emit.Emitter) error {
	receiver := moldudp.NewReceiver(e, itch.Channel, itch.NewDecoder(e, itch.ReceiptClock(), 0))
	for n := uint64(1); ; n++ {
		data, recv, err := from.Next()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("receive: %w", err)
		}
		e.At(n)
		receiver.Packet(recv, data)
		if err := e.Err(); err != nil {
			return err
		}
	}
}
