package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"chronicle/ingest/sim"
	"chronicle/market"
)

// command runs a command line and gives its exit status and output.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = Main(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestSimRefusesWhatItCannotSend(t *testing.T) {
	for args, want := range map[string]string{
		"":                                                          "--to is needed",
		"--to nowhere":                                              `--to "nowhere"`,
		"--to 127.0.0.1:9 --line-a 127.0.0.1:9":                     "same line",
		"--to 127.0.0.1:9 --line-b nowhere":                         `--line-b "nowhere"`,
		"--to 127.0.0.1:9 --loss-a 1.5":                             "--loss-a 1.5",
		"--to 127.0.0.1:9 --loss-b 0.5":                             "give --line-b",
		"--to 127.0.0.1:9 --sim-symbols 70000":                      "--sim-symbols 70000",
		"--to 127.0.0.1:9 --sim-symbols A,A":                        `"A"`,
		"--to 127.0.0.1:9 --sim-rate -1":                            "--sim-rate -1",
		"--to 127.0.0.1:9 --blackout-a 5s":                          "--blackout-a",
		"--to 127.0.0.1:9 --recovery-rate 5":                        "give --recovery-listen",
		"--to 127.0.0.1:9 --recovery-listen x":                      `--recovery-listen "x"`,
		"--to 127.0.0.1:9 --interface lo":                           "multicast group",
		"--to 127.0.0.1:9 --duration -1s":                           "not negative",
		"--to 127.0.0.1:9 more":                                     "no arguments",
		"book --symbol AAPL --sequence 5":                           "--sim-seed",
		"book --sim-seed 1 --symbol X --sequence 5":                 `--symbol "X"`,
		"book --sim-seed 1 --symbol AAPL --sequence 5 --messages 4": "ends with message 4",
		"book --sim-seed 1 --symbol AAPL --sequence 5 --depth -1":   "--depth -1",
	} {
		code, stdout, stderr := command(t, append([]string{"sim"}, strings.Fields(args)...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("sim %s: status %d, %q, want 2 and %q", args, code, stdout+stderr, want)
		}
	}
}

func TestSimBookIsTheTrueBook(t *testing.T) {
	code, stdout, stderr := command(t, "sim", "book", "--sim-seed", "7", "--symbol", "sim:goog", "--sequence", "9000", "--depth", "4", "--json")
	var got simBook
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
		t.Fatalf("status %d: %v, %s", code, err, stderr)
	}
	s, err := sim.New(sim.Options{Seed: 7, Symbols: []string{"AAPL", "AMZN", "GOOG", "MSFT", "NVDA"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Advance(9000)
	for i, l := range s.Levels("GOOG", market.Ask, 4) {
		want := [3]string{fmt.Sprintf("%.2f", float64(l.Price)/10_000), fmt.Sprint(l.Size), fmt.Sprint(l.Count)}
		if got.Asks[i] != want {
			t.Errorf("level %d is %v, want %v", i, got.Asks[i], want)
		}
	}
	orders := s.Orders("GOOG", market.Bid)
	code, table, _ := command(t, "sim", "book", "--sim-seed", "7", "--symbol", "GOOG", "--sequence", "9000", "--depth", "1", "--orders")
	rows := strings.Split(strings.TrimSpace(table), "\n")[2:]
	for i := range s.Levels("GOOG", market.Bid, 1)[0].Count {
		if f := strings.Fields(rows[i]); code != 0 || f[0] != fmt.Sprint(orders[i].ID) || f[1] != fmt.Sprint(orders[i].Size) {
			t.Errorf("row %q, want order %+v", rows[i], orders[i])
		}
	}
}

// receiver takes what comes to a UDP address.
type receiver struct {
	conn *net.UDPConn
	t    *testing.T
}

func newReceiver(t *testing.T) receiver {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return receiver{conn, t}
}

func (r receiver) addr() string { return r.conn.LocalAddr().String() }

// until gives the packets up to the first that ends a session.
func (r receiver) until() (packets [][]byte) {
	r.t.Helper()
	for {
		b := make([]byte, 2*sim.MaxPacket)
		_ = r.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := r.conn.Read(b)
		if err != nil {
			r.t.Fatalf("after %d packets: %v", len(packets), err)
		}
		packets = append(packets, b[:n])
		if binary.BigEndian.Uint16(b[18:]) == 0xffff {
			return packets
		}
	}
}

func TestSimSendsOnTwoLines(t *testing.T) {
	a, b := newReceiver(t), newReceiver(t)
	code, stdout, stderr := command(t, "sim", "--line-a", a.addr(), "--line-b", b.addr(), "--loss-b", "0.3", "--recovery-listen", "127.0.0.1:0",
		"--sim-seed", "3", "--sim-symbols", "12", "--sim-rate", "20000", "--duration", "50ms", "--linger", "0s", "--json")
	var sum simSummary
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || code != 0 {
		t.Fatalf("status %d: %v, %s", code, err, stderr)
	}
	if l := sum.Lines; l.Messages != 1000 || l.LostBoth != 0 || l.A.LostMessages != 0 || l.B.LostMessages == 0 || sum.Seed != 3 || sum.Symbols != 12 || sum.Recovery == nil {
		t.Errorf("summary %s", stdout)
	}
	packets := a.until()
	if last := packets[len(packets)-1]; binary.BigEndian.Uint64(last[10:]) != 1001 || len(packets) != int(sum.Lines.A.Packets) {
		t.Errorf("%d packets, the last is %x", len(packets), last)
	}
}

func TestSimChangesAndResetsSessions(t *testing.T) {
	for flag, changes := range map[string]bool{"--session-change-after": true, "--sequence-reset-after": false} {
		r := newReceiver(t)
		code, stdout, stderr := command(t, "sim", "--to", r.addr(), flag, "300", "--messages", "500", "--sim-rate", "0", "--linger", "0s")
		if code != 0 || !strings.HasPrefix(stdout, "500 messages") {
			t.Fatalf("status %d: %s%s", code, stdout, stderr)
		}
		packets := r.until()
		first, last := packets[0], packets[len(packets)-1]
		if seq := binary.BigEndian.Uint64(last[10:]); seq != 201 || (string(first[:10]) != string(last[:10])) != changes {
			t.Errorf("%s: session %q begins, %q ends with %d", flag, first[:10], last[:10], seq)
		}
	}
}
