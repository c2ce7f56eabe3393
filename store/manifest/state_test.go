package manifest_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chronicle/market"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
)

// at gives a copy of a row at another tier.
func at(s manifest.Segment, tier string) *manifest.Segment {
	s.Tier = tier
	return &s
}

func place(s manifest.Segment, tier string) *manifest.Location {
	if tier == manifest.Hot {
		return &manifest.Location{Tier: tier, Key: s.Ref().HotKey()}
	}
	return &manifest.Location{Tier: tier, Key: s.ArchiveKey()}
}

func op(kind manifest.OpKind, s manifest.Segment, to, from string) manifest.Op {
	ref := s.Ref()
	o := manifest.Op{Op: kind}
	switch kind {
	case manifest.OpAbort:
		o.Of = &ref
	case manifest.OpDelete:
		o.Of, o.At = &ref, place(s, from)
	default:
		o.Segment = at(s, to)
		if from != "" {
			o.From = place(s, from)
		}
	}
	return o
}

func apply(s *manifest.State, writer string, ops ...manifest.Op) error {
	return s.Apply(&manifest.Commit{Writer: writer, N: 1, Ops: ops})
}

// TestLifeOfASegment follows one segment to the cold tier and out, and says at
// each step where a reader finds it.
func TestLifeOfASegment(t *testing.T) {
	row := manifesttest.Fake(btc, 1, manifesttest.Epoch)[0]
	s := manifest.NewState()
	for _, step := range []struct {
		op        manifest.Op
		tier, alt string // where it is; empty: nowhere
		committed bool
		leftovers int
	}{
		{op(manifest.OpIntent, row, "warm", manifest.Hot), "warm", manifest.Hot, false, 0},
		{op(manifest.OpAbort, row, "", ""), "", "", false, 0},
		{op(manifest.OpIntent, row, "warm", manifest.Hot), "warm", manifest.Hot, false, 0},
		{op(manifest.OpAdd, row, "warm", manifest.Hot), "warm", "", true, 1},
		{op(manifest.OpDelete, row, "", manifest.Hot), "warm", "", true, 0},
		{op(manifest.OpIntent, row, "cold", "warm"), "warm", "cold", true, 0},
		{op(manifest.OpMove, row, "cold", "warm"), "cold", "", true, 1},
		{op(manifest.OpDelete, row, "", "warm"), "cold", "", true, 0},
		{op(manifest.OpDelete, row, "", "cold"), "", "", false, 0},
	} {
		if err := apply(s, "main", step.op); err != nil {
			t.Fatalf("%s: %v", step.op.Op, err)
		}
		rows := s.Stream(btc)
		if step.tier == "" {
			if len(rows) != 0 {
				t.Errorf("%s: still there: %+v", step.op.Op, rows)
			}
			continue
		}
		if len(rows) != 1 || rows[0].Tier != step.tier || rows[0].Committed != step.committed || len(s.Leftovers()) != step.leftovers {
			t.Fatalf("%s: rows %+v, leftovers %v", step.op.Op, rows, s.Leftovers())
		}
		if alt := rows[0].Alt; (alt == nil) != (step.alt == "") || alt != nil && *alt != *place(row, step.alt) {
			t.Errorf("%s: the other place is %v, want %q", step.op.Op, alt, step.alt)
		}
	}
	if got := s.Removed(btc); !slices.Equal(got, []manifest.SeqRange{{First: 1, Last: 100}}) {
		t.Errorf("removed: %v", got)
	}
	if !s.Knows("warm") || !s.Knows("cold") || s.Knows("tape") {
		t.Error("wrong tiers are known")
	}
}

func TestOpsThatDoNotFit(t *testing.T) {
	rows := manifesttest.Fake(btc, 3, manifesttest.Epoch)
	other := rows[0]
	other.Hash = "sha256:" + strings.Repeat("f", 64)
	setUp := func() *manifest.State {
		s := manifest.NewState()
		for _, o := range []manifest.Op{
			op(manifest.OpAdd, rows[0], "warm", ""),              // 0: at rest
			op(manifest.OpIntent, rows[1], "warm", manifest.Hot), // 1: on its way in
			op(manifest.OpAdd, rows[2], "warm", manifest.Hot),    // 2: with a copy to delete
		} {
			if err := apply(s, "main", o); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	for name, c := range map[string]struct {
		writer string
		op     manifest.Op
	}{
		"add twice":                {"main", op(manifest.OpAdd, rows[0], "warm", "")},
		"add elsewhere than meant": {"main", op(manifest.OpAdd, rows[1], "cold", manifest.Hot)},
		"add of another writer's":  {"other", op(manifest.OpAdd, rows[1], "warm", manifest.Hot)},
		"move of what is not":      {"main", op(manifest.OpMove, rows[1], "warm", manifest.Hot)},
		"move of other content":    {"main", op(manifest.OpMove, other, "cold", "warm")},
		"move by another writer":   {"other", op(manifest.OpMove, rows[0], "cold", "warm")},
		"intent twice":             {"main", op(manifest.OpIntent, rows[1], "warm", manifest.Hot)},
		"intent from elsewhere":    {"main", op(manifest.OpIntent, rows[0], "cold", manifest.Hot)},
		"intent with a copy left":  {"main", op(manifest.OpIntent, rows[2], "cold", "warm")},
		"intent, other content":    {"main", op(manifest.OpIntent, other, "cold", "warm")},
		"abort without intent":     {"main", op(manifest.OpAbort, rows[0], "", "")},
		"abort by another writer":  {"other", op(manifest.OpAbort, rows[1], "", "")},
		"delete elsewhere":         {"main", op(manifest.OpDelete, rows[0], "", "cold")},
		"delete by another writer": {"other", op(manifest.OpDelete, rows[0], "", "warm")},
		"delete before it is in":   {"main", op(manifest.OpDelete, rows[1], "", manifest.Hot)},
	} {
		s := setUp()
		before := s.Stream(btc)
		good := manifest.Op{Op: manifest.OpGap, Gap: &manifest.Gap{Venue: btc.Venue, Symbol: btc.Symbol}}
		if err := apply(s, c.writer, good, c.op); !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("%s: error is %v", name, err)
		}
		if !reflect.DeepEqual(s.Stream(btc), before) || len(s.Gaps()) != 0 {
			t.Errorf("%s: a refused commit changed the state", name)
		}
	}
}

func TestFind(t *testing.T) {
	s := manifest.NewState()
	rows := manifesttest.Fake(btc, 10, manifesttest.Epoch) // 100 s each
	noEvent := &rows[3]
	noEvent.FirstEventTime, noEvent.LastEventTime = market.UndefTimestamp, market.UndefTimestamp
	if err := apply(s, "main", manifesttest.Adds(rows)...); err != nil {
		t.Fatal(err)
	}
	eth := btc
	eth.Symbol = "eth_usdt"
	if err := apply(s, "main", manifesttest.Adds(manifesttest.Fake(eth, 2, manifesttest.Epoch))...); err != nil {
		t.Fatal(err)
	}
	T := func(sec int64) int64 { return manifesttest.Epoch + sec*1e9 }
	for name, c := range map[string]struct {
		f    manifest.Filter
		want []uint64
	}{
		"all of it":         {manifest.Filter{}, []uint64{1, 101, 201, 301, 401, 501, 601, 701, 801, 901, 1, 101}},
		"symbol":            {manifest.Filter{Symbol: "eth_usdt"}, []uint64{1, 101}},
		"no such":           {manifest.Filter{Venue: "kraken"}, nil},
		"instant at start":  {manifest.Filter{Symbol: "btc_usdt", Start: T(200), End: T(200) + 1}, []uint64{201}},
		"end is exclusive":  {manifest.Filter{Symbol: "btc_usdt", Start: T(150), End: T(200)}, []uint64{101}},
		"between two":       {manifest.Filter{Symbol: "btc_usdt", Start: T(199) + 1, End: T(200)}, nil},
		"open end":          {manifest.Filter{Symbol: "btc_usdt", Start: T(850)}, []uint64{801, 901}},
		"open start":        {manifest.Filter{Symbol: "btc_usdt", End: T(101)}, []uint64{1, 101}},
		"event time":        {manifest.Filter{Symbol: "btc_usdt", Start: T(250), End: T(450), Clock: manifest.ByEventTime}, []uint64{201, 401}},
		"event time before": {manifest.Filter{Symbol: "btc_usdt", Start: T(100) - 1000, End: T(100), Clock: manifest.ByEventTime}, []uint64{101}},
		"sequences":         {manifest.Filter{Symbol: "btc_usdt", FromSeq: 200, ToSeq: 301}, []uint64{101, 201, 301}},
		"from a sequence":   {manifest.Filter{Symbol: "btc_usdt", FromSeq: 801}, []uint64{801, 901}},
		"one stream":        {manifest.Filter{Venue: btc.Venue, Symbol: btc.Symbol, Stream: btc.Stream, ToSeq: 100}, []uint64{1}},
	} {
		var got []uint64
		for _, row := range s.Find(c.f) {
			got = append(got, row.FirstSeq)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestAt compares with a walk over the records' running maxima.
func TestAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := manifest.NewState()
		rows := manifesttest.Fake(btc, 6, manifesttest.Epoch)
		for i := range rows {
			rows[i].FirstTime = manifesttest.Epoch + int64(i)*100 + rapid.Int64Range(-150, 150).Draw(t, "first")
			rows[i].LastTime = rows[i].FirstTime + rapid.Int64Range(0, 200).Draw(t, "length")
			rows[i].Date = manifest.Day(rows[i].FirstTime)
		}
		if err := apply(s, "main", manifesttest.Adds(rows)...); err != nil {
			t.Fatal(err)
		}
		at := manifesttest.Epoch + rapid.Int64Range(-300, 900).Draw(t, "at")
		// Each segment as two records: its least time, then its greatest.
		want, clock := -1, int64(0)
		for i := range rows {
			for _, now := range []int64{rows[i].FirstTime, rows[i].LastTime} {
				if clock = max(clock, now); clock > at {
					break
				}
				want = i
			}
			if clock > at {
				break
			}
		}
		row, ok := s.At(btc, manifest.ByTime, at)
		if ok != (want >= 0) || ok && row.FirstSeq != rows[want].FirstSeq {
			t.Fatalf("at %d: segment %d (%v), want number %d of %+v", at, row.FirstSeq, ok, want, rows)
		}
	})
}

// life draws what one writer's agent may do next and does it, so that whatever
// comes out is a log that could exist.
type life struct {
	writer string
	rows   []manifest.Segment
	stage  []int // per row: see next
}

var stages = []struct {
	kind     manifest.OpKind
	to, from string
}{
	{manifest.OpIntent, "warm", manifest.Hot}, {manifest.OpAdd, "warm", manifest.Hot}, {manifest.OpDelete, "", manifest.Hot},
	{manifest.OpIntent, "cold", "warm"}, {manifest.OpMove, "cold", "warm"}, {manifest.OpDelete, "", "warm"}, {manifest.OpDelete, "", "cold"},
}

func newLife(writer string, n int) *life {
	id := btc
	id.Venue = "venue-" + writer
	return &life{writer: writer, rows: manifesttest.Fake(id, n, manifesttest.Epoch), stage: make([]int, n)}
}

// next gives the operations of a commit: a step for a random few of the rows.
func (l *life) next(rng *rand.Rand) []manifest.Op {
	var ops []manifest.Op
	for i, row := range l.rows {
		if l.stage[i] == len(stages) || rng.IntN(3) != 0 {
			continue
		}
		step := stages[l.stage[i]]
		if step.kind == manifest.OpIntent && rng.IntN(4) == 0 {
			continue
		}
		if (step.kind == manifest.OpAdd || step.kind == manifest.OpMove) && rng.IntN(4) == 0 {
			ops = append(ops, op(manifest.OpAbort, row, "", ""))
			l.stage[i]--
			continue
		}
		ops = append(ops, op(step.kind, row, step.to, step.from))
		l.stage[i]++
	}
	if rng.IntN(3) == 0 {
		ops = append(ops, manifest.Op{Op: manifest.OpGap, Gap: &manifest.Gap{
			Venue: l.rows[0].Venue, Symbol: l.rows[0].Symbol, Start: manifesttest.Epoch + rng.Int64N(3)*1e9, End: manifesttest.Epoch + 5e9, Cause: "sequence",
		}})
	}
	return ops
}

// TestOrderOfLogsDoesNotMatter replays the commits of two writers in random
// interleavings.
func TestOrderOfLogsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 0))
		var logs [2][]*manifest.Commit
		for w, l := range []*life{newLife("a", 4), newLife("b", 4)} {
			for range 12 {
				if ops := l.next(rng); len(ops) > 0 {
					logs[w] = append(logs[w], &manifest.Commit{Writer: l.writer, N: uint64(len(logs[w]) + 1), Ops: ops})
				}
			}
		}
		want := replay(t, slices.Concat(logs[0], logs[1]))
		if got := replay(t, interleave(rng, logs[0], logs[1])); !reflect.DeepEqual(got, want) {
			t.Fatalf("another order gives another state:\n%+v\n%+v", got, want)
		}
	})
}

// facts is all that a state tells.
type facts struct {
	rows      []manifest.Row
	moves     []manifest.Move
	leftovers []manifest.Leftover
	gaps      []manifest.Gap
	removed   map[manifest.StreamID][]manifest.SeqRange
}

func factsOf(s *manifest.State) facts {
	f := facts{rows: s.Find(manifest.Filter{}), moves: s.Moves(), leftovers: s.Leftovers(), gaps: s.Gaps(), removed: map[manifest.StreamID][]manifest.SeqRange{}}
	for _, id := range s.Streams() {
		if r := s.Removed(id); len(r) > 0 {
			f.removed[id] = r
		}
	}
	return f
}

func replay(t *rapid.T, commits []*manifest.Commit) facts {
	s := manifest.NewState()
	for _, c := range commits {
		if err := s.Apply(c); err != nil {
			t.Fatal(err)
		}
	}
	return factsOf(s)
}

func interleave(rng *rand.Rand, a, b []*manifest.Commit) []*manifest.Commit {
	var all []*manifest.Commit
	for len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && rng.IntN(2) == 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return all
}
