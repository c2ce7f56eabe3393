package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"chronicle/ingest/etl"
	"chronicle/ingest/etl/audit"
)

// refinery is the ETL: one, or one for each shard, in this process. Stats may be
// called from any goroutine.
type refinery struct {
	log   *slog.Logger
	parts []refineryPart
}

type refineryPart struct {
	shard string // empty without shards
	*etl.ETL
	audit *audit.Auditor // nil: nobody audits
}

// openRefinery opens the shard of that name, or all of them.
func openRefinery(ctx context.Context, cfg *Config, log *slog.Logger, shard string) (*refinery, error) {
	if err := cfg.checkState(); err != nil {
		return nil, err
	}
	// The zones may start in any order: without a feed yet there is nothing to do.
	if err := os.MkdirAll(cfg.rawDir(), 0o755); err != nil {
		return nil, fmt.Errorf("raw queue: %w", err)
	}
	names, err := cfg.pick(shard)
	if err != nil {
		return nil, err
	}
	r := &refinery{log: log}
	for _, name := range names {
		ec := cfg.etlConfig(log, name)
		ec.MaxOpen = etl.DefaultMaxOpen / len(names) // they share the process's mappings
		e, err := etl.Open(ctx, ec)
		if err != nil {
			return nil, errors.Join(ofShard(name, err), r.Close())
		}
		r.parts = append(r.parts, refineryPart{shard: name, ETL: e})
	}
	return r, nil
}

// pick gives the names of the shards to run: the one that is named, or all.
func (c *Config) pick(shard string) ([]string, error) {
	names := c.shardNames()
	switch {
	case shard == "":
		return names, nil
	case names[0] == "":
		return nil, badUsage("--shard %s: no shards are configured: write etl.shards into the file that --config names", shard)
	case !slices.Contains(names, shard):
		return nil, badUsage("--shard %s: one of %s", shard, strings.Join(names, ", "))
	}
	return []string{shard}, nil
}

func ofShard(name string, err error) error {
	if err == nil || name == "" {
		return err
	}
	return fmt.Errorf("shard %s: %w", name, err)
}

// Run follows the raw queue until ctx is done or a part fails, which ends the
// others too.
func (r *refinery) Run(ctx context.Context) error { return r.all(ctx, (*etl.ETL).Run) }

// CatchUp processes what the raw queue holds now.
func (r *refinery) CatchUp(ctx context.Context) error { return r.all(ctx, (*etl.ETL).CatchUp) }

func (r *refinery) all(ctx context.Context, do func(*etl.ETL, context.Context) error) error {
	g, running := errgroup.WithContext(ctx)
	for _, p := range r.parts {
		g.Go(func() error {
			err := do(p.ETL, running)
			if err != nil && running.Err() == nil && len(r.parts) > 1 {
				r.log.Error("a shard has failed: all end", "shard", p.shard, "error", err)
			}
			return ofShard(p.shard, err)
		})
	}
	return g.Wait()
}

// Close closes every part.
func (r *refinery) Close() error {
	var errs []error
	for _, p := range r.parts {
		errs = append(errs, ofShard(p.shard, p.ETL.Close()))
	}
	return errors.Join(errs...)
}

// Stats gives the counts of all parts together.
func (r *refinery) Stats() etl.Stats {
	sum := r.parts[0].ETL.Stats()
	for _, p := range r.parts[1:] {
		sum = addStats(sum, p.ETL.Stats())
	}
	return sum
}

// addStats adds the counts of b to a. Positions and times are those of the one that
// is further behind: what all have done.
func addStats(a, b etl.Stats) etl.Stats {
	sum := a
	addFields(reflect.ValueOf(&sum).Elem(), reflect.ValueOf(b))
	sum.RawSeq, sum.RawTime, sum.Records = min(a.RawSeq, b.RawSeq), min(a.RawTime, b.RawTime), min(a.Records, b.Records)
	sum.Checkpoint, sum.CheckpointTime = min(a.Checkpoint, b.Checkpoint), min(a.CheckpointTime, b.CheckpointTime)
	sum.CheckpointTook = max(a.CheckpointTook, b.CheckpointTook)
	return sum
}

// addFields adds numbers field by field, so that no count is ever left out.
func addFields(to, from reflect.Value) {
	switch {
	case to.Kind() == reflect.Struct:
		for i := range to.NumField() {
			addFields(to.Field(i), from.Field(i))
		}
	case to.CanUint():
		to.SetUint(to.Uint() + from.Uint())
	case to.CanInt():
		to.SetInt(to.Int() + from.Int())
	}
}
