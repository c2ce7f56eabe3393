package sim

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/market"
)

// TestSeries draws days of several sessions. Each session ends as it says, the truth
// about any message of any session is what a listener makes of the packets, and the
// same options give the same day.
func TestSeries(t *testing.T) {
	seen := map[Ending]int{}
	for seed := range uint64(6 * soak()) {
		opts := SeriesOptions{Options: Options{Seed: seed, Symbols: Symbols(5)}, Sessions: 5, Least: 600, Most: 900}
		s, again := newSeries(t, opts), newSeries(t, opts)
		if !reflect.DeepEqual(s.Epochs(), again.Epochs()) || len(s.Epochs()) != 5 {
			t.Fatalf("seed %d: %+v, and again %+v", seed, s.Epochs(), again.Epochs())
		}
		for i, e := range s.Epochs() {
			seen[e.End]++
			if i > 0 && (e.Session == s.Epochs()[i-1].Session) != (s.Epochs()[i-1].End == EndReset) {
				t.Errorf("seed %d: session %q after %q, which ended by a %v", seed, e.Session, s.Epochs()[i-1].Session, s.Epochs()[i-1].End)
			}
			if e.Length < 600 || e.Length > 900 || e.Pause < 200*time.Millisecond || e.Pause > 2*time.Second {
				t.Errorf("seed %d: session of %d messages, then a pause of %v", seed, e.Length, e.Pause)
			}
			checkEpoch(t, s, i)
		}
		if last := s.Epochs()[4]; last.End != EndOrderly {
			t.Errorf("seed %d: the last session ends by a %v", seed, last.End)
		}
	}
	if len(seen) != 3 {
		t.Errorf("sessions ended by %v: want all kinds", seen)
	}
}

func newSeries(t *testing.T, opts SeriesOptions) *Series {
	t.Helper()
	s, err := NewSeries(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkEpoch sends a session to a listener and compares its books, at some
// messages, with the truth.
func checkEpoch(t *testing.T, s *Series, epoch int) {
	t.Helper()
	e := s.Epochs()[epoch]
	v, err := s.Session(epoch)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(e.Seed, 2))
	l := newListener(t)
	l.after = func() {
		seq := l.next - 1
		if seq > e.Length || rng.IntN(40) > 0 {
			return
		}
		symbol := v.Symbols()[rng.IntN(5)]
		b, ok := s.Book(epoch, symbol, seq)
		if !ok || !slices.Equal(b.Bids, l.side(symbol, market.Bid)) || !slices.Equal(b.Asks, l.side(symbol, market.Ask)) {
			t.Fatalf("the book of %s after message %d of session %d is %+v", symbol, seq, epoch, b)
		}
	}
	for v.Seq() < e.Length {
		l.packet(v.NextPacket(noon))
	}
	if closed := strings.HasSuffix(l.system, "C"); closed != (e.End == EndOrderly) || e.End == EndOrderly && !v.Done() {
		t.Errorf("session %d ends by a %v, its system events are %s", epoch, e.End, l.system)
	}
	for _, seq := range []uint64{e.Length + 1, 1 << 40} {
		if _, ok := s.Book(epoch, v.Symbols()[0], seq); ok {
			t.Errorf("session %d has a book after message %d of %d", epoch, seq, e.Length)
		}
	}
}

func TestSeriesRefusesNonsense(t *testing.T) {
	for _, opts := range []SeriesOptions{
		{Sessions: -1}, {Least: 10, Most: 9}, {Most: 1 << 40}, {LeastPause: time.Second, MostPause: time.Millisecond}, {Options: Options{Rate: -1}},
	} {
		if _, err := NewSeries(opts); err == nil || !strings.Contains(err.Error(), "sim: ") {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	s := newSeries(t, SeriesOptions{})
	if _, ok := s.Book(9, "AAPL", 1); ok || Ending(9).String() != "ending 9" || EndBreak.String() != "break" {
		t.Error("a book of a session that is not there")
	}
}
