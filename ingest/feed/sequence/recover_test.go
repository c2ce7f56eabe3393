package sequence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/sequence"
)

// withServers are options with re-request servers: 5 ms of reordering, 160 ms of
// recovery, so that the first retry comes after 10 ms.
func withServers(names ...string) sequence.Options {
	return sequence.Options{Window: 256, ReorderTime: 5 * time.Millisecond, RecoveryTime: 160 * time.Millisecond, Servers: names}
}

// at gives a packet to a line, and holds what is asked for then.
func (b *bench) at(line int, recv int64, p []byte, requests string) {
	b.t.Helper()
	if p == nil {
		b.r.Tick(recv)
	} else {
		b.r.Packet(line, recv, p)
	}
	if got := b.requests(); got != requests {
		b.t.Errorf("at %v: asked for %q, want %q", time.Duration(recv), got, requests)
	}
}

func TestHoleIsRecovered(t *testing.T) {
	b := newBench(t, withServers("s"))
	b.at(0, 1*ms, packet("S", 1, 1), "")
	b.at(0, 2*ms, packet("S", 5, 1), "")
	if b.r.Due() != 7*ms {
		t.Errorf("due at %d", b.r.Due())
	}
	b.at(0, 7*ms, nil, "0 2+3")
	b.at(0, 8*ms, packet("S", 6, 1), "")
	b.at(1, 9*ms, packet("S", 2, 3), "")
	b.want(`new_session "S"`, "1-6")
	b.at(1, 10*ms, packet("S", 2, 3), "") // the answer comes twice
	b.at(0, 11*ms, packet("S", 7, 1), "")
	b.want(`new_session "S"`, "1-7")
	st := b.c.Stats()
	if s := st.Lines[1]; s != (emit.LineStats{Name: "s", Packets: 2, Messages: 6, First: 3, Redundant: 3, Requests: 1, LastRecv: 10 * ms}) || st.Skipped != 0 {
		t.Errorf("server is %+v, skipped %v", s, st.SkippedBy)
	}
}

func TestShortAnswersAreAskedOn(t *testing.T) {
	b := newBench(t, withServers("s"))
	b.at(0, 1*ms, packet("S", 1, 1), "")
	b.at(0, 2*ms, packet("S", 102, 1), "")
	b.at(0, 7*ms, nil, "0 2+32, 0 34+32, 0 66+32, 0 98+4")
	b.at(1, 8*ms, packet("S", 2, 10), "0 12+22")  // a server that answers with ten messages:
	b.at(1, 8*ms, packet("S", 34, 10), "0 44+22") // the rest of each request at once
	b.at(1, 8*ms, packet("S", 66, 10), "0 76+22")
	b.at(1, 8*ms, packet("S", 98, 4), "")
	b.at(1, 9*ms, packet("S", 12, 10), "0 22+12")
	b.at(1, 9*ms, packet("S", 22, 12), "")
	b.want(`new_session "S"`, "1-43")
	b.at(1, 9*ms, packet("S", 44, 22), "")
	b.at(1, 9*ms, packet("S", 76, 22), "")
	b.want(`new_session "S"`, "1-102")
	b.at(0, 20*ms, packet("S", 203, 1), "")
	b.at(0, 25*ms, nil, "0 103+40, 0 143+40, 0 183+20") // what the last answers taught
}

func TestRetriesGoAroundTheServers(t *testing.T) {
	b := newBench(t, withServers("s", "t"))
	b.at(0, 1*ms, packet("S", 1, 1), "")
	b.at(0, 2*ms, packet("S", 3, 1), "")
	b.at(0, 7*ms, nil, "0 2+1")
	b.at(0, 16*ms, nil, "")
	b.at(0, 17*ms, nil, "1 2+1")
	b.at(0, 36*ms, packet("S", 4, 1), "")
	b.at(0, 37*ms, packet("S", 5, 1), "0 2+1") // after double the time
	b.at(0, 77*ms, nil, "1 2+1")
	b.at(2, 78*ms, packet("S", 2, 1), "")
	b.want(`new_session "S"`, "1-5")
	b.at(0, 80*ms, packet("S", 7, 1), "")
	b.at(0, 85*ms, nil, "1 6+1") // of the one that answers
}

func TestWhatIsNotRecoveredIsAGap(t *testing.T) {
	b := newBench(t, withServers("s"))
	b.at(0, 1*ms, packet("S", 1, 1), "")
	b.at(0, 2*ms, packet("S", 8, 2), "")
	b.at(0, 7*ms, nil, "0 2+6")
	b.at(1, 8*ms, packet("S", 2, 2), "0 4+4")
	b.at(1, 9*ms, packet("S", 6, 1), "") // not from where it was asked
	for b.r.Due() < 169*ms {
		b.r.Tick(b.r.Due())
	}
	b.want(`new_session "S"`, "1-3")
	b.r.Tick(169 * ms)
	b.want(`new_session "S"; sequence 4-5; sequence 7-7`, "1-3,6,8-9")
	for _, g := range b.gaps() {
		if g.Detail != "re-request timed out" || g.Recovered {
			t.Errorf("gap is %+v", g)
		}
	}
	if b.r.Due() <= 169*ms {
		t.Errorf("something is due at %d although nothing is missing", b.r.Due())
	}
	b.requests()
	b.at(1, 180*ms, packet("S", 4, 2), "")
	if s := b.c.Stats().Lines[1]; s.First != 3 || s.Late != 2 {
		t.Errorf("server is %+v", s)
	}
}

// A server that gives a little now and then cannot hold the stream up for ever.
func TestRecoveryIsBounded(t *testing.T) {
	b := newBench(t, withServers("s"))
	b.at(0, 1*ms, packet("S", 1, 1), "")
	b.at(0, 2*ms, packet("S", 250, 1), "")
	now, seq := 7*ms, uint64(2)
	for ; len(b.gaps()) == 0 && now < 60_000*ms; now, seq = now+100*ms, seq+1 {
		b.r.Packet(1, now, packet("S", seq, 1))
	}
	if limit := 2*ms + 10*165*ms; now < limit || now > limit+200*ms {
		t.Errorf("given up at %v, want at about %v", time.Duration(now), time.Duration(limit))
	}
}

func TestRequestsAreBounded(t *testing.T) {
	b := newBench(t, withServers("s"))
	b.r.Packet(0, 1*ms, packet("S", 1, 1))
	for i := range uint64(40) {
		b.r.Packet(0, 2*ms, packet("S", 3+2*i, 1))
	}
	b.r.Tick(7 * ms)
	if n := len(strings.Split(b.requests(), ",")); n != 8 {
		t.Errorf("%d requests are under way, want 8", n)
	}
	b.at(1, 8*ms, packet("S", 2, 1), "0 18+1")
}

func TestForeignAnswers(t *testing.T) {
	b := newBench(t, withServers("s"))
	b.at(1, 1*ms, packet("S", 1, 1), "") // before anything was heard
	b.at(0, 1*ms, packet("S", 1, 1), "")
	b.at(1, 2*ms, packet("T", 1, 1), "")
	b.at(1, 3*ms, packet("S", 2, 1), "") // not asked for
	b.at(1, 3*ms, packet("S", 9, 0), "")
	b.at(0, 4*ms, packet("S", 2, 1), "")
	b.r.Finish(5*ms, "")
	b.want(`new_session "S"`, "1-2")
	if s := b.c.Stats().Lines; s[1].First != 0 || s[1].Redundant != 1 || s[0].First != 2 {
		t.Errorf("lines are %+v", s)
	}
	if n := b.c.Stats().SkippedBy["foreign_answer"]; n != 2 {
		t.Errorf("%d foreign answers, want 2", n)
	}
}

func TestJoinFromStart(t *testing.T) {
	opts := withServers("s")
	opts.JoinFromStart, opts.JoinMax = true, 100
	b := newBench(t, opts)
	b.at(0, 1*ms, packet("S", 51, 1), "0 1+32, 0 33+18")
	b.at(0, 2*ms, packet("S", 52, 1), "")
	b.at(1, 3*ms, packet("S", 1, 32), "")
	b.at(1, 3*ms, packet("S", 33, 18), "")
	b.want(`new_session "S"`, "1-52")

	t.Run("in part", func(t *testing.T) {
		b := newBench(t, opts)
		b.at(0, 1*ms, packet("S", 51, 1), "0 1+32, 0 33+18")
		b.at(1, 3*ms, packet("S", 33, 18), "")
		b.r.Packet(0, 500*ms, packet("S", 52, 1))
		b.want(`new_session "S"; late_join 1-32`, "33-52")
	})
	t.Run("too much", func(t *testing.T) {
		b := newBench(t, opts)
		b.at(0, 1*ms, packet("S", 102, 1), "")
		b.want(`new_session "S"; late_join 1-101`, "102")
	})
	t.Run("not wanted", func(t *testing.T) {
		b := newBench(t, withServers("s"))
		b.at(0, 1*ms, packet("S", 51, 1), "")
		b.want(`new_session "S"; late_join 1-50`, "51")
	})
}

// restartTime is how long a venue has to go on from the start.
const restartTime = 3000 * ms

func TestRestartWithAnotherFirstMessage(t *testing.T) {
	b := newBench(t, sequence.Options{Lines: []string{"A", "B"}, Window: 64})
	b.r.Packet(0, 1*ms, packet("S", 1, 5))
	b.r.Packet(1, 2*ms, packet("S", 1, 5))
	b.r.Packet(0, 3*ms, packet("S", 6, 5))
	b.r.Packet(0, 202*ms, packet("S", 1, 2)) // a late copy
	b.want(`new_session "S"`, "1-10")
	b.r.Packet(0, 203*ms, packetOf("S", "n", 1, 2))
	b.r.Packet(1, 203*ms, packetOf("S", "n", 1, 2))
	b.r.Packet(1, 204*ms, packetOf("S", "n", 3, 2))
	b.want(`new_session "S"; new_session "S"`, "1-10,1-4")
	if got := b.h.words[10]; got != "n1" || b.h.sessions != 2 {
		t.Errorf("the new numbering begins with %s in session %d", got, b.h.sessions)
	}
}

// The server may still have the old numbering: it is not asked for the beginning.
func TestRestartIsNotJoinedFromStart(t *testing.T) {
	opts := withServers("s")
	opts.JoinFromStart = true
	b := newBench(t, opts)
	b.r.Packet(0, 1*ms, packet("S", 1, 99))
	for now := 1000 * ms; now <= 1000*ms+restartTime; now += 500 * ms {
		b.at(0, now, packet("S", 5, 2), "")
	}
	b.want(`new_session "S"; new_session "S"; late_join 1-4`, "1-99,5-6")
}

func TestRestartIsNotBelievedWhileTheStreamLives(t *testing.T) {
	b := newBench(t, sequence.Options{Window: 64})
	b.r.Packet(0, 1*ms, packet("S", 1, 10))
	b.r.Packet(0, 2*ms, packetOf("S", "n", 1, 2))
	b.want(`new_session "S"`, "1-10")
}

func TestRestartThatGoesOn(t *testing.T) {
	b := newBench(t, sequence.Options{Window: 64})
	b.r.Packet(0, 1*ms, packet("S", 91, 10)) // the first message is not known
	now, seq := 1000*ms, uint64(1)
	for ; now < 1000*ms+restartTime; now, seq = now+500*ms, seq+2 {
		b.r.Packet(0, now, packet("S", seq, 2))
	}
	b.want(`new_session "S"; late_join 1-90`, "91-100")
	b.r.Packet(0, now, packet("S", seq, 2))
	b.want(fmt.Sprintf(`new_session "S"; late_join 1-90; new_session "S"; late_join 1-%d`, seq-1), fmt.Sprintf("91-100,%d-%d", seq, seq+1))
}

func TestLateCopiesAreNoRestart(t *testing.T) {
	for name, feed := range map[string]func(b *bench, i int, now int64){
		"heartbeats tell that the stream lives": func(b *bench, i int, now int64) {
			b.r.Packet(0, now, packet("S", uint64(1+i), 1))
			b.r.Packet(0, now, packet("S", 1001, 0))
		},
		"a line that lags": func(b *bench, i int, now int64) {
			b.r.Packet(1, now, packet("S", uint64(1+i), 1))
		},
		"now and then": func(b *bench, i int, now int64) {
			b.r.Packet(0, now*40, packet("S", uint64(1+i), 1))
		},
		"a server": func(b *bench, i int, now int64) {
			b.r.Packet(2, now, packet("S", uint64(1+i), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := withServers("s")
			opts.Lines = []string{"A", "B"}
			b := newBench(t, opts)
			for seq := uint64(1); seq <= 1000; seq += 10 {
				b.r.Packet(0, 1*ms, packet("S", seq, 10))
			}
			for i := range 100 {
				feed(b, i, int64(1+i)*100*ms)
			}
			b.want(`new_session "S"`, "1-1000")
		})
	}
}

func TestReturnToASessionThatSeemedOver(t *testing.T) {
	b := newBench(t, sequence.Options{Window: 64})
	b.r.Packet(0, 1*ms, packet("S", 1, 5))
	b.r.Packet(0, 2*ms, packet("X", 7, 1)) // a stray packet
	now, seq := 3*ms, uint64(6)
	for ; b.h.sessions == 2 && now < 10_000*ms; now, seq = now+100*ms, seq+1 {
		b.r.Packet(0, now, packet("S", seq, 1))
	}
	b.r.Packet(0, now, packet("S", seq, 1))
	if b.h.sessions != 3 || now < 3*ms+restartTime || now > 200*ms+restartTime {
		t.Fatalf("session %d at %v", b.h.sessions, time.Duration(now))
	}
	b.want(fmt.Sprintf(`new_session "S"; new_session "X"; late_join 1-6; sequence 6-36 of "S"; new_session "S"; late_join 1-%d`, seq-2), fmt.Sprintf("1-5,7,%d-%d", seq-1, seq))
	if s := b.c.Stats(); s.Lines[0].Late == 0 || s.SkippedBy["old_session"] == 0 {
		t.Errorf("counts are %+v", s)
	}
}
