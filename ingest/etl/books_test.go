package etl

import (
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
)

// events decodes the book events of a stream, without synthetic snapshots.
func events(t *testing.T, recs []queue.Record) (out []market.BookEvent, times []int64, gaps []*market.Gap) {
	t.Helper()
	for _, r := range recs {
		kind := market.Kind(r.Kind)
		if kind == market.KindGap {
			g, err := market.DecodeJSON[market.Gap](r.Body)
			if err != nil {
				t.Fatal(err)
			}
			gaps = append(gaps, g)
			continue
		}
		var ev market.BookEvent
		if err := ev.Decode(r.Body, kind); err != nil {
			t.Fatal(err)
		}
		if ev.Attr&market.AttrSynthetic == 0 {
			out, times = append(out, ev), append(times, r.Time)
		}
	}
	return out, times, gaps
}

// TestSnapshotJoinsHeldEvents: the snapshot takes its place in the venue's own
// sequence, between the events it contains and those it does not.
func TestSnapshotJoinsHeldEvents(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	s.session(market.SessionSourceBegin, "v")
	s.define(1, "v", "a", market.L2, true)
	for _, e := range [][2]uint64{{10, 5}, {20, 10}, {30, 20}} {
		s.now += second
		s.delta(1, e[0], e[1], level(market.Bid, 100, int64(e[0])))
	}
	third := s.now
	s.now += second
	s.event(market.KindSnapshot, 1, market.BookEvent{Seq: 22, Flags: market.FlagSnapshot,
		Entries: []market.Entry{{Side: market.Bid, Price: 99, Size: 7, Action: market.Add}}})
	s.now += second
	s.delta(1, 40, 30, level(market.Bid, 101, 1))
	cfg := config(dir, dir)
	runAll(t, cfg)
	evs, times, gaps := events(t, records(t, cfg, "v", "a", market.StreamBook))
	if len(evs) != 5 || len(gaps) != 0 {
		t.Fatalf("%d events, %d gaps: %+v", len(evs), len(gaps), evs)
	}
	for i, want := range []struct {
		seq uint64
		bad bool
	}{{10, true}, {20, true}, {22, false}, {30, false}, {40, false}} {
		if evs[i].Seq != want.seq || (evs[i].Flags&market.FlagMaybeBadBook != 0) != want.bad {
			t.Errorf("event %d: seq %d flags %d, want seq %d, bad %v", i, evs[i].Seq, evs[i].Flags, want.seq, want.bad)
		}
	}
	if times[2] != third || times[3] != third {
		t.Errorf("the snapshot is at %d, want the first joined event's time %d", times[2], third)
	}
}

// TestBrokenChainIsMarked: a hole marks the book until the next snapshot, and the
// events after the hole are kept.
func TestBrokenChainIsMarked(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	s.session(market.SessionSourceBegin, "v")
	s.define(1, "v", "a", market.L2, true)
	s.event(market.KindSnapshot, 1, market.BookEvent{Seq: 1})
	s.delta(1, 2, 1, level(market.Bid, 1, 1))
	s.delta(1, 5, 4, level(market.Bid, 2, 1)) // 3 and 4 are missing
	s.delta(1, 6, 5, level(market.Bid, 3, 1))
	s.session(market.SessionSourceEnd, "v")
	cfg := config(dir, dir)
	runAll(t, cfg)
	evs, _, gaps := events(t, records(t, cfg, "v", "a", market.StreamBook))
	if len(gaps) != 1 || gaps[0].Cause != market.GapChain || gaps[0].FirstSeq != 3 || gaps[0].LastSeq != 4 {
		t.Fatalf("gaps: %+v", gaps)
	}
	if len(evs) != 4 || evs[1].Flags&market.FlagMaybeBadBook != 0 || evs[2].Flags&market.FlagMaybeBadBook == 0 || evs[3].Flags&market.FlagMaybeBadBook == 0 {
		t.Errorf("events: %+v", evs)
	}
}

// TestExecutionIsCompleted: an execution that names only an order becomes trade,
// fill and cancel with the order's price and sides, and a record in the trade stream.
func TestExecutionIsCompleted(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	s.session(market.SessionSourceBegin, "v")
	s.session(market.SessionNew, "v")
	s.define(1, "v", "a", market.L3, false)
	s.delta(1, 1, 0, market.Entry{OrderID: 9, Side: market.Bid, Price: 100, Size: 10, Action: market.Add})
	s.delta(1, 2, 0,
		market.Entry{OrderID: 9, Side: market.NoSide, Price: market.UndefPrice, Size: 4, Action: market.Fill},
		market.Entry{OrderID: 77, Side: market.NoSide, Price: market.UndefPrice, Size: 4, Action: market.Exec})
	s.delta(1, 3, 0, market.Entry{OrderID: 8, Side: market.NoSide, Price: market.UndefPrice, Size: market.UndefSize, Action: market.Cancel})
	cfg := config(dir, dir)
	st := runAll(t, cfg)
	evs, _, gaps := events(t, records(t, cfg, "v", "a", market.StreamBook))
	want := []market.Entry{
		{OrderID: 0, Side: market.Ask, Price: 100, Size: 4, Action: market.Exec},
		{OrderID: 9, Side: market.Bid, Price: 100, Size: 4, Action: market.Fill},
		{OrderID: 9, Side: market.Bid, Price: 100, Size: 4, Action: market.Cancel},
	}
	if len(evs) != 3 || len(evs[1].Entries) != 3 || [3]market.Entry(evs[1].Entries) != [3]market.Entry(want) {
		t.Fatalf("events: %+v", evs)
	}
	if st.UnknownOrders != 1 || len(gaps) != 1 || gaps[0].Cause != market.GapUnknownOrder || evs[2].Flags&market.FlagMaybeBadBook == 0 || evs[1].Flags&market.FlagMaybeBadBook != 0 {
		t.Errorf("unknown order: %+v, gaps %+v, flags %d %d", st, gaps, evs[1].Flags, evs[2].Flags)
	}
	var tr market.Trade
	trades := records(t, cfg, "v", "a", market.StreamTrade)
	if err := tr.Decode(trades[0].Body); err != nil {
		t.Fatal(err)
	}
	if tr.TradeID != 77 || tr.OrderID != 9 || tr.Price != 100 || tr.Size != 4 || tr.Side != market.Ask {
		t.Errorf("trade: %+v", tr)
	}
}

// TestOlderRecordingIsLeftOut: a recording of the past must not be put after the
// future, where it would be the answer for every later moment. A live source is
// never left out, though the machine's clock may have been set back.
func TestOlderRecordingIsLeftOut(t *testing.T) {
	for input, want := range map[string]uint64{"sha256:0": 2, "": 0} {
		dir := t.TempDir()
		s := newScript(t, dir)
		write := func() {
			s.append(market.KindSession, 0, market.EncodeJSON(&market.Session{Event: market.SessionSourceBegin, Venue: "v", Channel: "ch", Input: input}))
			s.define(1, "v", "a", market.L2, false)
			s.event(market.KindSnapshot, 1, market.BookEvent{})
			s.delta(1, 0, 0, level(market.Bid, 1, 1))
			s.session(market.SessionSourceEnd, "v")
		}
		write()
		s.now -= second
		write()
		s.now += 2 * second
		write()
		cfg := config(dir, dir)
		if st := runAll(t, cfg); st.Behind != want {
			t.Errorf("input %q: %d records left out, want %d", input, st.Behind, want)
		}
		last := int64(0)
		for _, r := range records(t, cfg, "v", "a", market.StreamBook) {
			if r.Time < last && want > 0 {
				t.Errorf("record %d goes back in time", r.Seq)
			}
			last = r.Time
		}
	}
}

// TestGapOfASessionThatIsOver: it is told, and the books of the present session
// stay good.
func TestGapOfASessionThatIsOver(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	s.session(market.SessionSourceBegin, "v")
	s.session(market.SessionNew, "v")
	s.define(1, "v", "a", market.L3, false)
	add := func(order uint64) {
		s.now++
		s.delta(1, order, 0, market.Entry{OrderID: order, Side: market.Bid, Price: 100, Size: 10, Action: market.Add})
	}
	add(1)
	for _, session := range []string{"YESTERDAY", ""} {
		s.append(market.KindGap, 0, market.EncodeJSON(&market.Gap{
			Venue: "v", Channel: "ch", FirstSeq: 7, LastSeq: 8, Session: session, Cause: market.GapSequence,
		}))
		add(2 + uint64(len(session)))
	}
	cfg := config(dir, dir)
	runAll(t, cfg)
	evs, _, gaps := events(t, records(t, cfg, "v", "a", market.StreamBook))
	if len(gaps) != 2 || gaps[0].Session != "YESTERDAY" || len(evs) != 3 {
		t.Fatalf("gaps %+v, %d events", gaps, len(evs))
	}
	for i, bad := range []bool{false, false, true} {
		if evs[i].Flags&market.FlagMaybeBadBook != 0 != bad {
			t.Errorf("event %d has flags %d, want bad %v", i, evs[i].Flags, bad)
		}
	}
}
