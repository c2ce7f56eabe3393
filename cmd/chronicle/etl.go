package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func etlCommand() *cobra.Command {
	var z etlZone
	cmd := &cobra.Command{
		Use:   "etl",
		Short: "Turn the raw queue into clean streams (one zone, for production)",
		Long: `Follow the raw queue: split it by symbol, keep every book, inject snapshots, mark gaps.
Killed at any moment it goes on where it stopped, without loss or repetition.

When one core is not enough, etl.shards in the file that --config names divides the
instruments; every one must be in exactly one shard:

  etl:
    shards:
      - {name: a, symbols: ["[a-k]*"]}       # by symbol on any venue; "kraken:*" by venue
      - {name: b, symbols: ["[^a-k]*"]}
    groups:                                  # instruments with settings of their own
      - {symbols: ["btc*"], snapshot_interval: 10s, roll_bytes: 268435456}

Beside each an auditor proves, from what is on the disk, that the books are right; what
it finds wrong it logs, and queries call degraded. It takes a twentieth of a core.

This process runs all shards, or with --shard one of them. Give the feed the same file:
it keeps the raw queue until all shards have passed it. 'chronicle queue stat --watch'
shows how far each has come, --metrics does for Prometheus.`,
		Example: `  chronicle etl
  chronicle etl --config chronicle.yaml --shard a --metrics 127.0.0.1:9102
  chronicle etl --once`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			z.cfg, z.log = cfg, cfg.logger()
			return z.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&z.once, "once", false, "process what is there and end")
	f.StringVar(&z.shard, "shard", "", "the shard to process (default: all, in this process)")
	addETLFlags(f, time.Hour)
	addAuditFlag(f)
	addMetricsFlag(f, "etl")
	addInsecureFlag(f, "etl")
	return cmd
}

// etlZone is the zone as a process of its own, with its metrics.
type etlZone struct {
	cfg   *Config
	log   *slog.Logger
	shard string
	once  bool
}

func (z *etlZone) run(ctx context.Context) error {
	m, err := openMonitor(z.cfg.ETL.Metrics, z.cfg.ETL.Insecure, z.log)
	if err != nil {
		return err
	}
	r, err := openRefinery(ctx, z.cfg, z.log, z.shard)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	if !z.once {
		if err := r.openAudits(z.cfg); err != nil {
			return errors.Join(err, r.Close(), m.Close())
		}
	}
	m.etl(z.cfg, r)
	g, running := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(running)
	defer stop()
	g.Go(func() error { return m.Serve(running) })
	g.Go(func() error { return r.Audit(running) })
	g.Go(func() error {
		defer stop() // --once: the metrics end too
		if z.once {
			return r.CatchUp(running)
		}
		return r.Run(running)
	})
	err = errors.Join(g.Wait(), r.Close())
	for _, p := range r.parts {
		s := p.ETL.Stats()
		attrs := []any{"raw_seq", s.RawSeq, "records", s.Records, "written", s.Written, "gaps", s.Gaps}
		if p.shard != "" {
			attrs = append(attrs, "shard", p.shard)
		}
		z.log.Info("etl stopped", attrs...)
	}
	return err
}
