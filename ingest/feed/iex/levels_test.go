package iex

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chronicle/ingest/feed/emit/emittest"
	"chronicle/market"
)

// update is a price level update.
type update struct {
	symbol      string
	side        byte // '8' or '5'
	price, size int64
	whole       bool // the event is complete
	time        int64
}

func (u update) bytes() []byte {
	b := make([]byte, 30)
	b[0] = u.side
	if u.whole {
		b[1] = complete
	}
	binary.LittleEndian.PutUint64(b[2:], uint64(u.time))
	copy(b[10:], fmt.Sprintf("%-8s", u.symbol))
	binary.LittleEndian.PutUint32(b[18:], uint32(u.size))
	binary.LittleEndian.PutUint64(b[22:], uint64(u.price))
	return b
}

func (u update) entry() market.Entry {
	e := market.Entry{Price: u.price, Size: u.size, Side: market.Bid, Action: market.Modify}
	if u.side == '5' {
		e.Side = market.Ask
	}
	if u.size == 0 {
		e.Action = market.Cancel
	}
	return e
}

// up and last make levels of an event that goes on, and that is complete.
func up(symbol string, price int64) update {
	return update{symbol: symbol, side: '8', price: price, size: 100, time: price}
}

func last(symbol string, price int64) update {
	u := up(symbol, price)
	u.whole = true
	return u
}

// hear hands over levels with the next sequences.
func (f *fixture) hear(updates ...update) {
	for _, u := range updates {
		f.seq++
		f.Message(int64(f.seq)*1000, f.seq, u.bytes())
	}
}

// told says the records after the first in words, without definitions.
func (f *fixture) told(t *testing.T) string {
	t.Helper()
	if err := f.q.Check(); err != nil {
		t.Fatal(err)
	}
	names := make(map[uint32]string)
	var out []string
	for _, rec := range f.q.Records[1:] {
		switch kind := market.Kind(rec.Kind); kind {
		case market.KindDefinition:
			d, _ := market.DecodeJSON[market.Definition](rec.Body)
			names[rec.Tag] = d.Symbol
		case market.KindGap:
			g, _ := market.DecodeJSON[market.Gap](rec.Body)
			word := "gap " + g.Symbol
			if g.Recovered {
				word += fmt.Sprintf(" recovered %d-%d", g.FirstSeq, g.LastSeq)
			}
			out = append(out, word)
		case market.KindBook:
			var e market.BookEvent
			if err := e.Decode(rec.Body, kind); err != nil {
				t.Fatal(err)
			}
			word := fmt.Sprint(names[rec.Tag], " ", rec.Time)
			for _, entry := range e.Entries {
				word += fmt.Sprint(" ", entry.Price)
			}
			if e.Flags&market.FlagLast == 0 {
				word += " ..."
			}
			out = append(out, word)
		default:
			out = append(out, kind.String())
		}
	}
	return strings.Join(out, "; ")
}

func TestOneEventIsOneRecord(t *testing.T) {
	trade := func(f *fixture) { f.say(t, tradeIBKR) }
	session := func(f *fixture) { f.seq = 0; f.NewSession() }
	hole := func(f *fixture) { f.seq += 3 }
	for _, c := range []struct {
		name  string
		steps []any
		want  string
	}{
		{"one level", []any{last("A", 1)}, "a 1000 1"},
		{"three levels", []any{up("A", 1), up("A", 2), last("A", 3)}, "a 3000 1 2 3"},
		{"two symbols at once", []any{up("A", 1), up("B", 10), up("A", 2), last("B", 11), last("B", 12), last("A", 3)},
			"b 4000 10 11; b 5000 12; a 6000 1 2 3"},
		{"a trade in between", []any{up("A", 1), trade, last("A", 2)}, "trade; a 3000 1 2"},
		{"a hole", []any{last("A", 1), up("A", 2), up("B", 10), hole, last("A", 3), last("B", 11), last("C", 20)},
			"a 1000 1; gap a; a 7000 2 ...; gap b; b 7000 10 ...; a 7000 3; b 8000 11; c 9000 20"},
		{"a hole between events", []any{last("A", 1), hole, last("A", 2)}, "a 1000 1; a 5000 2"},
		{"a late join", []any{hole, up("A", 1), last("A", 2)}, "a 5000 1 2"},
		{"a new session", []any{last("A", 1), up("B", 10), up("A", 2), up("B", 11), session, last("A", 3), last("B", 12)},
			"a 1000 1; gap a recovered 3-3; gap b recovered 2-4; a 1000 3; b 2000 12"},
		{"a new session, joined late", []any{up("A", 1), session, hole, last("A", 2)}, "gap a recovered 1-1; a 4000 2"},
		{"the end", []any{up("A", 1), up("A", 2)}, "gap a; a 2000 1 2 ..."},
	} {
		f := newFixture(Deep)
		f.NewSession()
		for _, step := range c.steps {
			switch s := step.(type) {
			case update:
				f.hear(s)
			case func(*fixture):
				s(f)
			}
		}
		f.Finish()
		if got := f.told(t); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestEventTakesTheLastMessagesPlace: sequence and times of an event are those of
// the message that completes it, and so is its place among the records.
func TestEventTakesTheLastMessagesPlace(t *testing.T) {
	f := newFixture(Deep)
	f.hear(up("A", 5), last("A", 7))
	rec := f.q.Of(market.KindBook)[0]
	if e := f.books(t)[0]; e.Seq != 2 || rec.Time != 2000 || rec.EventTime != 7 || e.Flags != market.FlagLast|market.FlagMBP {
		t.Errorf("event %+v at %d and %d", e, rec.Time, rec.EventTime)
	}
}

// TestCutOffLevelsAreCounted: those that a new session cuts off are not in any
// record, so they are counted.
func TestCutOffLevelsAreCounted(t *testing.T) {
	f := newFixture(Deep)
	f.hear(up("A", 1), up("B", 2), up("A", 3))
	f.NewSession()
	if s := f.c.Stats(); s.SkippedBy[string(CutOff)] != 3 || f.held != 0 || len(f.books(t)) != 0 {
		t.Errorf("counts are %+v, %d held", s, f.held)
	}
}

// TestUnusableLevelInsideAnEvent: the rest of the event is not taken for whole.
func TestUnusableLevelInsideAnEvent(t *testing.T) {
	for size, want := range map[int]string{
		29: "gap a; a 3000 1 ...; gap a; a 4000 3; b 5000 10 11",
		17: "gap a; a 3000 1 ...; gap b; b 3000 10 ...; gap ; a 4000 3; b 5000 11", // whose it is cannot be told
	} {
		f := newFixture(Deep)
		f.hear(up("A", 1), up("B", 10))
		f.seq++
		f.Message(3000, f.seq, last("A", 2).bytes()[:size])
		f.hear(last("A", 3), last("B", 11))
		if got := f.told(t); got != want {
			t.Errorf("%d bytes:\n got %s\nwant %s", size, got, want)
		}
	}
}

func TestWhatIsHeldIsBounded(t *testing.T) {
	f := newFixture(Deep)
	for i := range maxHeld + 1 {
		f.hear(up("A", int64(i)))
	}
	gaps, _ := emittest.JSON[market.Gap](f.q)
	if len(gaps) != 1 || gaps[0].Symbol != "a" || f.held != 1 {
		t.Fatalf("gaps %+v, %d held", gaps, f.held)
	}
	if e := f.books(t)[0]; len(e.Entries) != maxHeld || e.Flags&market.FlagLast != 0 {
		t.Errorf("an event of %d entries, flags %d", len(e.Entries), e.Flags)
	}
	in := f.symbols[binary.LittleEndian.Uint64([]byte("A       "))]
	f.hear(last("A", 1))
	if len(in.held) != 0 || cap(in.held) > keepHeld {
		t.Errorf("room for %d levels is kept", cap(in.held))
	}
}

// TestEveryLevelArrivesOnce: whatever the interleaving, every level is in one
// event of its symbol, in order; complete events end with their complete level; and
// no event that was cut off is without its gap.
func TestEveryLevelArrivesOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFixture(Deep)
		sent := make(map[string][]market.Entry)
		for i := range rapid.IntRange(0, 60).Draw(t, "messages") {
			u := update{
				symbol: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "symbol"), side: rapid.SampledFrom([]byte("85")).Draw(t, "side"),
				price: int64(i), size: rapid.Int64Range(0, 3).Draw(t, "size"), whole: rapid.Bool().Draw(t, "whole"),
			}
			if rapid.IntRange(0, 9).Draw(t, "hole") == 0 {
				f.seq++
			}
			f.hear(u)
			sent[strings.ToLower(u.symbol)] = append(sent[strings.ToLower(u.symbol)], u.entry())
		}
		f.Finish()
		if err := f.q.Check(); err != nil {
			t.Fatal(err)
		}
		got, names := make(map[string][]market.Entry), make(map[uint32]string)
		cut := ""
		for _, rec := range f.q.Records {
			switch kind := market.Kind(rec.Kind); kind {
			case market.KindDefinition:
				d, _ := market.DecodeJSON[market.Definition](rec.Body)
				names[rec.Tag] = d.Symbol
			case market.KindGap:
				g, _ := market.DecodeJSON[market.Gap](rec.Body)
				cut = g.Symbol
			case market.KindBook:
				var e market.BookEvent
				if err := e.Decode(rec.Body, kind); err != nil {
					t.Fatal(err)
				}
				name := names[rec.Tag]
				if whole := e.Flags&market.FlagLast != 0; whole == (cut == name) {
					t.Fatalf("event of %s is whole: %v, the record before is a gap of %q", name, whole, cut)
				}
				cut = ""
				got[name] = append(got[name], e.Entries...)
			}
		}
		if !maps.EqualFunc(got, sent, slices.Equal[[]market.Entry]) {
			t.Fatalf("levels are %v, want %v", got, sent)
		}
	})
}
