package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"chronicle/store/blob"
	"chronicle/store/fsck"
)

func fsckCommand() *cobra.Command {
	var opts fsck.Options
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check manifest, segments, hashes and queues against each other",
		Long: `Check that every record is where the manifest says, whole, in sequence, once, and
readable. It changes nothing and may run beside everything else. Exit status 0: no
errors (warnings may be printed); 1: errors.`,
		Example: `  chronicle fsck
  chronicle fsck --deep --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if _, err := os.Stat(cfg.Root); err != nil {
				return fmt.Errorf("--root: %w", err)
			}
			opts.Root, opts.Tiers = cfg.Root, cfg.blobTiers()
			bar := newProgress(cfg, "fsck", cmd.ErrOrStderr())
			opts.Progress = func(p fsck.Progress) { bar.set(int64(p.Done), int64(p.Total)) }
			report, err := fsck.Check(cmd.Context(), opts)
			bar.done()
			if err != nil {
				return err
			}
			return printReport(cmd, report, cfg.JSON)
		},
	}
	cmd.Flags().BoolVar(&opts.Quick, "quick", false, "check headers and footers only, not every byte")
	cmd.Flags().BoolVar(&opts.Deep, "deep", false, "also decode every record and rebuild every book")
	return cmd
}

// blobTiers gives the tiers without their policies.
func (c *Config) blobTiers() []blob.Tier {
	var tiers []blob.Tier
	for _, p := range c.tiers() {
		tiers = append(tiers, p.Tier)
	}
	return tiers
}

func printReport(cmd *cobra.Command, r *fsck.Report, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	} else {
		_, err = fmt.Fprint(cmd.OutOrStdout(), r)
	}
	if err == nil && !r.OK() {
		return fmt.Errorf("%d errors found", r.Errors())
	}
	return err
}
