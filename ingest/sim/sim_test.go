package sim

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/market"
)

var noon = time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC) // 07:00 in New York

func newSim(t testing.TB, opts Options) *Sim {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// resting is an order as the messages tell it.
type resting struct {
	Order
	symbol  string
	arrival uint64
}

// listener rebuilds the books from the packets alone, the simplest way.
type listener struct {
	t      testing.TB
	names  map[uint16]string
	orders map[uint64]resting
	types  map[byte]int
	system string // the codes of the system events
	next   uint64
	digest Digest
	after  func() // called after each message
}

func newListener(t testing.TB) *listener {
	return &listener{t: t, names: make(map[uint16]string), orders: make(map[uint64]resting), types: make(map[byte]int), next: 1, after: func() {}}
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
		l.after()
	}
	if len(b) != 0 {
		l.t.Fatalf("%d bytes after the last message", len(b))
	}
}

func (l *listener) message(m []byte) {
	l.types[m[0]]++
	l.digest = l.digest.Add(m)
	id := be.Uint64(append(bytes.Clone(m), make([]byte, 8)...)[11:])
	switch m[0] {
	case 'S':
		l.system += string(m[11])
	case 'R':
		l.names[be.Uint16(m[1:])] = strings.TrimSpace(string(m[11:19]))
	case 'A', 'F':
		side := map[byte]market.Side{'B': market.Bid, 'S': market.Ask}[m[19]]
		l.add(l.names[be.Uint16(m[1:])], Order{id, side, int64(be.Uint32(m[32:])), int64(be.Uint32(m[20:]))})
		if got := strings.TrimSpace(string(m[24:32])); got != l.orders[id].symbol {
			l.t.Fatalf("order %d of %q at the locate of %q", id, got, l.orders[id].symbol)
		}
	case 'E', 'C', 'X':
		l.reduce(id, int64(be.Uint32(m[19:])))
	case 'D':
		l.reduce(id, l.orders[id].Size)
	case 'U':
		old := l.orders[id]
		l.reduce(id, old.Size)
		l.add(old.symbol, Order{be.Uint64(m[19:]), old.Side, int64(be.Uint32(m[31:])), int64(be.Uint32(m[27:]))})
	}
}

func (l *listener) add(symbol string, o Order) {
	if _, ok := l.orders[o.ID]; ok || o.Price < tick || o.Price%tick != 0 || o.Size < 1 {
		l.t.Fatalf("message %d adds %+v", l.next, o)
	}
	l.orders[o.ID] = resting{o, symbol, l.next}
}

func (l *listener) reduce(id uint64, size int64) {
	o, ok := l.orders[id]
	if !ok || size <= 0 || size > o.Size {
		l.t.Fatalf("order %d of %d shares is reduced by %d", id, o.Size, size)
	}
	if o.Size -= size; o.Size == 0 {
		delete(l.orders, id)
	} else {
		l.orders[id] = o
	}
}

// side gives the orders of a side in priority.
func (l *listener) side(symbol string, side market.Side) (out []Order) {
	var all []resting
	for _, o := range l.orders {
		if o.symbol == symbol && o.Side == side {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b resting) int {
		if a.Price == b.Price {
			return int(a.arrival) - int(b.arrival)
		}
		if side == market.Bid {
			a, b = b, a
		}
		return int(a.Price - b.Price)
	})
	for _, o := range all {
		out = append(out, o.Order)
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
		for _, symbol := range s.Symbols() {
			bids, asks := s.Orders(symbol, market.Bid), s.Orders(symbol, market.Ask)
			if !slices.Equal(bids, l.side(symbol, market.Bid)) || !slices.Equal(asks, l.side(symbol, market.Ask)) {
				t.Fatalf("after message %d the books of %s differ:\n%v\n%v", s.Seq(), symbol, bids, l.side(symbol, market.Bid))
			}
			if len(bids) > 0 && len(asks) > 0 && bids[0].Price >= asks[0].Price {
				t.Fatalf("%s is crossed after message %d: bid %d, ask %d", symbol, s.Seq(), bids[0].Price, asks[0].Price)
			}
			if levels := s.Levels(symbol, market.Bid, 0); !slices.Equal(levels, sumUp(bids)) {
				t.Fatalf("levels %v of orders %v", levels, bids)
			}
		}
	}
	if l.next != s.Seq()+1 {
		t.Errorf("heard %d messages of %d", l.next-1, s.Seq())
	}
	if n := len(s.Levels("AAPL", market.Bid, 3)); n != 3 || s.Levels("NONE", market.Bid, 3) != nil {
		t.Errorf("%d levels, want 3, and none of an unknown symbol", n)
	}
}

// sumUp gives the levels of orders, best first.
func sumUp(orders []Order) (out []Level) {
	for _, o := range orders {
		i := slices.IndexFunc(out, func(l Level) bool { return l.Price == o.Price })
		if i < 0 {
			i = len(out)
			out = append(out, Level{Price: o.Price})
		}
		out[i].Size += o.Size
		out[i].Count++
	}
	return out
}

// TestEveryTypeOccurs sees a day from end to end.
func TestEveryTypeOccurs(t *testing.T) {
	const messages = 150_000
	s, l := newSim(t, Options{Seed: 1, Symbols: Symbols(20), Messages: messages}), newListener(t)
	for !s.Done() {
		l.packet(s.FullPacket(noon))
	}
	truth, err := NewTruth(s.opts)
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := truth.Digest(messages); !ok || d != l.digest {
		t.Errorf("the digest of a day is %x without a clock, %x at noon", d, l.digest)
	}
	if l.packet(s.FullPacket(noon)); l.next != messages+1 || s.Seq() != messages {
		t.Errorf("the session has %d messages, want %d", l.next-1, messages)
	}
	for _, typ := range []byte("SRHYLVWKJhAFECXDUPQBINO") {
		if l.types[typ] == 0 {
			t.Errorf("no message of type %c", typ)
		}
	}
	if len(l.types) != 23 || l.system != "OSQMEC" {
		t.Errorf("%d types, system events %s", len(l.types), l.system)
	}
	n, executed := l.types, float64(l.types['E']+l.types['C'])
	if added := float64(n['A'] + n['F'] + n['U']); executed > 0.2*added || float64(n['D']+n['U']) < 0.8*added {
		t.Errorf("%v orders came, %v executions, %d were withdrawn", added, executed, n['D']+n['U'])
	}
}

// TestShortSessionsEndInTime tries lengths around those of opening and closing.
func TestShortSessionsEndInTime(t *testing.T) {
	for messages := uint64(1); messages < 400; messages++ {
		s, l := newSim(t, Options{Seed: messages, Symbols: Symbols(7), Messages: messages}), newListener(t)
		for range messages + 1 {
			l.packet(s.NextPacket(noon))
		}
		if s.Seq() != messages {
			t.Fatalf("a session of %d messages has %d", messages, s.Seq())
		}
		if messages < 48 && l.types['I'] > 0 {
			t.Errorf("a session of %d messages has no room for a close and begins one", messages)
		}
		if messages > 200 && l.system != "OSQMEC" {
			t.Errorf("a session of %d messages has the system events %s", messages, l.system)
		}
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

// TestFlowIsPinned notices a change of the flow, which makes sessions of the past
// impossible to check.
func TestFlowIsPinned(t *testing.T) {
	for seed, want := range map[uint64]Digest{1: 0x80f22eccd893e21f, 2: 0x338d6d11afbb0197} {
		l, s := newListener(t), newSim(t, Options{Seed: seed, Symbols: Symbols(5)})
		for s.Seq() < 50_000 {
			l.packet(s.FullPacket(noon))
		}
		if l.digest != want {
			t.Errorf("seed %d has the digest %#x, want %#x", seed, l.digest, want)
		}
	}
}

func TestActivityIsAPowerLaw(t *testing.T) {
	s := newSim(t, Options{Seed: 5, Symbols: Symbols(1000)})
	share := make(map[uint16]int)
	for s.part == opening {
		s.FullPacket(noon)
	}
	for from := s.Seq(); s.Seq() < from+200_000; {
		s.begin()
		s.step()
		share[be.Uint16(s.packet[headerSize+3:])]++
	}
	if top, all := share[1], 200_000; top < all/40 || top > all/10 {
		t.Errorf("the busiest of 1000 symbols has %d of %d messages", top, all)
	}
	if len(share) < 950 {
		t.Errorf("only %d of 1000 symbols act", len(share))
	}
	even := newSim(t, Options{Seed: 5, Symbols: Symbols(10), Exponent: -1})
	if even.activity.keep[9] != even.activity.keep[0] {
		t.Error("symbols differ in activity without a power law")
	}
}

func TestArrivalsComeInBursts(t *testing.T) {
	s := newSim(t, Options{Seed: 5, Symbols: Symbols(10)})
	bursts, messages, longest, length := 0, 0, 0, 0
	for s.Seq() < 100_000 {
		s.begin()
		s.step()
		if s.part != hours {
			continue
		}
		messages++
		if length++; !s.continues() {
			bursts, longest, length = bursts+1, max(longest, length), 0
		}
	}
	if mean := float64(messages) / float64(bursts); mean < 3 || mean > 12 || longest < 50 || longest > 2000 {
		t.Errorf("bursts have %.1f messages in the mean, the longest %d", mean, longest)
	}
}

func TestTimesAreSinceMidnightInNewYorkAndNeverGoBack(t *testing.T) {
	s := newSim(t, Options{})
	at := func(now time.Time) uint64 {
		p := s.NextPacket(now)
		return uint64(be.Uint16(p[27:]))<<32 | uint64(be.Uint32(p[29:]))
	}
	for _, c := range []struct {
		now  time.Time
		want time.Duration
	}{
		{noon, 7 * time.Hour},
		{noon.Add(-time.Minute), 7 * time.Hour},
		{noon.Add(16*time.Hour + 59*time.Minute), 24*time.Hour - time.Minute},
		{noon.Add(17 * time.Hour), 0},
		{time.Date(2024, 3, 10, 12, 0, 0, 0, time.UTC), 7 * time.Hour}, // it is 8 there: an hour was left out
	} {
		if got := time.Duration(at(c.now)); got != c.want {
			t.Errorf("%v is %v after midnight, want %v", c.now, got, c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Rate: -1}, {Session: "longer than ten"}, {Symbols: []string{"A", "A"}}, {Symbols: []string{"NINELETTR"}}, {Symbols: []string{""}}, {Symbols: []string{" A"}},
		{Exponent: 6}, {Symbols: make([]string, MaxSymbols+1)},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	for _, n := range []int{1, 5, 10, 11, 10_000, MaxSymbols} {
		if names := Symbols(n); len(names) != n || checkSymbols(names) != nil {
			t.Errorf("%d symbols of %d, %v", len(names), n, checkSymbols(names))
		}
	}
	if Symbols(0) != nil || Symbols(MaxSymbols+1) != nil {
		t.Error("an impossible number of symbols was made")
	}
}

func TestPacketsAreMadeWithoutAllocation(t *testing.T) {
	s := newSim(t, Options{Symbols: Symbols(5)})
	for s.Seq() < 500_000 {
		s.FullPacket(noon)
	}
	if n := testing.AllocsPerRun(2000, func() { s.FullPacket(noon) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkFullPacket(b *testing.B) {
	for _, n := range []int{1, 5, 9000} {
		b.Run(fmt.Sprintf("symbols=%d", n), func(b *testing.B) {
			s := newSim(b, Options{Seed: 1, Symbols: Symbols(n)})
			s.Advance(2_000_000) // until the books are full
			from := s.Seq()
			b.ReportAllocs()
			for b.Loop() {
				s.FullPacket(noon)
			}
			b.ReportMetric(float64(s.Seq()-from)/b.Elapsed().Seconds(), "messages/s")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapInuse)/(1<<20), "heap-MiB")
		})
	}
}

func BenchmarkNextPacket(b *testing.B) {
	s := newSim(b, Options{Seed: 1})
	b.ReportAllocs()
	for b.Loop() {
		s.NextPacket(noon)
	}
	b.ReportMetric(float64(s.Seq())/b.Elapsed().Seconds(), "messages/s")
}
