package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"chronicle/ingest/etl"
)

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
