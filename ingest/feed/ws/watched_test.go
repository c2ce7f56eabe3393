package ws

import (
	"testing"
	"time"

	"chronicle/market"
)

// The rules of a chained book, each with the state it leads to.
func TestChainedRules(t *testing.T) {
	const b, s = market.KindBook, market.KindSnapshot
	type step struct {
		kind      market.Kind
		seq, prev uint64
		good      bool
	}
	for name, steps := range map[string][]step{
		"joined":               {{b, 10, 9, false}, {b, 20, 10, false}, {s, 10, 0, true}, {b, 30, 20, true}},
		"joined inside":        {{b, 10, 9, false}, {b, 20, 10, false}, {s, 15, 0, true}, {b, 30, 20, true}},
		"joined after all":     {{b, 10, 9, false}, {s, 15, 0, true}, {b, 20, 10, true}, {b, 30, 20, true}},
		"too old":              {{b, 10, 9, false}, {s, 8, 0, false}, {s, 9, 0, true}, {b, 11, 10, true}},
		"older than all":       {{s, 8, 0, true}, {b, 10, 9, false}},
		"a hole":               {{s, 8, 0, true}, {b, 10, 8, true}, {b, 20, 11, false}, {b, 30, 20, false}, {s, 19, 0, true}, {b, 31, 30, true}},
		"a hole among held":    {{b, 10, 9, false}, {b, 20, 11, false}, {s, 9, 0, false}, {s, 11, 0, true}},
		"again":                {{s, 8, 0, true}, {b, 10, 8, true}, {b, 10, 8, true}, {b, 9, 8, true}, {b, 12, 10, true}},
		"fresh is only once":   {{s, 8, 0, true}, {b, 10, 7, true}, {b, 20, 9, false}},
		"a newer snapshot":     {{s, 8, 0, true}, {b, 10, 8, true}, {s, 15, 0, true}, {b, 20, 12, true}},
		"an older snapshot":    {{s, 8, 0, true}, {b, 10, 8, true}, {s, 9, 0, true}, {b, 20, 10, true}},
		"late, and then again": {{s, 8, 0, true}, {b, 20, 10, false}, {b, 10, 8, false}, {b, 30, 20, false}, {s, 30, 0, true}, {b, 31, 30, true}},
	} {
		g := newGuard(time.Second, backoff{min: time.Second, max: time.Second, random: func() float64 { return 0 }})
		w := &watched{guard: g, native: "S"}
		w.define(&market.Definition{ID: 1, BookType: market.L2, Chained: true})
		for i, st := range steps {
			if w.saw(st.kind, &market.BookEvent{Seq: st.seq, PrevSeq: st.prev}); w.good != st.good {
				t.Errorf("%s: after step %d, %v of %d following %d, the book is good %v", name, i+1, st.kind, st.seq, st.prev, w.good)
				break
			}
		}
	}
}

// What makes a book without a chain bad, and good again.
func TestGapsAndSnapshots(t *testing.T) {
	g := newGuard(time.Second, backoff{min: time.Second, max: time.Second, random: func() float64 { return 0 }})
	w := &watched{guard: g, native: "S", conn: &connection{Connection: Connection{Name: "ws.1"}}}
	g.books = append(g.books, w)
	w.define(&market.Definition{ID: 1, Symbol: "s", BookType: market.L2, PriceExponent: -2, Channel: "ws.1"})
	whole := func() { w.saw(market.KindSnapshot, &market.BookEvent{}) }
	for name, c := range map[string]struct {
		do   func()
		good bool
	}{
		"gap of all":              {func() { g.gap(&market.Gap{}) }, false},
		"gap of the channel":      {func() { g.gap(&market.Gap{Channel: "ws.1"}) }, false},
		"gap of the instrument":   {func() { g.gap(&market.Gap{Channel: "ws.1", Symbol: "s"}) }, false},
		"gap of another channel":  {func() { g.gap(&market.Gap{Channel: "ws.2"}) }, true},
		"gap of another one":      {func() { g.gap(&market.Gap{Channel: "ws.1", Symbol: "t"}) }, true},
		"another price exponent":  {func() { w.define(&market.Definition{ID: 1, Symbol: "s", BookType: market.L2, PriceExponent: -3}) }, false},
		"an event":                {func() { w.saw(market.KindBook, &market.BookEvent{}) }, true},
		"the connection is there": {func() { g.connected(w.conn, time.Now()) }, false},
	} {
		if whole(); !w.good {
			t.Fatal("a snapshot does not make the book good")
		}
		if c.do(); w.good != c.good {
			t.Errorf("after %s the book is good %v", name, w.good)
		}
		w.define(&market.Definition{ID: 1, Symbol: "s", BookType: market.L2, PriceExponent: -2, Channel: "ws.1"})
	}
}
