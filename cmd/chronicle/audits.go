package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"chronicle/ingest/etl/audit"
	"chronicle/market"
)

// Whether the ETL is audited.
const (
	auditOn  = "on"
	auditOff = "off"
)

func addAuditFlag(f *pflag.FlagSet) {
	f.String("audit", auditOn, "prove beside the ETL that the clean books are right: on or off")
}

// openAudits makes an auditor for each part, unless the settings say off.
func (r *refinery) openAudits(cfg *Config) error {
	if cfg.ETL.Audit == auditOff {
		return nil
	}
	for i := range r.parts {
		p := &r.parts[i]
		ec := cfg.etlConfig(r.log, p.shard)
		has, err := cfg.members(p.shard)
		if err != nil {
			return err
		}
		p.audit, err = audit.New(audit.Config{CleanDir: ec.CleanDir, LedgerPath: filepath.Join(ec.StateDir, "ledger.jsonl"), Has: has, Log: ec.Log})
		if err != nil {
			return ofShard(p.shard, fmt.Errorf("%w (--audit=off goes on without)", err))
		}
	}
	return nil
}

// members tells which instruments are in a shard; without shards all are.
func (c *Config) members(shard string) (func(market.SymbolID) bool, error) {
	if shard == "" {
		return nil, nil
	}
	var set []market.Pattern
	for _, s := range c.ETL.Shards {
		if s.Name != shard {
			continue
		}
		for _, text := range s.Symbols {
			p, err := market.ParsePattern(text)
			if err != nil {
				return nil, err
			}
			set = append(set, p)
		}
	}
	return func(id market.SymbolID) bool {
		return slices.ContainsFunc(set, func(p market.Pattern) bool { return p.Match(id) })
	}, nil
}

// Audit runs the auditors until ctx is done. One that fails is no reason to end the
// ETL: it is logged, and its metrics stand still.
func (r *refinery) Audit(ctx context.Context) error {
	var g errgroup.Group
	for _, p := range r.parts {
		if p.audit == nil {
			continue
		}
		g.Go(func() error {
			if err := p.audit.Run(ctx); err != nil {
				r.log.Error("the audit has ended: books are written and not proved", "shard", p.shard, "error", err)
			}
			return nil
		})
	}
	return g.Wait()
}
