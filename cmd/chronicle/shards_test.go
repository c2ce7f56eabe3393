package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

// marketRoot makes a root whose raw queue has ten trades of each symbol.
func marketRoot(t *testing.T, symbols ...string) *Config {
	t.Helper()
	cfg := &Config{Root: t.TempDir(), LogLevel: "error"}
	w, err := queue.OpenWriter(cfg.rawDir(), queue.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	e := emit.New(w, &emit.Counters{}, emit.Options{Venue: "v"})
	for i := range 10 {
		for id, symbol := range symbols {
			at := int64(1+i) * 1e9
			if i == 0 {
				e.Define(at, at, market.Definition{Symbol: symbol, Native: symbol, BookType: market.L3, Channel: "c"})
			}
			e.Trade(uint32(id+1), at, at, &market.Trade{Side: market.Bid, Price: 1, Size: 1, Seq: uint64(i + 1)})
		}
	}
	if err := w.Close(); err != nil || e.Err() != nil {
		t.Fatal(err, e.Err())
	}
	return cfg
}

// trades counts the trades in an instrument's stream; -1 if there is none.
func (c *Config) trades(t *testing.T, symbol string) (n int) {
	t.Helper()
	dir := filepath.Join(c.cleanDir(), "v", symbol, "trade.q")
	if _, err := os.Stat(dir); err != nil {
		return -1
	}
	queuetest.Each(t, dir, func(*queue.Record) { n++ })
	return n
}

const twoShards = `etl: {shards: [{name: a, symbols: ["btc*"]}, {name: b, symbols: ["eth*"]}]}`

// Shards run each alone or all together, and what they make is the same.
func TestShards(t *testing.T) {
	cfg, settings := marketRoot(t, "btc_usd", "eth_usd"), settingsFile(t, twoShards)
	etl := func(args ...string) (int, string) {
		t.Helper()
		code, _, errs := command(t, append([]string{"etl", "--once", "--root", cfg.Root, "--config", settings}, args...)...)
		return code, errs
	}
	if code, errs := etl("--shard", "c"); code != 2 || !strings.Contains(errs, "--shard c: one of a, b") {
		t.Errorf("status %d, %s", code, errs)
	}
	if code, errs := etl("--shard", "a"); code != 0 || cfg.trades(t, "btc_usd") != 10 || cfg.trades(t, "eth_usd") != -1 {
		t.Errorf("shard a: status %d, %s, %d and %d trades", code, errs, cfg.trades(t, "btc_usd"), cfg.trades(t, "eth_usd"))
	}
	if code, errs := etl(); code != 0 || cfg.trades(t, "btc_usd") != 10 || cfg.trades(t, "eth_usd") != 10 {
		t.Errorf("all: status %d, %s, %d and %d trades", code, errs, cfg.trades(t, "btc_usd"), cfg.trades(t, "eth_usd"))
	}
	consumers, err := queue.Consumers(cfg.rawDir())
	if err != nil || len(consumers) != 2 || consumers[0].Name != "etl-a" || consumers[1].Name != "etl-b" || consumers[0].Next != 24 || consumers[1].Next != 24 {
		t.Errorf("consumers %+v, %v", consumers, err)
	}
	if code, _, errs := command(t, "etl", "--once", "--root", cfg.Root); code != 1 || !strings.Contains(errs, "the state of shard a, but the settings (etl.shards) say an ETL without shards") {
		t.Errorf("without shards: status %d, %s", code, errs)
	}
}

// An instrument in no shard ends all of them, with the shard in the error.
func TestShardsFailTogether(t *testing.T) {
	cfg := marketRoot(t, "btc_usd", "eth_usd", "sol_usd")
	code, _, errs := command(t, "etl", "--root", cfg.Root, "--config", settingsFile(t, twoShards))
	if code != 1 || !strings.Contains(errs, "shard ") || !strings.Contains(errs, "v:sol_usd is in none of the shards a, b") {
		t.Errorf("status %d, %s", code, errs)
	}
}

func TestStateOfAnotherDivisionIsRefused(t *testing.T) {
	for _, c := range []struct {
		settings string
		state    []string
		want     string // empty: it is not refused
	}{
		{"", nil, ""},
		{"", []string{""}, ""},
		{"", []string{"a"}, "shard a"},
		{twoShards, nil, ""},
		{twoShards, []string{"a", "b"}, ""},
		{twoShards, []string{"b"}, ""},
		{twoShards, []string{""}, "an ETL without shards"},
		{twoShards, []string{"a", "c"}, "shard c"},
	} {
		cfg, err := configOf(t, c.settings, "etl", "--root", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range c.state {
			dir := filepath.Join(cfg.etlDir(), shard)
			if err := os.MkdirAll(filepath.Join(dir, "carry.q"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "checkpoint"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err = cfg.checkState()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "holds the state of "+c.want+", but")) {
			t.Errorf("%q over %q: %v, want %q", c.settings, c.state, err, c.want)
		}
	}
}

// A replay goes through all shards, and its summary counts for all of them.
func TestReplayThroughShards(t *testing.T) {
	line := func(s string) string { return s + "\n" }
	file := filepath.Join(t.TempDir(), "usdm.txt")
	text := ""
	for i, symbol := range []string{"BTCUSDT", "ETHUSDT", "BTCUSDT"} {
		text += line(`172307490000000000` + string(rune('0'+i)) + ` {"e":"aggTrade","E":1723074900000,"a":` + string(rune('1'+i)) + `,"s":"` + symbol + `","p":"50.1","q":"2","f":1,"l":1,"T":1723074900000,"m":true}`)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	replay := func(args ...string) (sum replaySummary) {
		t.Helper()
		code, out, errs := command(t, append([]string{"replay", "--json", "--source", "binance-usdm", file}, args...)...)
		if err := json.Unmarshal([]byte(out), &sum); err != nil || code != 0 {
			t.Fatalf("status %d, %v: %s%s", code, err, out, errs)
		}
		return sum
	}
	whole, sum := replay("--root", t.TempDir()), replay("--root", root, "--config", settingsFile(t, twoShards))
	if sum.ETL.Written != whole.ETL.Written || sum.ETL.Instruments != 2 || sum.ETL.Records != sum.Records || sum.ETL.RawSeq != sum.Records || whole.Records != sum.Records {
		t.Errorf("summary %+v, without shards %+v", sum, whole)
	}
	names, err := filepath.Glob(filepath.Join(root, "queues", "etl", "*", "checkpoint"))
	if err != nil || len(names) != 2 || !slices.IsSorted(names) {
		t.Errorf("states %v, %v", names, err)
	}
}
