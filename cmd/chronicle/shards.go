package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chronicle/ingest/etl"
)

// defaultConsumer is how the raw queue knows an ETL without shards.
const defaultConsumer = "etl"

// shardNames gives the names of the shards; one empty name when there are none.
func (c *Config) shardNames() []string {
	if len(c.ETL.Shards) == 0 {
		return []string{""}
	}
	names := make([]string, len(c.ETL.Shards))
	for i, s := range c.ETL.Shards {
		names[i] = s.Name
	}
	return names
}

// etlDir holds the ETL's state, or that of its shards.
func (c *Config) etlDir() string { return filepath.Join(c.Root, "queues", "etl") }

// etlConsumers gives the names by which the raw queue knows the ETL's shards.
func (c *Config) etlConsumers() []string {
	names := c.shardNames()
	for i, name := range names {
		names[i] = consumerOf(name)
	}
	return names
}

func consumerOf(shard string) string {
	if shard == "" {
		return defaultConsumer
	}
	return defaultConsumer + "-" + shard
}

// checkShards tells what is wrong with the ETL's settings.
func (c *Config) checkShards() error {
	ec := c.etlConfig(slog.New(slog.DiscardHandler), "")
	if err := ec.Check(); err != nil {
		return badUsage("etl: %w", err)
	}
	if a := c.ETL.Audit; a != "" && a != auditOn && a != auditOff {
		return badUsage("--audit %q: %s or %s", a, auditOn, auditOff)
	}
	if len(c.ETL.Shards) > 0 && slices.Contains(c.Feed.Consumers, defaultConsumer) {
		return badUsage("feed.consumers names %s, but the ETL is divided into shards, whose consumers are %s: name those, or leave feed.consumers out",
			defaultConsumer, strings.Join(c.etlConsumers(), ", "))
	}
	return nil
}

// etlConfig gives the configuration of one shard; the name is empty without shards.
func (c *Config) etlConfig(log *slog.Logger, shard string) etl.Config {
	ec := etl.Config{
		RawDir: c.rawDir(), CleanDir: c.cleanDir(), StateDir: filepath.Join(c.etlDir(), shard), Consumer: consumerOf(shard), Shard: shard,
		Policy: etl.Policy{
			RollInterval: c.ETL.RollInterval, RollBytes: c.ETL.RollBytes, RollMinBytes: c.ETL.RollMinBytes,
			SnapshotInterval: c.ETL.SnapshotInterval, ReplayBudget: c.ETL.ReplayBudget,
		},
		CheckpointEvery: c.ETL.CheckpointEvery, Log: log,
	}
	if shard != "" {
		ec.Log = log.With("shard", shard)
	}
	for _, s := range c.ETL.Shards {
		ec.Shards = append(ec.Shards, etl.Shard{Name: s.Name, Symbols: s.Symbols})
	}
	for _, g := range c.ETL.Groups {
		ec.Groups = append(ec.Groups, etl.PolicyGroup{Symbols: g.Symbols, Policy: etl.Policy{
			RollInterval: g.RollInterval, RollBytes: g.RollBytes, RollMinBytes: g.RollMinBytes,
			SnapshotInterval: g.SnapshotInterval, ReplayBudget: g.ReplayBudget,
		}})
	}
	return ec
}

// checkState refuses to begin beside the state of another division of the
// instruments: its streams would be written twice, and what it holds be lost.
func (c *Config) checkState() error {
	found, err := statesIn(c.etlDir())
	if err != nil {
		return err
	}
	names := c.shardNames()
	for _, shard := range found {
		if slices.Contains(names, shard) {
			continue
		}
		return fmt.Errorf("%s holds the state of %s, but the settings (etl.shards) say %s: give the ETL the settings that it had, "+
			"or another --root, for the instruments cannot be divided anew over what is there (if it has made no streams yet, "+
			"remove that state and its registration, 'chronicle queue consumers --remove %s %s')",
			filepath.Join(c.etlDir(), shard), shardText([]string{shard}), shardText(names), consumerOf(shard), c.rawDir())
	}
	return nil
}

// statesIn gives the shards whose checkpoints lie below the ETL's directory.
func statesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the ETL's state: %w", err)
	}
	places := []string{""}
	for _, e := range entries {
		if e.IsDir() {
			places = append(places, e.Name())
		}
	}
	var found []string
	for _, place := range places {
		switch _, err := os.Stat(filepath.Join(dir, place, "checkpoint")); {
		case err == nil:
			found = append(found, place)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("the ETL's state: %w", err)
		}
	}
	return found, nil
}

func shardText(names []string) string {
	if names[0] == "" {
		return "an ETL without shards"
	}
	if len(names) == 1 {
		return "shard " + names[0]
	}
	return "the shards " + strings.Join(names, ", ")
}
