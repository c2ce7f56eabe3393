package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chronicle/store/manifest"
)

// manifestWriter names the log that this root's own tier agent writes.
const manifestWriter = "main"

func manifestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "Show what the archive holds, or make its log anew from the segments",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(manifestShow(), manifestRebuild())
	return cmd
}

func manifestShow() *cobra.Command {
	var segments bool
	var filter manifest.Filter
	cmd := &cobra.Command{
		Use:   "show",
		Short: "List coverage by symbol, stream and day",
		Example: `  chronicle manifest show
  chronicle manifest show --segments --venue kraken`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			index, err := manifest.OpenIndex(cmd.Context(), cfg.manifestDir(), "", manifest.IndexOptions{Log: cfg.logger()})
			if err != nil {
				return err
			}
			if segments {
				err = showSegments(cmd.Context(), index, filter, cfg.JSON, cmd.OutOrStdout())
			} else {
				err = showCoverage(cmd.Context(), index, filter, cfg.JSON, cmd.OutOrStdout())
			}
			return errors.Join(err, index.Close())
		},
	}
	cmd.Flags().BoolVar(&segments, "segments", false, "list the segments instead of the days")
	cmd.Flags().StringVar(&filter.Venue, "venue", "", "only this venue")
	cmd.Flags().StringVar(&filter.Symbol, "symbol", "", "only this symbol, without its venue")
	cmd.Flags().StringVar(&filter.Stream, "stream", "", "only this stream: book, trade, quote or status")
	return cmd
}

func showCoverage(ctx context.Context, index *manifest.Index, f manifest.Filter, asJSON bool, w io.Writer) error {
	days, err := index.Coverage(ctx, f)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(days)
	}
	if len(days) == 0 {
		_, err := fmt.Fprintln(w, "the manifest lists no segments: sealed segments are moved and listed by 'chronicle tier --once'")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SYMBOL\tSTREAM\tDAY\tSEGMENTS\tRECORDS\tBYTES\tGAPS\tCONDITION\tFIRST\tLAST")
	for _, d := range days {
		fmt.Fprintf(t, "%s:%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", d.Venue, d.Symbol, d.Stream, d.Date, d.Segments, d.Records, d.Bytes, d.Gaps,
			d.Condition, timeText(d.FirstTime), timeText(d.LastTime))
	}
	return t.Flush()
}

func showSegments(ctx context.Context, index *manifest.Index, f manifest.Filter, asJSON bool, w io.Writer) error {
	rows, err := index.Segments(ctx, f)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(rows)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIER\tKEY\tRECORDS\tBYTES\tFIRST\tLAST\tHASH")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%.19s\n", r.Tier, r.Key, r.Records, r.Bytes, timeText(r.FirstTime), timeText(r.LastTime), r.Hash)
	}
	return t.Flush()
}

func manifestRebuild() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make a new manifest log from the segments' own headers and footers",
		Long: `Make a new manifest log from the segments' own headers and footers, when the log is
lost or damaged. The old log is put aside, not deleted. Stop the tier agent first.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			rebuilt, err := manifest.Rebuild(cmd.Context(), cfg.manifestDir(), manifestWriter, cfg.blobTiers(), manifest.RebuildOptions{})
			if err != nil {
				return err
			}
			return printRebuilt(cmd.OutOrStdout(), rebuilt)
		},
	}
	return cmd
}

func printRebuilt(w io.Writer, r *manifest.Rebuilt) error {
	fmt.Fprintf(w, "%d segments, %d records, %d bytes, %d gaps listed\n", r.Segments, r.Records, r.Bytes, r.Gaps)
	if r.Replaced != "" {
		fmt.Fprintf(w, "the old log is in %s\n", r.Replaced)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "PROBLEM %v\n", p)
	}
	if n := len(r.Problems); n > 0 {
		return fmt.Errorf("%d files of the tiers are not in the new log: see above", n)
	}
	return nil
}
