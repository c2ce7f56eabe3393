package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronicle/market"
)

var noon = time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC) // 07:00 in New York

func newSim(t *testing.T, opts Options) *Sim {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// resting is an order as the messages tell it.
type resting struct {
	symbol string
	side   byte
	price  int64
	size   int64
}

// listener rebuilds the books from the packets alone.
type listener struct {
	t      *testing.T
	names  map[uint16]string
	orders map[uint64]resting
	types  map[byte]int
	next   uint64
}

func newListener(t *testing.T) *listener {
	return &listener{t: t, names: make(map[uint16]string), orders: make(map[uint64]resting), types: make(map[byte]int), next: 1}
}

func (l *listener) packet(p []byte) {
	l.t.Helper()
	if len(p) > MaxPacket || be.Uint64(p[10:]) != l.next {
		l.t.Fatalf("packet of %d bytes with sequence %d, want at most %d bytes and %d", len(p), be.Uint64(p[10:]), MaxPacket, l.next)
	}
	b := p[20:]
	for range be.Uint16(p[18:]) {
		n := int(be.Uint16(b))
		l.message(b[2 : 2+n])
		b = b[2+n:]
		l.next++
	}
	if len(b) != 0 {
		l.t.Fatalf("%d bytes after the last message", len(b))
	}
}

func (l *listener) message(m []byte) {
	l.types[m[0]]++
	id := be.Uint64(append(bytes.Clone(m), make([]byte, 8)...)[11:])
	switch m[0] {
	case 'R':
		l.names[be.Uint16(m[1:])] = strings.TrimSpace(string(m[11:19]))
	case 'A', 'F':
		l.orders[id] = resting{l.names[be.Uint16(m[1:])], m[19], int64(be.Uint32(m[32:])), int64(be.Uint32(m[20:]))}
		if got := strings.TrimSpace(string(m[24:32])); got != l.orders[id].symbol {
			l.t.Fatalf("order %d of %q at the locate of %q", id, got, l.orders[id].symbol)
		}
	case 'E', 'C', 'X':
		l.reduce(id, int64(be.Uint32(m[19:])))
	case 'D':
		l.reduce(id, l.orders[id].size)
	case 'U':
		old := l.orders[id]
		l.reduce(id, old.size)
		l.orders[be.Uint64(m[19:])] = resting{old.symbol, old.side, int64(be.Uint32(m[31:])), int64(be.Uint32(m[27:]))}
	}
}

func (l *listener) reduce(id uint64, size int64) {
	o, ok := l.orders[id]
	if !ok || size <= 0 || size > o.size {
		l.t.Fatalf("order %d of %d shares is reduced by %d", id, o.size, size)
	}
	if o.size -= size; o.size == 0 {
		delete(l.orders, id)
	} else {
		l.orders[id] = o
	}
}

func (l *listener) levels(symbol string, side byte) []Level {
	byPrice := make(map[int64]Level)
	for _, o := range l.orders {
		if o.symbol == symbol && o.side == side {
			v := byPrice[o.price]
			byPrice[o.price] = Level{o.price, v.Size + o.size, v.Count + 1}
		}
	}
	out := slices.SortedFunc(maps.Values(byPrice), func(a, b Level) int { return int(a.Price - b.Price) })
	if side == 'B' {
		slices.Reverse(out)
	}
	return out
}

func TestTrueBooksAreWhatTheMessagesSay(t *testing.T) {
	s := newSim(t, Options{Seed: 42, Symbols: []string{"AAPL", "BRK.A"}})
	l := newListener(t)
	for i := range 8000 {
		l.packet(s.NextPacket(noon.Add(time.Duration(i) * time.Millisecond)))
		if i%500 != 0 {
			continue
		}
		for _, symbol := range s.opts.Symbols {
			bids, asks := s.Levels(symbol, market.Bid, 0), s.Levels(symbol, market.Ask, 0)
			if !slices.Equal(bids, l.levels(symbol, 'B')) || !slices.Equal(asks, l.levels(symbol, 'S')) {
				t.Fatalf("after message %d the books of %s differ:\n%v\n%v", s.Seq(), symbol, bids, l.levels(symbol, 'B'))
			}
			if len(bids) > 0 && len(asks) > 0 && bids[0].Price >= asks[0].Price {
				t.Fatalf("%s is crossed after message %d: bid %d, ask %d", symbol, s.Seq(), bids[0].Price, asks[0].Price)
			}
		}
	}
	if l.next != s.Seq()+1 {
		t.Errorf("heard %d messages of %d", l.next-1, s.Seq())
	}
	for _, typ := range []byte("SRHAFEUXDCP") {
		if l.types[typ] == 0 {
			t.Errorf("no message of type %c among %v", typ, l.types)
		}
	}
	if n := len(s.Levels("AAPL", market.Bid, 3)); n != 3 || s.Levels("NONE", market.Bid, 3) != nil {
		t.Errorf("%d levels, want 3, and none of an unknown symbol", n)
	}
}

func TestOneSeedGivesOneFlow(t *testing.T) {
	a, b, c := newSim(t, Options{Seed: 1}), newSim(t, Options{Seed: 1}), newSim(t, Options{Seed: 2})
	differs := false
	for range 500 {
		pa := bytes.Clone(a.NextPacket(noon))
		if !bytes.Equal(pa, b.NextPacket(noon)) {
			t.Fatal("two runs of one seed differ")
		}
		differs = differs || !bytes.Equal(pa[10:], c.NextPacket(noon)[10:])
	}
	if !differs {
		t.Error("another seed gives the same flow")
	}
}

func TestTimesAreSinceMidnightInNewYorkAndNeverGoBack(t *testing.T) {
	s := newSim(t, Options{})
	at := func(now time.Time) uint64 {
		p := s.NextPacket(now)
		return uint64(be.Uint16(p[27:]))<<32 | uint64(be.Uint32(p[29:]))
	}
	if got := at(noon); got != uint64(7*time.Hour) {
		t.Errorf("noon UTC is %v after midnight, want 7h", time.Duration(got))
	}
	if got := at(noon.Add(-time.Minute)); got != uint64(7*time.Hour) {
		t.Errorf("a clock that goes back gives %v", time.Duration(got))
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Rate: -1}, {Session: "longer than ten"}, {Symbols: []string{"A", "A"}}, {Symbols: []string{"NINELETTR"}}, {Symbols: []string{""}}, {Symbols: []string{" A"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// wire notes what is written and when.
type wire struct {
	times []time.Duration
	seqs  []uint64
	count []int
	start time.Time
	err   error
}

func (w *wire) Write(p []byte) (int, error) {
	w.times = append(w.times, time.Since(w.start))
	w.seqs = append(w.seqs, binary.BigEndian.Uint64(p[10:]))
	w.count = append(w.count, int(binary.BigEndian.Uint16(p[18:])))
	return len(p), w.err
}

func TestSendKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Options{Rate: 500})
		w := &wire{start: time.Now()}
		if err := Send(context.Background(), w, s, SendOptions{Messages: 5000}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(w.start); took < 9900*time.Millisecond || took > 10100*time.Millisecond {
			t.Errorf("5000 messages at 500 a second took %v", took)
		}
		if last := len(w.count) - 1; w.count[last] != endOfSession || w.seqs[last] != s.Seq()+1 {
			t.Errorf("the last packet has count %#x and sequence %d", w.count[last], w.seqs[last])
		}
	})
}

func TestSendBeatsWhileNothingIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Options{Rate: 0.5})
		w := &wire{start: time.Now()}
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := Send(ctx, w, s, SendOptions{}); err != nil {
			t.Fatal(err)
		}
		beats := 0
		for i := 1; i < len(w.times); i++ {
			if gap := w.times[i] - w.times[i-1]; gap > time.Second {
				t.Fatalf("nothing was sent for %v", gap)
			}
			if w.count[i] == 0 {
				beats++
			}
		}
		if beats < 20 {
			t.Errorf("%d heartbeats in a minute at a message every other second", beats)
		}
	})
}

func TestSendReportsAFailedWrite(t *testing.T) {
	broken := errors.New("broken")
	err := Send(context.Background(), &wire{err: broken}, newSim(t, Options{}), SendOptions{Unpaced: true})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkNextPacket(b *testing.B) {
	s, err := New(Options{Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.NextPacket(noon)
	}
	b.ReportMetric(float64(s.Seq())/b.Elapsed().Seconds(), "messages/s")
}
