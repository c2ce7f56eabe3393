package audit

import (
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chronicle/book"
	"chronicle/market"
)

// collect feeds items to a new checker and gives what it finds.
func collect(items []item) (found []Finding, stats Stats) {
	c := New(func(f *Finding) { found = append(found, *f) })
	feed(c, items)
	return found, c.Stats()
}

// TestRightStreams: what a pipeline writes is never found fault with, from the
// beginning or from any snapshot on.
func TestRightStreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawStream(t)
		found, _ := collect(items)
		if len(found) > 0 {
			t.Fatalf("found %v", &found[0])
		}
		starts := []int{}
		for i := range items {
			if items[i].Kind == market.KindSnapshot {
				starts = append(starts, i)
			}
		}
		if len(starts) == 0 {
			return
		}
		at := rapid.SampledFrom(starts).Draw(t, "start")
		part := clone(items[at:])
		for i := at; part[0].def == nil; i-- {
			part[0].def = items[i].def
		}
		if found, _ = collect(part); len(found) > 0 {
			t.Fatalf("from record %d: %v", part[0].Seq, &found[0])
		}
	})
}

// steady gives an L2 or L3 stream of n events with a snapshot now and then.
func steady(bt market.BookType, n int) []item {
	w := &writer{begin: true, def: market.Definition{BookType: bt}, lastEvent: market.UndefTimestamp, lastT: market.UndefTimestamp}
	rng := rand.New(rand.NewPCG(1, 2))
	w.book = book.New(bt)
	for i := range n {
		w.raw, w.now = w.raw+1, w.now+1
		if i%50 == 0 {
			w.inject(w.raw, w.now, w.now)
		}
		e := market.Entry{Side: market.Bid, Price: 1000 - rng.Int64N(20), Size: 1 + rng.Int64N(9), Action: market.Add}
		if i%2 == 0 {
			e.Side, e.Price = market.Ask, e.Price+20
		}
		if bt == market.L3 {
			e.OrderID = uint64(i + 1)
			if i >= 300 { // as many orders as before
				o, _ := w.book.Order(uint64(i - 299))
				w.now++
				w.raw++
				gone := market.Entry{OrderID: o.ID, Price: o.Price, Size: o.Size, Side: o.Side, Action: market.Cancel}
				w.plain(gone)
				w.raw, w.now = w.raw+1, w.now+1
			}
		}
		w.plain(e)
	}
	return w.items
}

// plain writes an event that is complete.
func (w *writer) plain(e market.Entry) {
	if last := len(w.items) - 1; last >= 0 && w.items[last].synthetic() {
		w.raw, w.now = w.items[last].ev.RawSeq, w.items[last].Time
	}
	it := item{Record: Record{Kind: market.KindBook, Time: w.now, EventTime: w.now}, ev: market.BookEvent{RawSeq: w.raw, Flags: market.FlagLast, Entries: []market.Entry{e}}}
	w.book.Apply(&it.ev, market.KindBook)
	w.lastEvent, w.lastT = it.EventTime, it.Time
	w.put(it)
}

func TestNoAllocation(t *testing.T) {
	for _, bt := range []market.BookType{market.L2, market.L3} {
		items := steady(bt, 3000)
		c := New(func(f *Finding) { t.Error(f) })
		feed(c, items) // grows to what it takes
		def := items[0].def
		allocs := testing.AllocsPerRun(5, func() {
			c.Reset()
			c.Begin(def)
			for i := range items {
				c.Next(&items[i].Record)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations in %d records", bt, allocs, len(items))
		}
		if s := c.Stats(); s.Snapshots < 100 || s.Records < 10_000 {
			t.Errorf("%s: %+v", bt, s)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, bt := range []market.BookType{market.L2, market.L3} {
		b.Run(string(bt), func(b *testing.B) {
			items := steady(bt, 3000)
			c := New(func(f *Finding) { b.Error(f) })
			feed(c, items)
			b.ReportAllocs()
			for b.Loop() {
				c.Reset()
				c.Begin(items[0].def)
				for i := range items {
					c.Next(&items[i].Record)
				}
			}
			b.ReportMetric(float64(b.N)*float64(len(items))/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// TestFindingTellsWhere: what a finding says is what one has to know to look.
func TestFindingTellsWhere(t *testing.T) {
	items := steady(market.L2, 120)
	items[101].ev.Entries[0].Size += 7
	found, stats := collect(items)
	if len(found) != 1 || stats.Findings != 1 {
		t.Fatalf("found %v", found)
	}
	f := &found[0]
	snapshots := []int{0, 51, 102} // records of the snapshots
	since, at := items[snapshots[1]], items[snapshots[2]]
	want := Finding{Kind: Differs, At: Mark{at.Seq, at.ev.RawSeq, at.Time}, EventTime: at.EventTime, Since: Mark{since.Seq, since.ev.RawSeq, since.Time}, Want: f.Want, Got: f.Got}
	if *f != want || !strings.Contains(f.Want, "digest") || !strings.Contains(f.Got, "digest") || f.Want == f.Got {
		t.Errorf("found %+v", f)
	}
}

// TestLose: after records are missing nothing is said before the next snapshot.
func TestLose(t *testing.T) {
	items := steady(market.L3, 400)
	var found []Finding
	c := New(func(f *Finding) { found = append(found, *f) })
	feed(c, items[:70])
	c.Lose()
	if c.Known() || c.Proved() != (Mark{}) {
		t.Errorf("known %v, proved %v", c.Known(), c.Proved())
	}
	feed(c, items[80:])
	if len(found) > 0 || !c.Known() {
		t.Errorf("found %v", found)
	}
}

// TestUnreadable: a body that cannot be read is one finding, and the next snapshot
// begins anew.
func TestUnreadable(t *testing.T) {
	for _, kind := range []market.Kind{market.KindBook, market.KindSnapshot, market.KindGap, market.KindTrade} {
		items := steady(market.L2, 120)
		var found []Finding
		c := New(func(f *Finding) { found = append(found, *f) })
		feed(c, items[:60])
		c.Next(&Record{Seq: 61, Kind: kind, Body: []byte("not one")})
		feed(c, items[61:])
		if len(found) != 1 || found[0].Kind != Invalid || found[0].At.Seq != 61 {
			t.Errorf("%v: found %v", kind, found)
		}
	}
}

// FuzzNext: whatever the bytes are, nothing panics, and a checker that has lost
// itself finds itself at the next right segment.
func FuzzNext(f *testing.F) {
	f.Add([]byte{}, uint16(2))
	for _, it := range steady(market.L3, 60)[49:52] {
		it.encode()
		f.Add(it.Body, uint16(it.Kind))
	}
	f.Add(market.EncodeJSON(&market.Gap{Cause: market.GapRawLost}), uint16(market.KindGap))
	f.Fuzz(func(t *testing.T, body []byte, kind uint16) {
		items := steady(market.L3, 60)
		c := New(func(*Finding) {})
		feed(c, items[:55])
		c.Next(&Record{Seq: 56, Kind: market.Kind(kind), Body: body})
		c.Next(&Record{Seq: 57, Kind: market.Kind(kind), Body: body})
		before := c.Stats().Findings
		c.Reset()
		feed(c, items)
		if c.Stats().Findings != before {
			t.Error("a right stream is found fault with afterwards")
		}
	})
}
