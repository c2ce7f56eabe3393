package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"chronicle/market"
)

// configOf gives the settings of a command line.
func configOf(t *testing.T, file string, args ...string) (*Config, error) {
	t.Helper()
	if file != "" {
		args = append(args, "--config", settingsFile(t, file))
	}
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	return loadConfig(cmd)
}

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chronicle.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsFileIsChecked(t *testing.T) {
	for file, want := range map[string]string{
		`rot: x`:                                         `unknown setting "rot" (known: etl, feed,`,
		`etl:`:                                           "etl has no value",
		`etl: 5`:                                         "etl: write settings below it",
		`etl: {metric: x}`:                               `unknown setting "etl.metric" (known in etl: audit, checkpoint_every, groups, `,
		`etl: {roll_bytes: true}`:                        "etl.roll_bytes: true is not right: write a whole number",
		`etl: {roll_bytes: -5}`:                          "roll bytes -5",
		`etl: {audit: maybe}`:                            `--audit "maybe": on or off`,
		`etl: {checkpoint_every: -5}`:                    "etl.checkpoint_every: -5",
		`etl: {roll_interval: 30}`:                       "etl.roll_interval: 30 is not right: write a duration, such as 90s",
		`tier: {cold_dir: [a]}`:                          "tier.cold_dir: [a] is not right: write a text",
		`feed: {spin: "yes"}`:                            "feed.spin: yes is not right: write true or false",
		`feed: {symbols: btc_usdt}`:                      "feed.symbols: btc_usdt is not a list: write [",
		`feed: {symbols: [5]}`:                           "feed.symbols[0]: 5",
		`feed: {alarm_free_bytes: -1}`:                   "--alarm-free-bytes -1",
		`sim: {rate: fast}`:                              "sim.rate: fast is not right: write a number",
		`etl: {shards: {name: a}}`:                       "etl.shards: map[name:a] is not a list: write [{name: ..., symbols: ...}]",
		`etl: {shards: [{name: a, symbol: ["btc*"]}]}`:   `unknown setting "etl.shards[0].symbol" (known in etl.shards[0]: name, symbols)`,
		`etl: {shards: [{name: a, symbols: "btc*"}]}`:    "etl.shards[0].symbols: btc* is not a list",
		`etl: {shards: [{name: A, symbols: ["btc*"]}]}`:  `name "A": use lower-case letters`,
		`etl: {shards: [{symbols: ["btc*"]}]}`:           `name "": use lower-case letters`,
		`etl: {shards: [{name: a}]}`:                     "a: symbols: none given",
		`etl: {shards: [{name: a, symbols: ["b[tc*"]}]}`: `"b[tc*" is not a pattern of symbols: write btc_*`,
		`etl: {shards: [{name: a, symbols: [x]}, {name: a, symbols: [y]}]}`:             `name "a" is given twice`,
		`etl: {groups: [{symbols: [x], roll_bytes: big}]}`:                              "etl.groups[0].roll_bytes: big is not right",
		`etl: {groups: [{symbols: [x]}, {symbols: [y], snapshot_interval: soon}]}`:      "etl.groups[1].snapshot_interval: soon is not right",
		`etl: {groups: [{roll_bytes: 5}]}`:                                              "symbols: none given",
		`etl: {groups: [{symbols: ["a/b"]}]}`:                                           `"a/b" is not a pattern`,
		"feed: {consumers: [etl]}\netl: {shards: [{name: a, symbols: [x]}]}":            "whose consumers are etl-a",
		"etl: {shards: [{name: a, symbols: [x]}]}\nserve: {rest: 127.0.0.1:1, port: 1}": `unknown setting "serve.port"`,
	} {
		code, out, errs := command(t, "etl", "--once", "--root", t.TempDir(), "--config", settingsFile(t, file))
		if code != 2 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s\n  gives status %d, %q, want 2 and %q", file, code, errs, want)
		}
	}
}

func TestSettingsOfTheETL(t *testing.T) {
	const file = `
etl:
  roll_interval: 30m
  roll_bytes: 1000
  metrics: 127.0.0.1:1
  shards:
    - {name: a, symbols: ["btc*", "kraken:*"]}
    - {name: b, symbols: ["eth*"]}
  groups:
    - {symbols: ["btc*"], snapshot_interval: 10s, replay_budget: 5, roll_interval: 2h, roll_bytes: 6, roll_min_bytes: 7}
`
	cfg, err := configOf(t, file, "etl", "--roll-bytes", "2000", "--roll-min-bytes", "8")
	if err != nil {
		t.Fatal(err)
	}
	ec := cfg.etlConfig(cfg.logger(), "b")
	if p := ec.Policy; p.RollInterval.Minutes() != 30 || p.RollBytes != 2000 || p.RollMinBytes != 8 || cfg.ETL.Metrics != "127.0.0.1:1" {
		t.Errorf("policy %+v of %+v", p, cfg.ETL)
	}
	if g := ec.Groups; len(g) != 1 || g[0].Symbols[0] != "btc*" || g[0].Policy.SnapshotInterval.Seconds() != 10 || g[0].Policy.ReplayBudget != 5 ||
		g[0].Policy.RollInterval.Hours() != 2 || g[0].Policy.RollBytes != 6 || g[0].Policy.RollMinBytes != 7 {
		t.Errorf("groups %+v", g)
	}
	if len(ec.Shards) != 2 || ec.Shards[0].Symbols[1] != "kraken:*" || ec.Shard != "b" || ec.Consumer != "etl-b" || ec.StateDir != filepath.Join(cfg.Root, "queues", "etl", "b") {
		t.Errorf("shards %+v, %s, %s, %s", ec.Shards, ec.Shard, ec.Consumer, ec.StateDir)
	}
	if whole, err := configOf(t, "", "etl"); err != nil {
		t.Error(err)
	} else if ec := whole.etlConfig(whole.logger(), ""); ec.Consumer != "etl" || ec.StateDir != filepath.Join(whole.Root, "queues", "etl") || ec.Shards != nil {
		t.Errorf("without shards: %+v", ec)
	}
}

// The feed waits for the ETL, or for all its shards, unless it is told for whom.
func TestFeedWaitsForAllShards(t *testing.T) {
	const shards = `etl: {shards: [{name: a, symbols: [x]}, {name: b, symbols: [y]}]}`
	for _, c := range []struct {
		file string
		args []string
		want []string
	}{
		{"", nil, []string{"etl"}},
		{shards, nil, []string{"etl-a", "etl-b"}},
		{"feed: {consumers: [strategy]}\n" + shards, nil, []string{"strategy"}},
		{shards, []string{"--consumers", "etl-a,x"}, []string{"etl-a", "x"}},
		{shards, []string{"--consumers="}, nil},
	} {
		for _, zone := range []string{"feed", "run"} {
			cfg, err := configOf(t, c.file, append([]string{zone}, c.args...)...)
			if err != nil || !slices.Equal(cfg.rawLimits().Require, c.want) {
				t.Errorf("%s %v with %q waits for %v, want %v (%v)", zone, c.args, c.file, cfg.Feed.Consumers, c.want, err)
			}
		}
	}
}

// Flags that every zone has mean that zone's setting.
func TestMetricsFlagIsOfItsZone(t *testing.T) {
	const addr = "127.0.0.1:9"
	for zone, of := range map[string]func(*Config) (string, bool){
		"feed": func(c *Config) (string, bool) { return c.Feed.Metrics, c.Feed.Insecure },
		"run":  func(c *Config) (string, bool) { return c.Feed.Metrics, c.Serve.Insecure },
		"etl":  func(c *Config) (string, bool) { return c.ETL.Metrics, c.ETL.Insecure },
		"tier": func(c *Config) (string, bool) { return c.Tier.Metrics, c.Tier.Insecure },
	} {
		cfg, err := configOf(t, "", zone, "--metrics", addr, "--insecure")
		if err != nil {
			t.Fatal(err)
		}
		if metrics, insecure := of(cfg); metrics != addr || !insecure {
			t.Errorf("%s: metrics %q, insecure %v", zone, metrics, insecure)
		}
	}
}

func TestMetricsStayOnThisMachine(t *testing.T) {
	for _, args := range [][]string{{"feed", "--line-a", "127.0.0.1:0"}, {"etl"}, {"tier"}, {"run"}} {
		code, _, errs := command(t, append(args, "--root", t.TempDir(), "--metrics", "0.0.0.0:0")...)
		if code != 1 || !strings.Contains(errs, "--metrics 0.0.0.0:0") || !strings.Contains(errs, "--insecure") {
			t.Errorf("%v: status %d, %s", args, code, errs)
		}
	}
}

func TestSettingsFromTheEnvironment(t *testing.T) {
	t.Setenv("CHRONICLE_FEED_SYMBOLS", "btc_usdt,eth_usdt")
	t.Setenv("CHRONICLE_ETL_ROLL_BYTES", "77")
	t.Setenv("CHRONICLE_TIER_METRICS", "127.0.0.1:5")
	cfg, err := configOf(t, "etl: {roll_bytes: 5}", "run")
	if err != nil || !slices.Equal(cfg.Feed.Symbols, []string{"btc_usdt", "eth_usdt"}) || cfg.ETL.RollBytes != 77 || cfg.Tier.Metrics != "127.0.0.1:5" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// The README's settings, and the help's, are settings; and its shards leave no
// instrument out.
func TestDocumentedSettings(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		files = append(files, m[1])
	}
	help := etlCommand().Long
	begin, end := strings.Index(help, "  etl:"), strings.Index(help, "This process")
	if len(files) < 3 || begin < 0 || end < begin {
		t.Fatalf("%d settings in the README, the help's are at %d to %d", len(files), begin, end)
	}
	for _, file := range append(files, help[begin:end]) {
		cfg, err := configOf(t, file, "etl")
		if err != nil {
			t.Errorf("%v in\n%s", err, file)
			continue
		}
		for _, symbol := range []string{"_all", "a", "k", "l", "kzz", "1inch_usd", "btc_usdt", "z"} {
			in := 0
			for _, shard := range cfg.ETL.Shards {
				for _, s := range shard.Symbols {
					if p, err := market.ParsePattern(s); err == nil && p.Match(market.SymbolID{Venue: "v", Symbol: symbol}) {
						in++
					}
				}
			}
			if len(cfg.ETL.Shards) > 0 && in != 1 {
				t.Errorf("%s is in %d shards of\n%s", symbol, in, file)
			}
		}
	}
}
