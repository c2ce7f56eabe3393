package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed"
)

func feedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feed --source itch --listen ADDRESS",
		Short: "Receive a live feed into the raw queue (one zone, for production)",
		Example: `  chronicle feed --source itch --listen 127.0.0.1:26477
  chronicle etl & chronicle tier & chronicle serve`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if err := checkFormat(cfg.Feed.Source, func(f feed.Format) bool { return f.Live }); err != nil {
				return err
			}
			if cfg.Feed.Listen == "" {
				return badUsage("--listen is needed: the UDP address to receive on, for instance 127.0.0.1:26477")
			}
			return runFeed(cmd.Context(), cfg, cfg.logger())
		},
	}
	cmd.Flags().String("source", "itch", "wire format")
	cmd.Flags().String("listen", "", "UDP address or multicast group to receive on (required)")
	return cmd
}

func runFeed(ctx context.Context, cfg *Config, log *slog.Logger) error {
	w, err := openRaw(cfg, liveRaw)
	if err != nil {
		return err
	}
	var counters feed.Counters
	err = feed.Live(ctx, w, feed.LiveOptions{Format: cfg.Feed.Source, Packets: feed.PacketOptions{Lines: []feed.Line{{Address: cfg.Feed.Listen}}}, Log: log}, &counters)
	s := counters.Stats()
	log.Info("feed stopped", "packets", s.Packets, "messages", s.Messages, "records", s.Records, "gaps", s.Gaps, "skipped", s.Skipped)
	return errors.Join(err, w.Close())
}

func etlCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "etl",
		Short: "Turn the raw queue into clean streams (one zone, for production)",
		Long: `Follow the raw queue: split it by symbol, keep every book, inject snapshots, mark gaps.
Killed at any moment it goes on where it stopped, without loss or repetition.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			log := cfg.logger()
			// The zones may start in any order: without a feed yet there is nothing to do.
			if err := os.MkdirAll(cfg.rawDir(), 0o755); err != nil {
				return fmt.Errorf("raw queue: %w", err)
			}
			e, err := etl.Open(cmd.Context(), cfg.etlConfig(log))
			if err != nil {
				return err
			}
			if once {
				err = e.CatchUp(cmd.Context())
			} else {
				err = e.Run(cmd.Context())
			}
			err = errors.Join(err, e.Close())
			s := e.Stats()
			log.Info("etl stopped", "raw_seq", s.RawSeq, "records", s.Records, "written", s.Written, "gaps", s.Gaps)
			return err
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "process what is there and end")
	addETLFlags(cmd.Flags(), time.Hour)
	return cmd
}
