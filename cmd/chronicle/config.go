package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Config is every setting. A value comes from the flag, else from the environment
// (CHRONICLE_ and the key in capitals, dots as underscores), else from the file
// given by --config, else from the flag's default.
type Config struct {
	Root     string `koanf:"root"`
	JSON     bool   `koanf:"json"`
	LogLevel string `koanf:"log_level"`

	Feed  FeedConfig  `koanf:"feed"`
	ETL   ETLConfig   `koanf:"etl"`
	Tier  TierConfig  `koanf:"tier"`
	Serve ServeConfig `koanf:"serve"`
	Sim   SimConfig   `koanf:"sim"`
}

// FeedConfig says what a live feed receives, and how much of it the raw queue keeps.
type FeedConfig struct {
	Source string `koanf:"source"` // format
	Date   string `koanf:"date"`   // replay: the day of a recording that does not tell

	// Packet feeds.
	Listen        string        `koanf:"listen"` // the same as LineA
	LineA         string        `koanf:"line_a"`
	LineB         string        `koanf:"line_b"`
	InterfaceA    string        `koanf:"interface_a"`
	InterfaceB    string        `koanf:"interface_b"`
	SenderA       string        `koanf:"sender_a"`
	SenderB       string        `koanf:"sender_b"`
	Recovery      []string      `koanf:"recovery"`
	ReorderWindow int           `koanf:"reorder_window"`
	ReorderTime   time.Duration `koanf:"reorder_time"`
	RecoveryTime  time.Duration `koanf:"recovery_time"`
	JoinFromStart bool          `koanf:"join_from_start"`
	Spin          bool          `koanf:"spin"`
	ReadBuffer    int           `koanf:"read_buffer"`

	// Venues on the web.
	Symbols  []string `koanf:"symbols"`
	Channels []string `koanf:"channels"`
	Depth    int      `koanf:"depth"`
	URL      string   `koanf:"url"`
	RESTURL  string   `koanf:"rest_url"`

	// The raw queue.
	RetainAge    time.Duration `koanf:"retain_age"`
	RetainBytes  int64         `koanf:"retain_bytes"`
	Consumers    []string      `koanf:"consumers"`
	SegmentBytes int64         `koanf:"segment_bytes"`
	SyncInterval time.Duration `koanf:"sync_interval"`
	AlarmFree    int64         `koanf:"alarm_free_bytes"`

	Metrics  string `koanf:"metrics"`
	Insecure bool   `koanf:"insecure"`
}

// ETLConfig says how clean streams are cut, and who makes them.
type ETLConfig struct {
	RollInterval     time.Duration `koanf:"roll_interval"`
	RollBytes        int64         `koanf:"roll_bytes"`
	RollMinBytes     int64         `koanf:"roll_min_bytes"`
	SnapshotInterval time.Duration `koanf:"snapshot_interval"`
	ReplayBudget     int           `koanf:"replay_budget"`
	CheckpointEvery  uint64        `koanf:"checkpoint_every"`

	Shards []ShardConfig `koanf:"shards"`
	Groups []GroupConfig `koanf:"groups"`
	Audit  string        `koanf:"audit"` // auditOn or auditOff; empty is on

	Metrics  string `koanf:"metrics"`
	Insecure bool   `koanf:"insecure"`
}

// ShardConfig is a part of the instruments that is processed by an ETL of its own.
type ShardConfig struct {
	Name    string   `koanf:"name"`
	Symbols []string `koanf:"symbols"`
}

// GroupConfig gives some instruments settings of their own; what it leaves out is
// as for the others.
type GroupConfig struct {
	Symbols          []string      `koanf:"symbols"`
	SnapshotInterval time.Duration `koanf:"snapshot_interval"`
	ReplayBudget     int           `koanf:"replay_budget"`
	RollInterval     time.Duration `koanf:"roll_interval"`
	RollBytes        int64         `koanf:"roll_bytes"`
	RollMinBytes     int64         `koanf:"roll_min_bytes"`
}

// TierConfig says when sealed segments move.
type TierConfig struct {
	WarmAfter time.Duration `koanf:"warm_after"`
	ColdAfter time.Duration `koanf:"cold_after"`
	ColdDir   string        `koanf:"cold_dir"`
	Interval  time.Duration `koanf:"interval"`

	Metrics  string `koanf:"metrics"`
	Insecure bool   `koanf:"insecure"`
}

// ServeConfig says where the servers listen.
type ServeConfig struct {
	REST     string `koanf:"rest"`
	Flight   string `koanf:"flight"`
	Insecure bool   `koanf:"insecure"`
	Index    string `koanf:"index"`
}

// SimConfig describes the simulated market.
type SimConfig struct {
	Symbols []string `koanf:"symbols"`
	Rate    float64  `koanf:"rate"`
	Seed    uint64   `koanf:"seed"`
}

// Places below the root.
func (c *Config) rawDir() string      { return filepath.Join(c.Root, "queues", "raw_main.q") }
func (c *Config) cleanDir() string    { return filepath.Join(c.Root, "queues", "clean") }
func (c *Config) manifestDir() string { return filepath.Join(c.Root, "manifest") }
func (c *Config) warmDir() string     { return filepath.Join(c.Root, "archive") }

// flagKeys names the setting of each flag, but for the flags that mean another
// setting in each command: those have it as an annotation, see annotate.
var flagKeys = map[string]string{
	"log-level": "log_level",
	"source":    "feed.source", "listen": "feed.listen", "date": "feed.date",
	"line-a": "feed.line_a", "line-b": "feed.line_b", "interface-a": "feed.interface_a", "interface-b": "feed.interface_b",
	"sender-a": "feed.sender_a", "sender-b": "feed.sender_b", "recovery": "feed.recovery",
	"reorder-window": "feed.reorder_window", "reorder-time": "feed.reorder_time", "recovery-time": "feed.recovery_time",
	"join-from-start": "feed.join_from_start", "spin": "feed.spin", "read-buffer": "feed.read_buffer",
	"symbols": "feed.symbols", "channels": "feed.channels", "depth": "feed.depth", "url": "feed.url", "rest-url": "feed.rest_url",
	"retain-age": "feed.retain_age", "retain-bytes": "feed.retain_bytes", "consumers": "feed.consumers",
	"segment-bytes": "feed.segment_bytes", "sync-interval": "feed.sync_interval", "alarm-free-bytes": "feed.alarm_free_bytes",
	"roll-interval": "etl.roll_interval", "roll-bytes": "etl.roll_bytes", "roll-min-bytes": "etl.roll_min_bytes", "snapshot-interval": "etl.snapshot_interval",
	"replay-budget": "etl.replay_budget", "checkpoint-every": "etl.checkpoint_every", "audit": "etl.audit",
	"warm-after": "tier.warm_after", "cold-after": "tier.cold_after", "cold-dir": "tier.cold_dir", "tier-interval": "tier.interval",
	"rest": "serve.rest", "flight": "serve.flight", "index": "serve.index",
	"sim-symbols": "sim.symbols", "sim-rate": "sim.rate", "sim-seed": "sim.seed",
	"root": "root", "json": "json",
}

func addCommonFlags(f *pflag.FlagSet) {
	f.String("root", "./chronicle-data", "directory of the archive [$CHRONICLE_ROOT]")
	f.String("config", "", "YAML file of settings; flags and environment win over it")
	f.String("cold-dir", "", "directory of the cold tier; none: segments stay in the warm one, ROOT/archive")
	f.Bool("json", false, "print JSON for machines")
	f.String("log-level", "info", "debug, info, warn or error")
}

func addETLFlags(f *pflag.FlagSet, roll time.Duration) {
	f.Duration("roll-interval", roll, "cut segments of --roll-min-bytes or more at multiples of this capture time; all are cut at 0:00 UTC")
	f.Int64("roll-min-bytes", 0, "smallest segment that --roll-interval cuts (default 1 MiB for each hour of it)")
	f.Int64("roll-bytes", 64<<20, "cut a segment that has grown to this size, at any time")
	f.Duration("snapshot-interval", time.Minute, "event time between two snapshots of a changing book")
	f.Int("replay-budget", 2000, "changes after which a snapshot is due (twice the book's size, if that is more)")
	f.Uint64("checkpoint-every", 2_000_000, "raw records between two checkpoints: bounds the work after a crash")
}

func addTierFlags(f *pflag.FlagSet, warm time.Duration) {
	f.Duration("warm-after", warm, "age at which a sealed segment moves to the warm tier")
	f.Duration("cold-after", 7*24*time.Hour, "age at which a segment moves from the warm to the cold tier")
}

func addServeFlags(f *pflag.FlagSet) {
	f.String("rest", "127.0.0.1:8080", "address of the REST server")
	f.String("flight", "127.0.0.1:8815", "address of the Arrow Flight server")
	addInsecureFlag(f, "serve")
	f.String("index", "", "file of the manifest's index (default: in memory)")
}

// addMetricsFlag adds where a zone shows its metrics.
func addMetricsFlag(f *pflag.FlagSet, zone string) {
	f.String("metrics", "", "address to serve /metrics (Prometheus) and /healthz on, such as 127.0.0.1:9101 (default: none)")
	annotate(f, "metrics", zone+".metrics")
}

func addInsecureFlag(f *pflag.FlagSet, zone string) {
	f.Bool("insecure", false, "allow an address that is not loopback, without TLS and tokens")
	annotate(f, "insecure", zone+".insecure")
}

// setting is the annotation of a flag with the setting that it means.
const setting = "chronicle_setting"

func annotate(f *pflag.FlagSet, flag, key string) {
	_ = f.SetAnnotation(flag, setting, []string{key}) // it is there
}

// settingOf gives the setting that a flag means; empty if it is none.
func settingOf(f *pflag.Flag) string {
	if key := f.Annotations[setting]; len(key) == 1 {
		return key[0]
	}
	return flagKeys[f.Name]
}

// loadConfig gathers the settings of one command.
func loadConfig(cmd *cobra.Command) (*Config, error) {
	k := koanf.New(".")
	if path, _ := cmd.Flags().GetString("config"); path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return nil, badUsage("--config %s: %w", path, err)
		}
		if err := checkSettings(k.Raw()); err != nil {
			return nil, badUsage("--config %s: %w", path, err)
		}
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: "CHRONICLE_", TransformFunc: fromEnv}), nil); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	flags := posflag.ProviderWithFlag(cmd.Flags(), ".", k, func(f *pflag.Flag) (string, any) {
		return settingOf(f), posflag.FlagVal(cmd.Flags(), f)
	})
	named := k.Exists("feed.consumers") || cmd.Flags().Changed("consumers")
	if err := k.Load(flags, nil); err != nil {
		return nil, fmt.Errorf("flags: %w", err)
	}
	cfg := new(Config)
	if err := k.Unmarshal("", cfg); err != nil {
		return nil, badUsage("settings: %w", err)
	}
	if !named {
		cfg.Feed.Consumers = cfg.etlConsumers()
	}
	return cfg, cfg.check()
}

func (c *Config) check() error {
	if c.Root == "" {
		return badUsage("--root is empty: give the directory of the archive")
	}
	if err := new(slog.Level).UnmarshalText([]byte(c.LogLevel)); err != nil {
		return badUsage("--log-level %q: one of debug, info, warn, error", c.LogLevel)
	}
	if c.Feed.AlarmFree < 0 {
		return badUsage("--alarm-free-bytes %d: bytes, or 0 for the default", c.Feed.AlarmFree)
	}
	return c.checkShards()
}

// fromEnv finds the setting that an environment variable stands for. A list's
// items have commas between them.
func fromEnv(name, value string) (string, any) {
	name = strings.TrimPrefix(name, "CHRONICLE_")
	for key, t := range settings() {
		if strings.ToUpper(strings.ReplaceAll(key, ".", "_")) != name {
			continue
		}
		if t.Kind() == reflect.Slice {
			return key, strings.Split(value, ",")
		}
		return key, value
	}
	return "", nil
}

// logger writes structured logs to stderr.
func (c *Config) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checked by check
	opts := &slog.HandlerOptions{Level: level}
	if c.JSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}
