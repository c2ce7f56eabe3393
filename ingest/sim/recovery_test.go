package sim

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func newRecovery(t *testing.T, opts RecoveryOptions) *Recovery {
	t.Helper()
	r, err := NewRecovery(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func request(session string, seq uint64, count uint16) []byte {
	b := fmt.Appendf(nil, "%-10s", session)
	return be.AppendUint16(be.AppendUint64(b, seq), count)
}

// blocks gives the messages of packets, their length first, from message 1 on.
func blocks(packets ...[]byte) (out [][]byte) {
	for _, p := range packets {
		b := p[headerSize:]
		for range be.Uint16(p[18:]) {
			n := 2 + int(be.Uint16(b))
			out = append(out, bytes.Clone(b[:n]))
			b = b[n:]
		}
	}
	return out
}

// feed sends a session to the server alone and gives its messages.
func (r *Recovery) feed(t *testing.T, s *Sim, messages uint64) [][]byte {
	t.Helper()
	var w sink
	for s.Seq() < messages {
		p := s.FullPacket(noon)
		_, _ = w.Write(p)
		_, _ = r.Write(p)
	}
	_, _ = r.Write(s.Heartbeat())
	_, _ = r.Write(s.EndOfSession())
	return blocks(w.packets...)
}

func TestRecoveryAnswersWithWhatWasSent(t *testing.T) {
	r := newRecovery(t, RecoveryOptions{})
	s := newSim(t, Options{Session: "X"})
	sent := r.feed(t, s, 5000)
	asked := uint64(0)
	for seq := uint64(1); seq <= s.Seq(); seq += 7 {
		for _, count := range []uint16{1, 5, 1000} {
			asked++
			a := r.Answer(nil, request("X", seq, count))
			if a == nil || len(a) > MaxPacket || be.Uint64(a[10:]) != seq || strings.TrimSpace(string(a[:10])) != "X" {
				t.Fatalf("%d messages from %d: answer %x", count, seq, a)
			}
			got := blocks(a)
			want := min(int(count), len(sent)-int(seq)+1)
			if len(got) > want || len(got) < want && len(a)+len(sent[int(seq)+len(got)-1]) <= MaxPacket || len(got) == 0 {
				t.Fatalf("%d messages from %d: %d came in %d bytes", count, seq, len(got), len(a))
			}
			for i, m := range got {
				if !bytes.Equal(m, sent[int(seq)-1+i]) {
					t.Fatalf("message %d is another", seq+uint64(i))
				}
			}
		}
	}
	if n := r.Report(); n.Requests != asked || n.Answered != asked || n.Messages < 5*asked {
		t.Errorf("report is %+v after %d requests", n, asked)
	}
}

func TestRecoveryIgnoresWhatItCannotAnswer(t *testing.T) {
	r := newRecovery(t, RecoveryOptions{Messages: 100})
	if a := r.Answer(nil, request("X", 1, 1)); a != nil {
		t.Error("an answer before anything was sent")
	}
	s := newSim(t, Options{Session: "X"})
	r.feed(t, s, 1000)
	for _, q := range [][]byte{
		nil, request("X", 1, 1)[:19], append(request("X", 1, 1), 0), request("Y", 1, 1), request("X", s.Seq(), 0),
		request("X", 0, 1), request("X", s.Seq()+1, 1), request("X", 1<<64-1, 1), request("X", s.Seq()-100, 1),
	} {
		if a := r.Answer(nil, q); a != nil {
			t.Errorf("request %q has an answer", q)
		}
	}
	if a := r.Answer(nil, request("X", s.Seq()-99, 1)); a == nil {
		t.Error("no answer for the oldest message that is kept")
	}
	want := Recovered{Requests: 11, Answered: 1, Messages: 1, Malformed: 3, UnknownSession: 2, CountZero: 1, NotYet: 3, Forgotten: 1}
	if n := r.Report(); n != want {
		t.Errorf("report is %+v, want %+v", n, want)
	}
}

// TestHistoryIsBoundedByBytes goes many times around the ring of bytes.
func TestHistoryIsBoundedByBytes(t *testing.T) {
	r := newRecovery(t, RecoveryOptions{Bytes: 5000})
	s := newSim(t, Options{Session: "X"})
	sent := r.feed(t, s, 20_000)
	kept := 0
	for seq := uint64(1); seq <= s.Seq(); seq++ {
		a := r.Answer(nil, request("X", seq, 1))
		if a == nil && kept > 0 {
			t.Fatalf("message %d is forgotten, older ones are not", seq)
		}
		if a == nil {
			continue
		}
		kept++
		if !bytes.Equal(blocks(a)[0], sent[seq-1]) {
			t.Fatalf("message %d is another", seq)
		}
	}
	if kept < 90 || kept > 250 {
		t.Errorf("%d messages are kept in 5000 bytes", kept)
	}
}

func TestRecoveryAcrossSessions(t *testing.T) {
	r := newRecovery(t, RecoveryOptions{})
	one := r.feed(t, newSim(t, Options{Session: "ONE", Seed: 1}), 100)
	two := r.feed(t, newSim(t, Options{Session: "TWO", Seed: 2}), 100)
	again := r.feed(t, newSim(t, Options{Session: "TWO", Seed: 3}), 50)
	for session, want := range map[string][]byte{"ONE": one[29], "TWO": again[29]} {
		if a := r.Answer(nil, request(session, 30, 1)); a == nil || !bytes.Equal(blocks(a)[0], want) {
			t.Errorf("message 30 of %s is %x, want %x", session, a, want)
		}
	}
	if bytes.Equal(two[29], again[29]) {
		t.Error("the sessions do not differ")
	}
	r.feed(t, newSim(t, Options{Session: "THREE"}), 10)
	if r.Answer(nil, request("ONE", 30, 1)) != nil || r.Answer(nil, request("TWO", 30, 1)) == nil {
		t.Error("the session before the last is not forgotten, or the last is")
	}
}

func TestRecoveryLosesAnswersAndLimits(t *testing.T) {
	now := noon
	r := newRecovery(t, RecoveryOptions{Loss: 0.25, Rate: 100, now: func() time.Time { return now }})
	r.feed(t, newSim(t, Options{Session: "X"}), 100)
	for range 20 {
		r.Answer(nil, request("X", 1, 1))
	}
	if n := r.Report(); n.Limited != 10 {
		t.Errorf("%d of 20 requests at once are ignored at 100 a second, want 10", n.Limited)
	}
	for range 4000 {
		now = now.Add(5 * time.Millisecond)
		r.Answer(nil, request("X", 1, 1))
	}
	n := r.Report()
	if n.Limited < 2000 || n.Limited > 2020 {
		t.Errorf("%d of 4000 requests in 20 seconds are ignored at 100 a second, want half", n.Limited)
	}
	if all := n.Answered + n.Lost; n.Lost < all/5 || n.Lost > all*3/10 {
		t.Errorf("%d of %d answers are lost, want a quarter", n.Lost, all)
	}
}

func TestRecoveryOverASocket(t *testing.T) {
	r := newRecovery(t, RecoveryOptions{})
	sent := r.feed(t, newSim(t, Options{Session: "X"}), 200)
	conn, err := ListenRecovery("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, conn) }()
	client := listenUDP(t)
	to := conn.LocalAddr().(*net.UDPAddr)
	for _, q := range [][]byte{request("X", 0, 1), make([]byte, 3000), request("X", 17, 2)} { // the first two are ignored
		if _, err := client.WriteTo(q, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := blocks(read(t, client)); len(got) != 2 || !bytes.Equal(got[0], sent[16]) || !bytes.Equal(got[1], sent[17]) {
		t.Errorf("messages 17 and 18 are %x", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := r.Report(); n.Requests != 3 || n.Malformed != 1 || n.NotYet != 1 {
		t.Errorf("report is %+v", n)
	}
}

func TestRecoveryOptionsAreChecked(t *testing.T) {
	for _, o := range []RecoveryOptions{{Messages: -1}, {Bytes: 10}, {Loss: 1.5}, {Rate: -1}} {
		if _, err := NewRecovery(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if _, err := ListenRecovery("nowhere"); err == nil || !strings.Contains(err.Error(), "address:port") {
		t.Errorf("got %v", err)
	}
}

func TestAnswersAreMadeWithoutAllocation(t *testing.T) {
	r := newRecovery(t, RecoveryOptions{})
	s := newSim(t, Options{Session: "X"})
	r.feed(t, s, 1000)
	q, dst := request("X", 100, 50), make([]byte, 0, MaxPacket)
	if n := testing.AllocsPerRun(100, func() {
		r.Answer(dst, q)
		_, _ = r.Write(s.FullPacket(noon))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
