package sequence_test

import (
	"slices"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/moldudp"
	"chronicle/ingest/feed/sequence"
	"chronicle/market"
)

// TestOneLine is a single line without a window: every hole is a gap at once.
func TestOneLine(t *testing.T) {
	truncated := packet("A", 4, 3)
	truncated = truncated[:len(truncated)-1]
	for _, c := range []struct {
		name    string
		packets [][]byte
		said    string
		seqs    []uint64
		skipped map[string]uint64
	}{
		{"in order", [][]byte{packet("A", 1, 2), packet("A", 3, 0), packet("A", 3, 1)}, `new_session "A"`, []uint64{1, 2, 3}, nil},
		{"late join", [][]byte{packet("A", 5, 1)}, `new_session "A"; late_join 1-4`, []uint64{5}, nil},
		{"late join shown by a heartbeat", [][]byte{packet("A", 5, 0), packet("A", 5, 1)}, `new_session "A"; late_join 1-4`, []uint64{5}, nil},
		{"hole", [][]byte{packet("A", 1, 2), packet("A", 5, 1)}, `new_session "A"; sequence 3-4`, []uint64{1, 2, 5}, nil},
		{"hole shown by a heartbeat", [][]byte{packet("A", 1, 1), packet("A", 4, 0), packet("A", 4, 1)}, `new_session "A"; sequence 2-3`, []uint64{1, 4}, nil},
		{"hole shown by the end", [][]byte{packet("A", 1, 1), packet("A", 3, endOfSession), packet("A", 3, endOfSession)},
			`new_session "A"; sequence 2-2; end_session "A"`, []uint64{1}, nil},
		{"twice", [][]byte{packet("A", 1, 2), packet("A", 1, 2), packet("A", 3, 1), packet("A", 3, 1)},
			`new_session "A"`, []uint64{1, 2, 3}, map[string]uint64{"duplicate": 3}},
		{"overlap", [][]byte{packet("A", 1, 3), packet("A", 2, 4)}, `new_session "A"`, []uint64{1, 2, 3, 4, 5}, map[string]uint64{"duplicate": 2}},
		{"new session", [][]byte{packet("A", 1, 1), packet("B", 1, 1), packet("A", 2, 1), packet("B", 2, 1)},
			`new_session "A"; new_session "B"; sequence 2-2 of "A"`, []uint64{1, 1, 2}, map[string]uint64{"old_session": 1}},
		{"short packet", [][]byte{packet("A", 1, 1), []byte("short"), packet("A", 2, 1)}, `new_session "A"`, []uint64{1, 2}, map[string]uint64{"bad_packet": 1}},
		{"absurd sequence", [][]byte{packet("A", 1, 1), packet("A", 1<<64-1, 0), packet("A", 1<<64-1<<18, 0), packet("A", 2, 1)}, `new_session "A"`, []uint64{1, 2}, map[string]uint64{"bad_packet": 2}},
		{"truncated, filled by the other line", [][]byte{packet("A", 1, 3), truncated, packet("A", 4, 3)},
			`new_session "A"`, []uint64{1, 2, 3, 4, 5, 6}, map[string]uint64{"truncated_packet": 1, "duplicate": 2}},
		{"truncated, then on", [][]byte{packet("A", 1, 3), truncated, packet("A", 7, 1)},
			`new_session "A"; source 6-6`, []uint64{1, 2, 3, 4, 5, 7}, map[string]uint64{"truncated_packet": 1}},
		{"truncated, then lost", [][]byte{packet("A", 1, 3), truncated, packet("A", 9, 1)},
			`new_session "A"; source 6-8`, []uint64{1, 2, 3, 4, 5, 9}, map[string]uint64{"truncated_packet": 1}},
		{"truncated, then a heartbeat", [][]byte{packet("A", 1, 3), truncated, packet("A", 7, 0), packet("A", 7, 1)},
			`new_session "A"; source 6-6`, []uint64{1, 2, 3, 4, 5, 7}, map[string]uint64{"truncated_packet": 1}},
		{"truncated at the end", [][]byte{packet("A", 1, 3), truncated}, `new_session "A"; source 6-6`, []uint64{1, 2, 3, 4, 5}, map[string]uint64{"truncated_packet": 1}},
		{"truncated, then a new session", [][]byte{packet("A", 1, 3), truncated, packet("B", 1, 1)},
			`new_session "A"; source 6-6; new_session "B"`, []uint64{1, 2, 3, 4, 5, 1}, map[string]uint64{"truncated_packet": 1}},
		{"trailing bytes", [][]byte{append(packet("A", 1, 1), 0, 0, 0)}, `new_session "A"`, []uint64{1}, map[string]uint64{"trailing_bytes": 1}},
		{"no sequence", [][]byte{packet("\x00", 0, 2), packet("\x00", 0, 0), packet("\x00", 0, 1)}, "unsequenced 0-0", []uint64{0, 0, 0}, nil},
		{"no sequence, truncated", [][]byte{packet("\x00", 0, 2)[:25]}, "unsequenced 0-0", []uint64{0}, map[string]uint64{"truncated_packet": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, sequence.Options{})
			for i, p := range c.packets {
				b.r.Packet(0, int64(1000+i), p)
			}
			b.r.Finish(2000, "")
			b.want(c.said, ranges(c.seqs))
			stats := b.c.Stats()
			for reason, n := range stats.SkippedBy {
				if c.skipped[reason] != n {
					t.Errorf("skipped by %s: %d, want %d", reason, n, c.skipped[reason])
				}
			}
			if len(stats.SkippedBy) != len(c.skipped) || stats.Packets != uint64(len(c.packets)) {
				t.Errorf("counts are %+v, want skips %v of %d packets", stats, c.skipped, len(c.packets))
			}
		})
	}
}

func TestGapTimesAreThoseAroundIt(t *testing.T) {
	for name, opts := range map[string]sequence.Options{"no window": {}, "window": {Window: 8}} {
		q := &emittest.Queue{}
		e := emit.New(q, &emit.Counters{}, emit.Options{})
		id := e.Define(40, 40, market.Definition{Symbol: "a"})
		r := sequence.NewReceiver(e, moldudp.Protocol{}, &heard{}, opts)
		r.Packet(0, 50, packet("A", 1, 1))
		e.Trade(id, 50, 50, &market.Trade{Side: market.Bid})
		r.Packet(0, 70, packet("A", 3, 1))
		r.Packet(0, 90, packet("A", 4, 1))
		r.Tick(90 * ms)
		gaps, err := emittest.JSON[market.Gap](q)
		if err != nil || len(gaps) != 1 || gaps[0].Start != 50 || gaps[0].End != 70 {
			t.Errorf("%s: gaps are %+v, %v, want one from 50 to 70", name, gaps, err)
		}
	}
}

func TestTwoLines(t *testing.T) {
	b := newBench(t, sequence.Options{Lines: []string{"A", "B"}, Window: 64})
	for i, x := range []struct {
		line int
		p    []byte
	}{
		{0, packet("S", 1, 2)}, {1, packet("S", 1, 2)},
		{1, packet("S", 3, 2)}, // lost on A
		{0, packet("S", 5, 2)}, {1, packet("S", 5, 2)},
		{0, packet("S", 9, 1)},                         // 7-8 are lost on A
		{1, packet("S", 7, 2)}, {1, packet("S", 9, 1)}, // and late on B
		{0, packet("S", 10, 2)}, {0, packet("S", 10, 2)}, // twice on A, lost on B
		{0, packet("S", 12, 1)}, {1, packet("S", 12, 1)},
	} {
		b.r.Packet(x.line, 1000+int64(i), x.p)
	}
	b.want(`new_session "S"`, "1-12")
	if !slices.Equal(b.h.recvs, []int64{1000, 1000, 1002, 1002, 1003, 1003, 1006, 1006, 1005, 1008, 1008, 1010}) {
		t.Errorf("receive times are %v: each message's own is wanted", b.h.recvs)
	}
	a := emit.LineStats{Name: "A", Packets: 6, Messages: 10, First: 8, Lost: 4, Duplicate: 2, LastRecv: 1010}
	bb := emit.LineStats{Name: "B", Packets: 6, Messages: 10, First: 4, Redundant: 6, Lost: 2, LastRecv: 1011}
	stats := b.c.Stats()
	if !slices.Equal(stats.Lines, []emit.LineStats{a, bb}) {
		t.Errorf("lines are %+v,\nwant %+v", stats.Lines, []emit.LineStats{a, bb})
	}
	if stats.Skipped != 2 || stats.SkippedBy["duplicate"] != 2 {
		t.Errorf("skipped %v: the other line's copies are none", stats.SkippedBy)
	}
}

func TestWindow(t *testing.T) {
	t.Run("late arrival on one line", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 4, 1), packet("S", 3, 1), packet("S", 2, 1), packet("S", 5, 1)} {
			b.r.Packet(0, 1000+int64(i), p)
		}
		b.want(`new_session "S"`, "1-5")
		if s := b.c.Stats().Lines[0]; s.Lost != 0 || s.First != 5 {
			t.Errorf("line is %+v", s)
		}
	})
	t.Run("time is over by a later packet", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64, ReorderTime: 5 * 1e6, Unasked: "no recovery"})
		b.r.Packet(0, 1*ms, packet("S", 1, 1))
		b.r.Packet(0, 2*ms, packet("S", 3, 1))
		if b.r.Due() != 7*ms {
			t.Errorf("due at %d", b.r.Due())
		}
		b.r.Packet(0, 6*ms, packet("S", 4, 1))
		b.want(`new_session "S"`, "1")
		b.r.Packet(0, 7*ms, packet("S", 2, 1))
		b.want(`new_session "S"; sequence 2-2`, "1,3-4")
		if g := b.gaps()[0]; g.Detail != "no recovery" || g.End != 2*ms {
			t.Errorf("gap is %+v", g)
		}
		if s := b.c.Stats().Lines[0]; s.Late != 1 {
			t.Errorf("line is %+v, want one late message", s)
		}
	})
	t.Run("time is over by the clock", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64, ReorderTime: 5 * 1e6})
		b.r.Packet(0, 1*ms, packet("S", 1, 1))
		b.r.Packet(0, 2*ms, packet("S", 3, 0))
		b.r.Tick(7*ms - 1)
		b.want(`new_session "S"`, "1")
		b.r.Tick(7 * ms)
		b.want(`new_session "S"; sequence 2-2`, "1")
	})
	t.Run("holes have times of their own", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64, ReorderTime: 5 * 1e6})
		b.r.Packet(0, 1*ms, packet("S", 1, 1))
		b.r.Packet(0, 2*ms, packet("S", 3, 1))
		b.r.Packet(0, 5*ms, packet("S", 5, 1))
		b.r.Tick(7 * ms)
		b.want(`new_session "S"; sequence 2-2`, "1,3")
		b.r.Tick(10 * ms)
		b.want(`new_session "S"; sequence 2-2; sequence 4-4`, "1,3,5")
	})
	t.Run("the time begins with the last message that is missed", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64, ReorderTime: 5 * 1e6})
		b.r.Packet(0, 1*ms, packet("S", 1, 1))
		b.r.Packet(0, 2*ms, packet("S", 3, 0))
		b.r.Packet(0, 6*ms, packet("S", 4, 0))
		b.r.Tick(8 * ms)
		b.want(`new_session "S"`, "1")
		b.r.Tick(11 * ms)
		b.want(`new_session "S"; sequence 2-3`, "1")
	})
	t.Run("a gap ends with the message behind it", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 6, 1), packet("S", 5, 1)} {
			b.r.Packet(0, ms+int64(i), p)
		}
		b.r.Tick(30 * ms)
		if g := b.gaps()[0]; g.FirstSeq != 2 || g.LastSeq != 4 || g.End != ms+2 {
			t.Errorf("gap is %+v, want it to end at %d", g, ms+2)
		}
	})
	t.Run("none: a heartbeat is enough", func(t *testing.T) {
		b := newBench(t, sequence.Options{Unasked: "no recovery"})
		b.r.Packet(0, 1*ms, packet("S", 1, 1))
		b.r.Packet(0, 2*ms, packet("S", 3, 0))
		b.want(`new_session "S"; sequence 2-2`, "1")
		b.r.Packet(0, 3*ms, packet("S", 4, 1))
		b.want(`new_session "S"; sequence 2-2; sequence 3-3`, "1,4")
		if g := b.gaps()[1]; g.Detail != "no recovery" || g.End != 3*ms {
			t.Errorf("gap is %+v", g)
		}
	})
	t.Run("partly filled", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64, ReorderTime: 5 * 1e6})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 10, 2), packet("S", 4, 2), packet("S", 2, 1), packet("S", 8, 2)} {
			b.r.Packet(0, ms+int64(i), p)
		}
		b.r.Tick(10 * ms)
		b.want(`new_session "S"; sequence 3-3; sequence 6-7`, "1-2,4-5,8-11")
	})
	t.Run("full of messages", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 4})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 3, 4), packet("S", 7, 1)} {
			b.r.Packet(0, ms+int64(i), p)
		}
		b.want(`new_session "S"; sequence 2-2`, "1,3-7")
	})
	t.Run("full of bytes", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 1024, WindowBytes: 8})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 3, 4), packet("S", 7, 1)} {
			b.r.Packet(0, ms+int64(i), p)
		}
		b.want(`new_session "S"; sequence 2-2`, "1,3-7")
	})
	t.Run("the end waits", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 3, 1), packet("S", 4, endOfSession)} {
			b.r.Packet(0, ms+int64(i), p)
		}
		b.want(`new_session "S"`, "1")
		b.r.Packet(0, 2*ms, packet("S", 2, 1))
		b.want(`new_session "S"; end_session "S"`, "1-3")
	})
	t.Run("a new session ends the wait", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 3, 1), packet("T", 1, 1), packet("S", 4, 2), packet("T", 2, 1)} {
			b.r.Packet(0, ms+int64(i), p)
		}
		b.want(`new_session "S"; sequence 2-2; new_session "T"`, "1,3,1-2")
		b.r.Tick(7000 * ms)
		b.r.Tick(14000 * ms) // told once
		b.want(`new_session "S"; sequence 2-2; new_session "T"; sequence 4-5 of "S"`, "1,3,1-2")
		if s := b.c.Stats().Lines[0]; s.Late != 2 {
			t.Errorf("line is %+v: two messages of the old session were never seen", s)
		}
	})
	t.Run("an absurd hole", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64})
		for i, p := range [][]byte{packet("S", 1, 1), packet("S", 1<<40, 1), packet("S", 2, 2), packet("S", 100, 3)} {
			b.r.Packet(0, ms+int64(i), p)
		}
		b.want(`new_session "S"`, "1-3")
		b.r.Finish(2*ms, "")
		b.want(`new_session "S"; sequence 4-99; sequence 103-1099511627775`, "1-3,100-102,1099511627776")
	})
	t.Run("more holes than are kept", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 1 << 14})
		b.r.Packet(0, ms, packet("S", 1, 1))
		const wide = 5000 // the last hole is wide enough to be split
		last := uint64(2*1023 + 1 + wide)
		for seq := uint64(3); seq <= 2*1023+1; seq += 2 {
			b.r.Packet(0, ms, packet("S", seq, 1))
		}
		b.r.Packet(0, ms, packet("S", last, 1))
		b.want(`new_session "S"`, "1")
		b.r.Packet(0, ms, packet("S", last-100, 1)) // there is no room for one hole more
		if err := b.r.Check(); err != nil || b.c.Stats().Lines[0].NoRoom != 1 {
			t.Errorf("%v, %+v", err, b.c.Stats().Lines[0])
		}
		b.r.Packet(0, ms, packet("S", last+2, 1))
		b.want(`new_session "S"; sequence 2-2`, "1,3")
		if err := b.r.Check(); err != nil {
			t.Error(err)
		}
	})
	t.Run("the clock is set back", func(t *testing.T) {
		b := newBench(t, sequence.Options{Window: 64, ReorderTime: 5 * 1e6})
		b.r.Packet(0, 10_000*ms, packet("S", 1, 1))
		b.r.Packet(0, 10_000*ms, packet("S", 3, 1))
		b.r.Tick(2_000 * ms)
		b.r.Tick(2_004 * ms)
		b.want(`new_session "S"`, "1")
		b.r.Tick(2_006 * ms)
		b.want(`new_session "S"; sequence 2-2`, "1,3")
	})
}

func TestSilence(t *testing.T) {
	b := newBench(t, sequence.Options{Lines: []string{"A", "B"}, Window: 64, Silence: 5e9})
	b.r.Tick(1000 * ms)
	b.r.Packet(0, 2000*ms, packet("S", 1, 1))
	b.r.Packet(0, 5000*ms, packet("S", 2, 0))
	b.r.Tick(6000 * ms)
	silent := func(wantA, wantB bool, timesA, timesB uint64) {
		t.Helper()
		l := b.c.Stats().Lines
		if l[0].Silent != wantA || l[1].Silent != wantB || l[0].Silences != timesA || l[1].Silences != timesB {
			t.Errorf("lines are %+v", l)
		}
	}
	silent(false, true, 0, 1)
	if b.r.Due() != 10000*ms {
		t.Errorf("due at %d ms", b.r.Due()/ms)
	}
	b.r.Tick(10000 * ms)
	silent(true, true, 1, 1)
	b.r.Packet(1, 11000*ms, packet("S", 2, 0))
	silent(true, false, 1, 1)
	b.r.Tick(b.r.Due())
	b.r.Tick(b.r.Due())
	silent(true, true, 1, 2)
}
