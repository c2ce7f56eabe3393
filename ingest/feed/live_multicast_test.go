package feed

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/udp"
	"chronicle/ingest/sim"
	"chronicle/market"
	"chronicle/store/queue"
)

// ownNetwork runs the test again in a network of its own, where there is nothing
// but loopback; there it returns true. It skips where that is not permitted.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	const inside = "CHRONICLE_TEST_OWN_NETWORK"
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v=true")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if cmd.Process == nil {
			t.Skipf("network namespaces are not permitted here: %v", err)
		}
		if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")) {
			t.Fatalf("in a network of its own: %v\n%s", err, out)
		}
		return false
	}
	all, err := net.Interfaces()
	if err != nil || len(all) != 1 || all[0].Name != "lo" {
		t.Fatalf("this is no network of its own: %v, %v", all, err)
	}
	raiseLoopback(t)
	return true
}

func raiseLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// The groups share a port, so that they would mix if the sockets let them.
var groups = []Line{{Address: "239.77.1.1:26477", Interface: "lo"}, {Address: "239.77.1.2:26477", Interface: "127.0.0.1"}}

// exchange sends a session on two multicast groups, with losses.
type exchange struct {
	lines    *sim.Lines
	recovery *sim.Recovery
	server   string
	stream   [][]byte // every packet sent
	messages uint64
}

func (x *exchange) Write(p []byte) (int, error) {
	x.stream = append(x.stream, bytes.Clone(p))
	x.messages = binary.BigEndian.Uint64(p[10:]) - 1 // the end of the session has the sequence behind the last
	return len(p), nil
}

// newExchange starts a re-request server.
func newExchange(t *testing.T) *exchange {
	t.Helper()
	x := &exchange{}
	var err error
	if x.recovery, err = sim.NewRecovery(sim.RecoveryOptions{Loss: 0.2}); err != nil {
		t.Fatal(err)
	}
	conn, err := sim.ListenRecovery("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.server = conn.LocalAddr().String()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- x.recovery.Serve(ctx, conn) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return x
}

// dark are the messages that both lines lose.
var dark = []sim.Span{{First: 3000, Last: 3010}, {First: 9000, Last: 9500}}

// connect makes lines that each lose 1 % of the packets, and both of them the
// messages of dark.
func (x *exchange) connect(t *testing.T, seed uint64, to []string, ifi string, dark []sim.Span) {
	t.Helper()
	faults := sim.Faults{Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, Blackouts: dark}
	b := sim.LineOptions{To: to[1], Interface: ifi, Faults: faults}
	var err error
	if x.lines, err = sim.NewLines(sim.LinesOptions{A: sim.LineOptions{To: to[0], Interface: ifi, Faults: faults}, B: &b, Seed: seed}); err != nil {
		t.Fatal(err)
	}
}

// send sends a whole session of 20,000 messages.
func (x *exchange) send(t *testing.T) {
	t.Helper()
	s, err := sim.New(sim.Options{Seed: 5, Messages: 20_000, Rate: 400_000})
	if err != nil {
		t.Fatal(err)
	}
	err = sim.Send(context.Background(), io.MultiWriter(x.recovery, x, x.lines), s, sim.SendOptions{Start: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.lines.Close(); err != nil {
		t.Fatal(err)
	}
}

// disturb sends to another group of the same port, which is joined on this host
// too, until the test ends.
func disturb(t *testing.T) {
	t.Helper()
	other := Line{Address: "239.77.1.3:26477", Interface: "lo"}
	s, err := udp.Open(udp.Options{Lines: []Line{other}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	lines, err := sim.NewLines(sim.LinesOptions{A: sim.LineOptions{To: other.Address, Interface: "lo"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lines.Close() })
	for range 3 {
		if _, err := lines.Write([]byte("of another feed      ")); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := s.Receive(10 * time.Second)
	if err != nil || len(got) == 0 {
		t.Fatalf("the other group: %v, %v", got, err)
	}
}

// reference gives the records of a stream that came whole, but their times of receipt.
func (x *exchange) reference(t *testing.T) []queue.Record {
	t.Helper()
	from := &script{}
	for i, p := range x.stream {
		from.datagrams = append(from.datagrams, udp.Datagram{Recv: time.Now().UnixNano() + int64(i), Data: p})
	}
	q := &emittest.Queue{}
	_ = scripted(t, q, &Counters{}, from, PacketOptions{}).run(context.Background())
	return q.Records
}

// sameStream holds that two queues hold the same, but the time of receipt and
// what names the source.
func sameStream(t *testing.T, got, want []queue.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		a, b := got[i], want[i]
		if a.Kind != b.Kind || a.Tag != b.Tag || a.EventTime != b.EventTime || market.Kind(a.Kind) != market.KindSession && !bytes.Equal(a.Body, b.Body) {
			t.Fatalf("record %d is %v %d %s, want %v %d %s", a.Seq, market.Kind(a.Kind), a.Tag, a.Body, market.Kind(b.Kind), b.Tag, b.Body)
		}
	}
}

func TestMulticast(t *testing.T) {
	t.Parallel()
	if !ownNetwork(t) {
		return
	}
	lossyLines(t, groups, "lo")
}

func TestTwoLinesAndRecovery(t *testing.T) {
	t.Parallel()
	lossyLines(t, []Line{loopback, loopback}, "")
}

func lossyLines(t *testing.T, lines []Line, ifi string) {
	t.Run("each line has what the other has lost", func(t *testing.T) { lossy(t, lines, ifi, 2, nil, false) })
	t.Run("what both have lost is asked for", func(t *testing.T) { lossy(t, lines, ifi, 3, dark, true) })
	t.Run("what both have lost is a gap", func(t *testing.T) { lossy(t, lines, ifi, 3, dark, false) })
}

// lossy receives a session, and holds the queue against what was sent.
func lossy(t *testing.T, lines []Line, ifi string, seed uint64, dark []sim.Span, recover bool) {
	x := newExchange(t)
	// Long enough for a sender that is held up between the two lines.
	opts := PacketOptions{Lines: lines, ReorderTime: 200 * time.Millisecond, RecoveryTime: time.Second}
	if recover {
		opts.Recovery = []string{x.server}
	}
	f := startLive(t, opts)
	if ifi != "" {
		disturb(t)
	}
	x.connect(t, seed, f.lines, ifi, dark)
	x.send(t)
	got := replayed{records: f.follow(t, endOfSession)}
	f.stop()
	report, stats := x.lines.Report(), f.counts.Stats()
	if (report.LostBoth == 0) != (dark == nil) || report.A.LostPackets == 0 || report.B.LostPackets == 0 {
		t.Fatalf("too little was lost: %+v", report)
	}
	for i, sent := range []sim.Sent{report.A, *report.B} {
		if l := stats.Lines[i]; l.Packets != sent.Packets || l.Lost != sent.LostMessages || l.First == 0 || l.Redundant == 0 || l.Dropped != 0 {
			t.Errorf("line is %+v, sent was %+v", l, sent)
		}
	}
	gaps := got.gaps(t)
	if recover || report.LostBoth == 0 {
		sameStream(t, got.records, x.reference(t))
		if stats.Gaps != 0 || stats.Messages != x.messages {
			t.Errorf("counts are %+v of %d messages", stats, x.messages)
		}
	} else if len(gaps) != len(report.Lost) {
		t.Errorf("gaps are %+v, lost were %+v", gaps, report.Lost)
	}
	if recover {
		if s := stats.Lines[2]; s.First != report.LostBoth || s.Requests == 0 || x.recovery.Report().Lost == 0 {
			t.Errorf("server is %+v, it did %+v, lost were %d", s, x.recovery.Report(), report.LostBoth)
		}
		return
	}
	for i, g := range gaps {
		if lost := report.Lost[i]; g.FirstSeq != lost.First || g.LastSeq != lost.Last || g.Cause != market.GapSequence || g.Detail != "no recovery is configured" {
			t.Errorf("gap is %+v, lost was %+v", g, lost)
		}
	}
	if stats.Messages != x.messages-report.LostBoth {
		t.Errorf("counts are %+v of %d messages less %d", stats, x.messages, report.LostBoth)
	}
}
