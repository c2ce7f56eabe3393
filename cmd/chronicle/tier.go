package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"chronicle/store/blob"
	"chronicle/store/tier"
)

func tierCommand() *cobra.Command {
	var once, dryRun, all bool
	cmd := &cobra.Command{
		Use:   "tier",
		Short: "Move sealed segments to the archive (one zone, for production)",
		Long: `Move sealed segments from the hot queues to the warm tier, and on to the cold one,
when they have the age for it. Every move is verified and recorded in the manifest;
killed at any moment, the next run finishes or undoes it. With --metrics it shows what
it does at http://ADDRESS/metrics.`,
		Example: `  chronicle tier --once --dry-run
  chronicle tier --once --all
  chronicle tier --warm-after 2h --cold-after 168h --cold-dir /mnt/nfs/chronicle`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if dryRun || all {
				once = true
			}
			if !once {
				return tierZone(cmd.Context(), cfg, cfg.logger())
			}
			return tierOnce(cmd.Context(), cfg, tier.OnceOptions{DryRun: dryRun, All: all}, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&once, "once", false, "move what is due and end")
	f.BoolVar(&dryRun, "dry-run", false, "only print what would be moved")
	f.BoolVar(&all, "all", false, "move every sealed segment, whatever its age")
	addTierFlags(f, 2*time.Hour)
	f.Duration("tier-interval", 10*time.Second, "time between two looks for segments to move")
	addMetricsFlag(f, "tier")
	addInsecureFlag(f, "tier")
	return cmd
}

// tiers gives the archive's tiers from warm to cold.
func (c *Config) tiers() []tier.Policy {
	policies := []tier.Policy{{Tier: blob.Tier{Name: "warm", Store: blob.NewDir(c.warmDir(), "warm")}, After: c.Tier.WarmAfter}}
	if c.Tier.ColdDir != "" {
		policies = append(policies, tier.Policy{Tier: blob.Tier{Name: "cold", Store: blob.NewDir(c.Tier.ColdDir, "cold")}, After: c.Tier.ColdAfter})
	}
	return policies
}

func openTier(ctx context.Context, cfg *Config, log *slog.Logger, c *tierCounts) (*tier.Agent, error) {
	return tier.Open(ctx, tier.Options{
		Clean: cfg.cleanDir(), Manifest: cfg.manifestDir(), Tiers: cfg.tiers(), Poll: cfg.Tier.Interval, Observe: c.add, Log: log,
	})
}

// tierZone is the zone as a process of its own, with its metrics.
func tierZone(ctx context.Context, cfg *Config, log *slog.Logger) error {
	m, err := openMonitor(cfg.Tier.Metrics, cfg.Tier.Insecure, log)
	if err != nil {
		return err
	}
	counts := new(tierCounts)
	m.tier(counts)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return m.Serve(running) })
	g.Go(func() error { return runTier(running, cfg, log, counts) })
	return g.Wait()
}

// runTier moves segments as they become due until ctx is done.
func runTier(ctx context.Context, cfg *Config, log *slog.Logger, c *tierCounts) error {
	a, err := openTier(ctx, cfg, log, c)
	if err != nil {
		return err
	}
	return errors.Join(a.Run(ctx), a.Close())
}

func tierOnce(ctx context.Context, cfg *Config, opts tier.OnceOptions, out io.Writer) error {
	a, err := openTier(ctx, cfg, cfg.logger(), new(tierCounts))
	if err != nil {
		return err
	}
	res, err := a.Once(ctx, time.Now(), opts)
	if err = errors.Join(err, a.Close()); err != nil {
		return err
	}
	if err := printTierResult(out, res, cfg.JSON); err != nil {
		return err
	}
	if n := len(res.Problems); n > 0 {
		return fmt.Errorf("%d segments could not be moved: see above, and 'chronicle fsck'", n)
	}
	return nil
}

func printTierResult(w io.Writer, res *tier.Result, asJSON bool) error {
	if asJSON {
		problems := make([]string, len(res.Problems))
		for i, p := range res.Problems {
			problems[i] = p.Error()
		}
		return json.NewEncoder(w).Encode(map[string]any{
			"moved": len(res.Moved), "bytes": res.Bytes, "planned": res.Planned, "finished": res.Finished,
			"undone": res.Undone, "deleted": res.Deleted, "waiting": res.Waiting, "problems": problems,
		})
	}
	for _, m := range res.Planned {
		fmt.Fprintf(w, "would move %s/%s to %s/%s\n", m.From.Tier, m.From.Key, m.Segment.Tier, m.Segment.Key)
	}
	for _, p := range res.Problems {
		fmt.Fprintf(w, "PROBLEM %v\n", p)
	}
	_, err := fmt.Fprintf(w, "%d segments moved (%d bytes), %d finished, %d undone, %d too young\n",
		len(res.Moved), res.Bytes, res.Finished, res.Undone, res.Waiting)
	return err
}
