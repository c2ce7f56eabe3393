package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"
)

// virtual is time that passes by sleeping alone, and by late for each look at it.
type virtual struct {
	now   time.Time
	late  time.Duration
	naps  int
	until func() // called after each sleep
}

func (v *virtual) Now() time.Time {
	v.now = v.now.Add(v.late)
	return v.now
}

func (v *virtual) Sleep(ctx context.Context, d time.Duration) {
	v.naps++
	v.now = v.now.Add(d + v.late)
	if v.until != nil {
		v.until()
	}
}

// wire notes what is written and when.
type wire struct {
	clock   *virtual
	start   time.Time
	packets [][]byte
	times   []time.Duration
	errs    []error // of the first writes
}

func newWire() *wire { return &wire{clock: &virtual{now: noon}, start: noon} }

func (w *wire) Write(p []byte) (int, error) {
	if len(w.errs) > 0 {
		err := w.errs[0]
		w.errs = w.errs[1:]
		if err != nil {
			return 0, err
		}
	}
	w.packets = append(w.packets, bytes.Clone(p))
	w.times = append(w.times, w.clock.now.Sub(w.start))
	return len(p), nil
}

func (w *wire) count(i int) int { return int(be.Uint16(w.packets[i][18:])) }

func (w *wire) send(t *testing.T, s *Sim, opts SendOptions) {
	t.Helper()
	opts.time = w.clock
	if err := Send(t.Context(), w, s, opts); err != nil {
		t.Fatal(err)
	}
}

// TestSendKeepsTheRate looks at every second of some.
func TestSendKeepsTheRate(t *testing.T) {
	for _, rate := range []float64{1, 7, 500, 2000, 200_000} {
		w := newWire()
		w.clock.late = 100 * time.Nanosecond
		s := newSim(t, Options{Rate: rate})
		const seconds = 3
		w.send(t, s, SendOptions{Messages: uint64(seconds * rate), Heartbeat: time.Hour})
		var each [seconds + 1]float64
		for i := range len(w.packets) - 1 {
			each[w.times[i]/time.Second] += float64(w.count(i))
		}
		for i, n := range each[:seconds] {
			if n < 0.99*rate-1 || n > 1.01*rate+1 {
				t.Errorf("%v messages in second %d, want %v", n, i, rate)
			}
		}
		if last := len(w.packets) - 1; w.count(last) != endOfSession || be.Uint64(w.packets[last][10:]) != s.Seq()+1 || s.Seq() != uint64(seconds*rate) {
			t.Errorf("%d messages; the last packet has count %#x and sequence %d", s.Seq(), w.count(last), be.Uint64(w.packets[last][10:]))
		}
	}
}

// TestPacketsFollowTheRate: small ones at a low rate, full ones at a high rate, and
// no message waits for longer than Batch and one nap.
func TestPacketsFollowTheRate(t *testing.T) {
	for rate, want := range map[float64][2]float64{100: {1, 2}, 20_000: {3, 12}, 1e6: {25, 40}} {
		w := newWire()
		s := newSim(t, Options{Rate: rate, Seed: 1})
		w.send(t, s, SendOptions{Messages: 50_000})
		data := 0
		for i := range w.packets {
			if n := w.count(i); n > 0 && n != endOfSession {
				data++
			}
		}
		if mean := 50_000 / float64(data); mean < want[0] || mean > want[1] {
			t.Errorf("at %v messages a second a packet has %.1f, want %v", rate, mean, want)
		}
		seen := 0.0
		for i := range len(w.packets) - 1 {
			if due := time.Duration(seen / rate * float64(time.Second)); w.times[i] > due+250*time.Microsecond+minNap+1 && w.count(i) > 0 {
				t.Fatalf("the message due at %v left at %v", due, w.times[i])
			}
			seen += float64(w.count(i))
		}
		if rate == 100 && w.clock.naps > 120_000 {
			t.Errorf("%d naps for 50000 messages: it spins", w.clock.naps)
		}
	}
}

// TestBurstsLeaveTogether but do not run far ahead of the rate.
func TestBurstsLeaveTogether(t *testing.T) {
	w := newWire()
	w.send(t, newSim(t, Options{Rate: 2000}), SendOptions{Messages: 20_000})
	most, ahead, seen := 0, time.Duration(0), 0.0
	for i := range len(w.packets) - 1 {
		most = max(most, w.count(i))
		seen += float64(w.count(i))
		ahead = max(ahead, time.Duration((seen-1)/2000*float64(time.Second))-w.times[i])
	}
	if most < 8 || most > 12 || ahead < 3*time.Millisecond || ahead > maxAhead {
		t.Errorf("at most %d messages leave together, %v ahead", most, ahead)
	}
}

func TestSendBeatsWhileNothingIsDue(t *testing.T) {
	w := newWire()
	ctx, cancel := context.WithCancel(t.Context())
	w.clock.until = func() {
		if w.clock.now.Sub(w.start) > time.Minute {
			cancel()
		}
	}
	if err := Send(ctx, w, newSim(t, Options{Rate: 0.5}), SendOptions{time: w.clock}); err != nil {
		t.Fatal(err)
	}
	beats := 0
	for i := 1; i < len(w.times); i++ {
		if gap := w.times[i] - w.times[i-1]; gap > time.Second {
			t.Fatalf("nothing was sent for %v", gap)
		}
		if w.count(i) == 0 {
			beats++
		}
	}
	if beats < 20 {
		t.Errorf("%d heartbeats in a minute at a message every other second", beats)
	}
}

func TestSendReportsAFailedWrite(t *testing.T) {
	broken := errors.New("broken")
	w := newWire()
	w.errs = []error{nil, broken}
	if err := Send(t.Context(), w, newSim(t, Options{}), SendOptions{Unpaced: true}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestSendToNobody: a refusal concerns an earlier packet, the present one goes out.
func TestSendToNobody(t *testing.T) {
	w := newWire()
	w.errs = []error{nil, syscall.ECONNREFUSED, nil, syscall.ECONNREFUSED, syscall.ECONNREFUSED}
	w.send(t, newSim(t, Options{}), SendOptions{Messages: 500, Unpaced: true})
	if len(w.packets) < 5 {
		t.Fatalf("%d packets", len(w.packets))
	}
	lost := 0
	for i := 1; i < len(w.packets); i++ {
		if be.Uint64(w.packets[i][10:]) != be.Uint64(w.packets[i-1][10:])+uint64(w.count(i-1)) {
			lost++
		}
	}
	if lost != 1 {
		t.Errorf("%d packets were not sent, want the one that was refused twice", lost)
	}
}

// TestSyntheticClock: with a clock of its own a session is the same in every byte,
// however late its packets leave.
func TestSyntheticClock(t *testing.T) {
	for _, unpaced := range []bool{false, true} {
		var runs [2]*wire
		for i := range runs {
			w := newWire()
			w.clock.late = time.Duration(i) * 100 * time.Microsecond
			w.send(t, newSim(t, Options{Seed: 4, Messages: 5000}), SendOptions{Start: noon, Unpaced: unpaced, Heartbeat: time.Hour})
			runs[i] = w
		}
		if !slices.EqualFunc(runs[0].packets, runs[1].packets, bytes.Equal) {
			t.Errorf("two runs differ (unpaced: %v)", unpaced)
		}
		last := runs[0].packets[len(runs[0].packets)-2]
		if b := last[headerSize+2:]; time.Duration(be.Uint16(b[5:]))<<32|time.Duration(be.Uint32(b[7:])) < 7*time.Hour+4900*time.Millisecond {
			t.Errorf("the last message is of %d ns", uint64(be.Uint16(b[5:]))<<32|uint64(be.Uint32(b[7:])))
		}
	}
}

func TestMessagesAreStampedWhenTheyAreSent(t *testing.T) {
	w := newWire()
	w.send(t, newSim(t, Options{Rate: 3000}), SendOptions{Messages: 1000})
	for i, p := range w.packets[:len(w.packets)-1] {
		for b := p[headerSize:]; len(b) > 0; b = b[2+be.Uint16(b):] {
			if at := time.Duration(be.Uint16(b[7:]))<<32 | time.Duration(be.Uint32(b[9:])); at != 7*time.Hour+w.times[i] {
				t.Fatalf("packet %d sent at %v says %v", i, w.times[i], at-7*time.Hour)
			}
		}
	}
}

func TestSessionsFollowOnOneLine(t *testing.T) {
	w := newWire()
	s := newSim(t, Options{Seed: 1, Session: "ONE"})
	w.send(t, s, SendOptions{Messages: 100, Unpaced: true, KeepOpen: true})
	w.send(t, s, SendOptions{Messages: 100, Unpaced: true, KeepOpen: true})
	w.send(t, newSim(t, Options{Seed: 2, Session: "TWO"}), SendOptions{Messages: 50, Unpaced: true, Linger: time.Second})
	text, next := "", uint64(1)
	for i, p := range w.packets {
		if seq := be.Uint64(p[10:]); seq != next {
			text += string(p[:3])
			next = 1
		}
		if n := w.count(i); n == endOfSession {
			text += "."
		} else {
			next += uint64(n)
		}
	}
	if text != "TWO.........." || next != 51 {
		t.Errorf("the line carried %q up to %d", text, next)
	}
}

func TestSendIsDoneWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := newWire()
	if err := Send(ctx, w, newSim(t, Options{}), SendOptions{Linger: time.Hour, time: w.clock}); err != nil || len(w.packets) != 1 {
		t.Errorf("%v after %d packets, want the end of the session alone", err, len(w.packets))
	}
}

// TestRealTime sends a little at the true pace.
func TestRealTime(t *testing.T) {
	start := time.Now()
	s := newSim(t, Options{Rate: 20_000})
	if err := Send(t.Context(), io.Discard, s, SendOptions{Messages: 2000}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 90*time.Millisecond {
		t.Errorf("2000 messages at 20000 a second took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := Send(ctx, io.Discard, newSim(t, Options{Rate: 0.001}), SendOptions{}); err != nil || time.Since(start) > 20*time.Second {
		t.Errorf("a sleeping session ended with %v after %v", err, time.Since(start))
	}
}
