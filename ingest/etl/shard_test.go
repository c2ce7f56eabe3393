package etl

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"chronicle/market"
	"chronicle/store/queue"
)

func TestShardsAreChecked(t *testing.T) {
	good := []Shard{{Name: "a", Symbols: []string{"b*"}}, {Name: "b", Symbols: []string{"v:*"}}}
	for name, c := range map[string]struct {
		all  []Shard
		own  string
		want string
	}{
		"no shard chosen": {good, "", "one of a, b"},
		"unknown shard":   {good, "c", `"c" is none of`},
		"no shards":       {nil, "a", `"a" is none of`},
		"bad name":        {[]Shard{{Name: "A b", Symbols: []string{"*"}}}, "A b", "lower-case"},
		"name twice":      {[]Shard{good[0], good[0]}, "a", "twice"},
		"no symbols":      {[]Shard{{Name: "a"}}, "a", "none given"},
		"bad pattern":     {[]Shard{{Name: "a", Symbols: []string{"["}}}, "a", "not a pattern"},
	} {
		if _, err := newShards(c.all, c.own); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	s, err := newShards(good, "a")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[market.SymbolID]string{
		{Venue: "w", Symbol: "btc"}: "", {Venue: "v", Symbol: "eth"}: "", {Venue: "v", Symbol: "btc"}: "a and b", {Venue: "w", Symbol: "eth"}: "none of",
	} {
		if _, err := s.has(id); (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || !errors.Is(err, ErrShards)) {
			t.Errorf("%v: %v, want %q", id, err, want)
		}
	}
}

// TestInstrumentInNoShard stops before anything of the instrument is lost.
func TestInstrumentInNoShard(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	randomRaw(s, rand.New(rand.NewPCG(1, 1)), 50)
	cfg := config(dir, dir)
	cfg.Shards, cfg.Shard = []Shard{{Name: "a", Symbols: []string{"plain"}}}, "a"
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.abandon()
	if err := e.CatchUp(t.Context()); !errors.Is(err, ErrShards) {
		t.Errorf("%v, want %v", err, ErrShards)
	}
}

// TestAnotherDivisionIsRefused keeps the state of a shard from being taken for
// that of another.
func TestAnotherDivisionIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	randomRaw(s, rand.New(rand.NewPCG(1, 1)), 50)
	cfg := config(dir, dir)
	runAll(t, cfg)
	cfg.Shards, cfg.Shard = []Shard{{Name: "a", Symbols: []string{"*"}}}, "a"
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrShards) {
		t.Errorf("%v, want %v", err, ErrShards)
	}
}

func TestPolicyGroups(t *testing.T) {
	p, err := newPolicies(Policy{ReplayBudget: 9}, []PolicyGroup{
		{Symbols: []string{"kraken:*"}, Policy: Policy{RollInterval: 2 * time.Hour}},
		{Symbols: []string{"btc*"}, Policy: Policy{SnapshotInterval: time.Second}},
	})
	if err != nil {
		t.Fatal(err)
	}
	kraken := p.of(market.SymbolID{Venue: "kraken", Symbol: "btc_usd"})
	if kraken.RollInterval != 2*time.Hour || kraken.ReplayBudget != 9 || kraken.SnapshotInterval != time.Minute || kraken.RollMinBytes != 1<<20 {
		t.Errorf("kraken: %+v", kraken)
	}
	if btc := p.of(market.SymbolID{Venue: "okx", Symbol: "btc_usd"}); btc.SnapshotInterval != time.Second || btc.RollInterval != time.Hour {
		t.Errorf("btc: %+v", btc)
	}
	if other := p.of(market.SymbolID{Venue: "okx", Symbol: "eth_usd"}); *other != p.base {
		t.Errorf("other: %+v", other)
	}
	if _, err := newPolicies(Policy{RollBytes: -1}, nil); err == nil {
		t.Error("negative size taken")
	}
	if _, err := newPolicies(Policy{}, []PolicyGroup{{}}); err == nil {
		t.Error("group without symbols taken")
	}
}

// TestQuietStreamsAreCutAtMidnight has a busy symbol, which is cut every hour, and
// a quiet one, which must neither make tiny segments nor stay open for ever.
func TestQuietStreamsAreCutAtMidnight(t *testing.T) {
	dir := t.TempDir()
	s := newScript(t, dir)
	s.now = s.now/day*day + 9*int64(time.Hour)
	s.session(market.SessionSourceBegin, "v")
	s.define(1, "v", "busy", market.L2, false)
	s.define(2, "v", "quiet", market.L2, false)
	for hour := range 30 {
		s.delta(2, 0, 0, level(market.Bid, int64(hour+1), 5))
		for i := range int64(300) {
			s.delta(1, 0, 0, level(market.Bid, i+1, i+1+int64(hour)))
		}
		s.now += int64(time.Hour)
	}
	s.delta(1, 0, 0, level(market.Bid, 1, 1))
	cfg := config(dir, dir)
	cfg.Policy = Policy{RollMinBytes: 30_000}
	runAll(t, cfg)
	for symbol, want := range map[string]int{"busy": 31, "quiet": 2} {
		files, err := queue.ListSegments(StreamDir(cfg.CleanDir, "v", symbol, market.StreamBook))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != want {
			t.Errorf("%s has %d segments, want %d", symbol, len(files), want)
		}
		for i, f := range files {
			if last := i == len(files)-1; f.Sealed == last {
				t.Errorf("%s: segment %d of %d: sealed %v", symbol, i+1, len(files), f.Sealed)
			}
		}
	}
}
