package sim

import (
	"bytes"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sink notes the packets of a line.
type sink struct {
	packets [][]byte
	closed  bool
	err     error
}

func (k *sink) Write(p []byte) (int, error) {
	k.packets = append(k.packets, bytes.Clone(p))
	return len(p), k.err
}

func (k *sink) Close() error {
	k.closed = true
	return nil
}

// messages gives how often each message of a session came.
func (k *sink) messages(session string) map[uint64]int {
	got := make(map[uint64]int)
	for _, p := range k.packets {
		if n := be.Uint16(p[18:]); strings.TrimSpace(string(p[:10])) == session && n != endOfSession {
			for i := range uint64(n) {
				got[be.Uint64(p[10:])+i]++
			}
		}
	}
	return got
}

// missing gives the ranges of messages up to last that none of the lines brought.
func missing(last uint64, lines ...map[uint64]int) (out []Span) {
	for seq := uint64(1); seq <= last; seq++ {
		n := 0
		for _, l := range lines {
			n += l[seq]
		}
		switch k := len(out); {
		case n > 0:
		case k > 0 && out[k-1].Last == seq-1:
			out[k-1].Last = seq
		default:
			out = append(out, Span{seq, seq})
		}
	}
	return out
}

func spans(ranges []Range) (out []Span) {
	for _, r := range ranges {
		out = append(out, Span{r.First, r.Last})
	}
	return out
}

func newLines(t *testing.T, opts LinesOptions) *Lines {
	t.Helper()
	l, err := NewLines(opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// twoLines sends a session over two failing lines.
func twoLines(t *testing.T, a, b Faults, seed uint64) (report Report, gotA, gotB *sink, last uint64) {
	t.Helper()
	gotA, gotB = &sink{}, &sink{}
	l := newLines(t, LinesOptions{A: LineOptions{Writer: gotA, Faults: a}, B: &LineOptions{Writer: gotB, Faults: b}, Seed: seed})
	s := newSim(t, Options{Seed: 9, Session: "X"})
	for range 20_000 {
		if _, err := l.Write(s.NextPacket(noon)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Write(s.EndOfSession()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil || !gotA.closed || !gotB.closed {
		t.Fatalf("close: %v", err)
	}
	return l.Report(), gotA, gotB, s.Seq()
}

func TestFaultsAreWhatWasAskedForAndTold(t *testing.T) {
	a := Faults{Loss: 0.05, Duplicate: 0.02, Reorder: 0.03}
	b := Faults{Loss: 0.1, Burst: 0.002, BurstLength: 20, Blackouts: []Span{{1000, 1999}}}
	report, gotA, gotB, last := twoLines(t, a, b, 1)
	ma, mb := gotA.messages("X"), gotB.messages("X")
	for name, c := range map[string]struct{ got, want []Span }{
		"A":    {spans(report.A.Lost), missing(last, ma)},
		"B":    {spans(report.B.Lost), missing(last, mb)},
		"both": {spans(report.Lost), missing(last, ma, mb)},
	} {
		if !slices.Equal(c.got, c.want) || len(c.got) == 0 {
			t.Errorf("lost on %s according to the report: %v\nand to the receiver: %v", name, c.got, c.want)
		}
	}
	sum := func(s []Span) (n uint64) {
		for _, x := range s {
			n += x.Last - x.First + 1
		}
		return n
	}
	if report.LostBoth != sum(spans(report.Lost)) || report.A.LostMessages != sum(spans(report.A.Lost)) || report.B.LostMessages != sum(spans(report.B.Lost)) ||
		report.Messages != last || report.Packets != 20_001 {
		t.Errorf("report is %+v", report)
	}
	near := func(what string, got uint64, want float64) {
		if float64(got) < 0.8*want || float64(got) > 1.2*want {
			t.Errorf("%s: %d, want about %v", what, got, want)
		}
	}
	near("lost packets of A", report.A.LostPackets, 20_000*0.05)
	near("duplicates of A", report.A.Duplicated, 20_000*0.02*0.95)
	near("held packets of A", report.A.Reordered, 20_000*0.03*0.95)
	near("lost packets of B", report.B.LostPackets, 20_000*(1-0.9*(1-0.002*20)))
	if dark := report.B.InBlackouts; dark < 1000 || dark > 1100 || report.B.Duplicated != 0 || report.A.InBlackouts != 0 {
		t.Errorf("%d messages in a blackout of 1000", dark)
	}
	if report.A.Packets != uint64(len(gotA.packets)) || report.A.Refused != 0 {
		t.Errorf("%d packets sent on A according to the report, %d received", report.A.Packets, len(gotA.packets))
	}
	twice := 0
	for _, n := range ma {
		if n > 1 {
			twice++
		}
	}
	if twice == 0 || slices.Max(slices.Collect(maps.Values(ma))) > 2 {
		t.Errorf("%d messages came twice on A", twice)
	}
}

func TestBlackoutsAreExact(t *testing.T) {
	j := newJudge(Faults{Blackouts: []Span{{3, 5}, {9, 9}}}, 1, 'A')
	text := ""
	for range 10 {
		text += map[bool]string{true: "x", false: "."}[j.decide(1).lost]
		if n := j.messages; j.decide(0).lost != (n >= 3 && n <= 5 || n == 9) {
			t.Errorf("a heartbeat after message %d has another fate", n)
		}
	}
	if text != "..xxx...x." {
		t.Errorf("messages fare %s", text)
	}
	wide := newJudge(Faults{Blackouts: []Span{{3, 5}}}, 1, 'A')
	if a, b, c := wide.decide(3), wide.decide(3), wide.decide(3); !a.blackout || !b.blackout || c.blackout {
		t.Error("packets that a blackout touches fare otherwise")
	}
}

func TestPacketsAreLateByAFew(t *testing.T) {
	_, got, _, last := twoLines(t, Faults{Reorder: 0.1, ReorderBy: 4}, Faults{}, 1)
	late := make(map[int]int)
	place := make(map[uint64]int) // of the packets in order
	var firsts []uint64
	for _, p := range got.packets[:len(got.packets)-1] {
		firsts = append(firsts, be.Uint64(p[10:]))
	}
	for i, seq := range slices.Sorted(slices.Values(firsts)) {
		place[seq] = i
	}
	for i, seq := range firsts {
		late[max(i-place[seq], -1)]++
	}
	if late[1] == 0 || late[2] == 0 || late[3] == 0 || late[4] == 0 || len(late) > 6 || len(missing(last, got.messages("X"))) > 0 {
		t.Errorf("packets are late by %v", late)
	}
}

func TestFaultsAreReproducible(t *testing.T) {
	f := Faults{Loss: 0.1, Burst: 0.01, Duplicate: 0.1, Reorder: 0.1}
	_, a1, b1, _ := twoLines(t, f, f, 5)
	_, a2, b2, _ := twoLines(t, f, f, 5)
	_, a3, _, _ := twoLines(t, f, f, 6)
	if !slices.EqualFunc(a1.packets, a2.packets, bytes.Equal) || !slices.EqualFunc(b1.packets, b2.packets, bytes.Equal) {
		t.Error("two runs of one seed differ")
	}
	if slices.EqualFunc(a1.packets, a3.packets, bytes.Equal) || slices.EqualFunc(a1.packets, b1.packets, bytes.Equal) {
		t.Error("another seed or the other line fares the same")
	}
	g := f
	g.Duplicate, g.Reorder = 0, 0
	with, _, _, _ := twoLines(t, f, f, 5)
	without, _, _, _ := twoLines(t, g, g, 5)
	if !slices.Equal(with.A.Lost, without.A.Lost) {
		t.Error("whether packets come twice decides which are lost")
	}
}

// TestHeartbeatsLeaveTheFaultsAlone: their number depends on the clock.
func TestHeartbeatsLeaveTheFaultsAlone(t *testing.T) {
	var reports [2]Report
	for i := range reports {
		l := newLines(t, LinesOptions{A: LineOptions{Writer: &sink{}, Faults: Faults{Loss: 0.2, Duplicate: 0.1, Reorder: 0.1}}})
		s := newSim(t, Options{})
		for k := range 1000 {
			if _, err := l.Write(s.NextPacket(noon)); err != nil {
				t.Fatal(err)
			}
			if i == 1 && k%3 == 0 {
				if _, err := l.Write(s.Heartbeat()); err != nil {
					t.Fatal(err)
				}
			}
		}
		reports[i] = l.Report()
	}
	if !slices.Equal(reports[0].Lost, reports[1].Lost) || len(reports[0].Lost) == 0 || reports[1].Packets == reports[0].Packets {
		t.Error("heartbeats change what is lost")
	}
}

// TestRangesTellSessionsApart changes the session, and begins one of the same name again.
func TestRangesTellSessionsApart(t *testing.T) {
	got := &sink{}
	l := newLines(t, LinesOptions{A: LineOptions{Writer: got, Faults: Faults{Blackouts: []Span{{1, 1000}}, Reorder: 1, ReorderBy: 50}}})
	for _, session := range []string{"ONE", "TWO", "TWO"} {
		s := newSim(t, Options{Session: session})
		if err := Send(t.Context(), l, s, SendOptions{Messages: 300, Unpaced: true, KeepOpen: true}); err != nil {
			t.Fatal(err)
		}
	}
	want := []Range{{0, "ONE", 1, 300}, {1, "TWO", 1, 300}, {2, "TWO", 1, 300}}
	if r := l.Report(); !slices.Equal(r.Lost, want) || r.LostBoth != 900 || len(got.packets) > 0 {
		t.Errorf("lost are %v", r.Lost)
	}
	if n := len(addRange(make([]Range, maxRanges), Range{First: 5})); n != maxRanges {
		t.Errorf("a report keeps %d ranges", n)
	}
}

// TestHeldPacketsComeBeforeTheNextSession: what is late is not lost by it.
func TestHeldPacketsComeBeforeTheNextSession(t *testing.T) {
	got := &sink{}
	l := newLines(t, LinesOptions{A: LineOptions{Writer: got, Faults: Faults{Reorder: 1, ReorderBy: 1000}}})
	for _, session := range []string{"ONE", "TWO"} {
		if err := Send(t.Context(), l, newSim(t, Options{Session: session}), SendOptions{Messages: 300, Unpaced: true, KeepOpen: session == "ONE"}); err != nil {
			t.Fatal(err)
		}
	}
	text := ""
	for _, p := range got.packets {
		text += string(p[0])
	}
	if strings.Contains(text, "TO") || len(missing(300, got.messages("ONE"))) > 0 || len(missing(300, got.messages("TWO"))) > 0 {
		t.Errorf("packets of %s", text)
	}
	if be.Uint16(got.packets[len(got.packets)-1][18:]) != endOfSession {
		t.Error("packets come after the end of the session")
	}
}

func TestOneLineIsLate(t *testing.T) {
	const by = 30 * time.Millisecond
	a, b := listenUDP(t), listenUDP(t)
	l := newLines(t, LinesOptions{A: LineOptions{To: a.LocalAddr().String()}, B: &LineOptions{To: b.LocalAddr().String(), Delay: by}})
	s := newSim(t, Options{})
	start := time.Now()
	var sent [][]byte
	for range 20 {
		p := bytes.Clone(s.NextPacket(noon))
		sent = append(sent, p)
		if _, err := l.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range sent {
		if got := read(t, a); !bytes.Equal(got, want) {
			t.Fatalf("packet %d on A is another", i)
		}
	}
	for i, want := range sent {
		if got := read(t, b); !bytes.Equal(got, want) {
			t.Fatalf("packet %d on B is another", i)
		}
	}
	if took := time.Since(start); took < by {
		t.Errorf("line B is late by %v, want %v", took, by)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestLateLineReportsAFailure(t *testing.T) {
	broken := errors.New("broken")
	l := newLines(t, LinesOptions{A: LineOptions{Writer: &sink{err: broken}, Delay: time.Microsecond}})
	s := newSim(t, Options{})
	for range 3 {
		if _, err := l.Write(s.NextPacket(noon)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); !errors.Is(err, broken) {
		t.Errorf("close: %v", err)
	}
	now := newLines(t, LinesOptions{A: LineOptions{Writer: &sink{}}, B: &LineOptions{Writer: &sink{err: broken}}})
	if _, err := now.Write(s.Heartbeat()); !errors.Is(err, broken) {
		t.Errorf("write: %v", err)
	}
	if _, err := now.Write([]byte("short")); err == nil {
		t.Error("a packet without a header was sent")
	}
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func read(t *testing.T, conn *net.UDPConn) []byte {
	t.Helper()
	buf := make([]byte, 2*MaxPacket)
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestMulticastStaysOnThisHost(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skipf("no interface lo here: %v", err)
	}
	group := &net.UDPAddr{IP: net.IPv4(239, 77, 0, 1)}
	in, err := net.ListenMulticastUDP("udp4", lo, group)
	if err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	defer in.Close()
	group.Port = in.LocalAddr().(*net.UDPAddr).Port
	l := newLines(t, LinesOptions{A: LineOptions{To: group.String(), Interface: "lo"}})
	defer l.Close()
	want := newSim(t, Options{}).NextPacket(noon)
	if _, err := l.Write(want); err != nil {
		t.Fatal(err)
	}
	if got := read(t, in); !bytes.Equal(got, want) {
		t.Error("another packet came")
	}
}

func TestMulticastOptionsReachTheSocket(t *testing.T) {
	for _, o := range []LineOptions{{To: "239.77.0.2:5", Interface: "lo"}, {To: "239.77.0.2:5", Interface: "lo", TTL: 3, NoLoopback: true}} {
		conn, err := dial(o)
		if err != nil {
			t.Skipf("no multicast here: %v", err)
		}
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			ttl, err1 := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL)
			loop, err2 := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP)
			if err := errors.Join(err1, err2); err != nil || ttl != o.TTL || (loop == 0) != o.NoLoopback {
				t.Errorf("%+v: TTL %d, loopback %d, %v", o, ttl, loop, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLineOptionsAreChecked(t *testing.T) {
	for text, o := range map[string]LineOptions{
		"address:port":     {To: "localhost"},
		"TTL 256":          {To: "239.1.2.3:5", TTL: 256},
		"multicast group":  {To: "127.0.0.1:5", Interface: "lo"},
		"nosuchif":         {To: "239.1.2.3:5", Interface: "nosuchif"},
		"loss 2":           {Writer: &sink{}, Faults: Faults{Loss: 2}},
		"duplicate -1":     {Writer: &sink{}, Faults: Faults{Duplicate: -1}},
		"reordering by -1": {Writer: &sink{}, Faults: Faults{ReorderBy: -1}},
		"blackout":         {Writer: &sink{}, Faults: Faults{Blackouts: []Span{{5, 9}, {9, 12}}}},
	} {
		if _, err := NewLines(LinesOptions{A: o}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: error %v, want one that mentions %q", o, err, text)
		}
		if _, err := NewLines(LinesOptions{A: LineOptions{Writer: &sink{}}, B: &o}); err == nil {
			t.Errorf("%+v was accepted for line B", o)
		}
	}
}

func TestLinesSendWithoutAllocation(t *testing.T) {
	a, b := listenUDP(t), listenUDP(t)
	l := newLines(t, LinesOptions{
		A: LineOptions{To: a.LocalAddr().String(), Faults: Faults{Duplicate: 0.1}},
		B: &LineOptions{To: b.LocalAddr().String()},
	})
	defer l.Close()
	s := newSim(t, Options{})
	s.Advance(10_000)
	if n := testing.AllocsPerRun(100, func() { _, _ = l.Write(s.NextPacket(noon)) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
