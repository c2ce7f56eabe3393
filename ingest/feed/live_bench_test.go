package feed

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/itch"
	"chronicle/ingest/feed/moldudp"
	"chronicle/ingest/feed/sequence"
	"chronicle/ingest/feed/udp"
	"chronicle/ingest/sim"
	"chronicle/store/queue"
)

// perPacket is how many messages the benchmarks' packets have.
const perPacket = 20

// traffic is an endless stream of packets: the simulator's messages of some
// seconds, numbered on and on.
type traffic struct {
	packets [][]byte
	at      int
	seq     uint64
}

func newTraffic(tb testing.TB) *traffic {
	tb.Helper()
	s, err := sim.New(sim.Options{Seed: 1})
	if err != nil {
		tb.Fatal(err)
	}
	t := &traffic{seq: 1}
	var packet []byte
	now := time.Now()
	for n := 0; len(t.packets) < 5000; {
		p := s.NextPacket(now)
		for b := p[moldudp.HeaderSize:]; len(b) > 0; {
			size := 2 + int(binary.BigEndian.Uint16(b))
			if n == 0 {
				packet = append([]byte(nil), p[:moldudp.HeaderSize]...)
			}
			packet, b = append(packet, b[:size]...), b[size:]
			if n++; n == perPacket {
				binary.BigEndian.PutUint16(packet[18:], perPacket)
				t.packets, n = append(t.packets, packet), 0
			}
		}
	}
	return t
}

// next gives the next packet, valid until the traffic has gone round once.
func (t *traffic) next() []byte {
	p := t.packets[t.at]
	t.at = (t.at + 1) % len(t.packets)
	binary.BigEndian.PutUint64(p[10:], t.seq)
	t.seq += perPacket
	return p
}

// endless is a source of the traffic, in batches.
type endless struct {
	script
	*traffic
	left int
	now  int64
	out  []udp.Datagram
}

var errEnough = errors.New("enough")

func (e *endless) Receive(time.Duration) ([]udp.Datagram, int64, error) {
	if e.left <= 0 {
		return nil, 0, errEnough
	}
	e.out = e.out[:0]
	for range min(64, e.left) {
		e.now++
		e.out = append(e.out, udp.Datagram{Recv: e.now, Data: e.next()})
		e.left--
	}
	return e.out, e.now, nil
}

// nothing takes messages and does nothing.
type nothing struct{ n uint64 }

func (x *nothing) Message(int64, uint64, []byte) { x.n++ }
func (x *nothing) NewSession()                   {}

func reportMessages(b *testing.B, packets int) {
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(packets)*perPacket/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkSequence is the receiver alone, on one line and on two.
func BenchmarkSequence(b *testing.B) {
	for name, lines := range map[string][]string{"one line": {"A"}, "two lines": {"A", "B"}} {
		b.Run(name, func(b *testing.B) {
			in := newTraffic(b)
			w, _ := benchQueue(b)
			r := sequence.NewReceiver(emit.New(w, &Counters{}, emit.Options{}), moldudp.Protocol{}, &nothing{}, sequence.Options{Lines: lines, Window: sequence.DefaultWindow})
			now := time.Now().UnixNano()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				p := in.next()
				for line := range lines {
					now++
					r.Packet(line, now, p)
				}
				n++
			}
			reportMessages(b, n)
		})
	}
}

// BenchmarkDecode is decoding, and appending to the queue, alone.
func BenchmarkDecode(b *testing.B) {
	in := newTraffic(b)
	w, _ := benchQueue(b)
	d := itch.NewDecoder(emit.New(w, &Counters{}, emit.Options{Venue: "sim"}), itch.ReceiptClock(), 0)
	now := time.Now().UnixNano()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		p := in.next()
		seq := binary.BigEndian.Uint64(p[10:])
		for m := p[moldudp.HeaderSize:]; len(m) > 0; seq++ {
			size := int(binary.BigEndian.Uint16(m))
			d.Message(now, seq, m[2:2+size])
			m = m[2+size:]
		}
		n++
	}
	reportMessages(b, n)
}

// BenchmarkPump is the whole way of a datagram but the socket.
func BenchmarkPump(b *testing.B) {
	w, _ := benchQueue(b)
	from := &endless{traffic: newTraffic(b), left: b.N, now: time.Now().UnixNano()}
	p := scripted(b, w, &Counters{}, from, PacketOptions{})
	b.ReportAllocs()
	b.ResetTimer()
	if err := p.run(context.Background()); !errors.Is(err, errEnough) {
		b.Fatal(err)
	}
	reportMessages(b, b.N)
}

// BenchmarkLive is the whole way, from a socket on loopback to committed records.
// The sender has a core of its own and never fills the socket's buffer.
func BenchmarkLive(b *testing.B) {
	for name, lines := range map[string][]Line{"one line": {loopback}, "two lines": {loopback, loopback}} {
		b.Run(name, func(b *testing.B) { benchmarkLive(b, lines) })
	}
}

func benchmarkLive(b *testing.B, lines []Line) {
	w, err := queue.OpenWriter(b.TempDir()+"/raw_main.q", queue.Options{NoSync: true, Precreate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	sockets, err := ListenUDP(PacketOptions{Lines: lines}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer sockets.Close()
	opts := PacketOptions{Lines: lines, Sockets: sockets}
	c := &Counters{}
	p := scripted(b, w, c, sockets, opts)
	in := newTraffic(b)
	ctx, cancel := context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, sockets.Wake)()
	b.ReportAllocs()
	b.ResetTimer()
	go feedSockets(b, sockets, len(lines), in, c, cancel)
	if err := p.run(ctx); err != nil {
		b.Fatal(err)
	}
	if st := c.Stats(); st.Gaps != 0 || st.Messages != uint64(b.N)*perPacket {
		b.Errorf("counts are %+v", st)
	}
	reportMessages(b, b.N)
}

// feedSockets sends b.N packets on each line, and ends the feed when they have come.
func feedSockets(b *testing.B, s *udp.Sockets, lines int, in *traffic, c *Counters, end func()) {
	defer end()
	var conns []net.Conn
	for i := range lines {
		conn, err := net.Dial("udp", s.Name(i))
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	const ahead = 1000
	behind := func(n uint64) bool { return c.Packets.Load() < n }
	for i := range uint64(b.N) {
		p := in.next()
		for _, conn := range conns {
			_, _ = conn.Write(p)
		}
		for i > ahead && behind((i-ahead)*uint64(lines)) {
			runtime.Gosched()
		}
	}
	for behind(uint64(b.N) * uint64(lines)) {
		runtime.Gosched()
	}
}
