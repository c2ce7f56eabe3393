package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed"
	"chronicle/store/queue"
)

func replayCommand() *cobra.Command {
	var abandon bool
	cmd := &cobra.Command{
		Use:   "replay --source FORMAT FILE...",
		Short: "Bring recorded files into the archive",
		Long: `Bring recorded files through the feed and the ETL, exactly as a live feed would
come, and seal everything at the end. A file that is already in the archive is not
read twice; a replay that was interrupted goes on where it stopped.

Formats:
` + formatHelp(),
		Example: `  chronicle replay --source binance-usdm usdm-btcusdt-20240808.gz
  chronicle replay --source itch --date 2010-12-24 day.itch.gz`,
		Args: someArgs("at least one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if err := checkFormat(cfg.Feed.Source, func(feed.Format) bool { return true }); err != nil {
				return err
			}
			for _, path := range args {
				if info, err := os.Stat(path); err != nil {
					return err
				} else if info.IsDir() {
					return badUsage("%s is a directory: name the files in it", path)
				}
			}
			r := replayer{cfg: cfg, log: cfg.logger(), abandon: abandon, stderr: cmd.ErrOrStderr()}
			return r.run(cmd.Context(), args, cmd.OutOrStdout())
		},
	}
	cmd.Flags().String("source", "", "format of the files (required)")
	cmd.Flags().BoolVar(&abandon, "abandon", false, "begin although an earlier replay of another file was interrupted, and leave that one unfinished")
	cmd.Flags().String("date", "", "day of an ITCH recording, YYYY-MM-DD (default: from the file's name or packets)")
	addETLFlags(cmd.Flags(), time.Hour)
	return cmd
}

// checkFormat refuses a source that is not among the formats that fit.
func checkFormat(name string, fits func(feed.Format) bool) error {
	names := formatNames(fits)
	switch {
	case slices.Contains(names, name):
		return nil
	case name == "":
		return badUsage("--source is needed: one of %s", strings.Join(names, ", "))
	}
	return badUsage("--source %q: one of %s", name, strings.Join(names, ", "))
}

func formatNames(fits func(feed.Format) bool) (names []string) {
	for _, f := range feed.Formats() {
		if fits(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

func isLive(f feed.Format) bool { return f.Live }

func formatHelp() string {
	text := ""
	for _, f := range feed.Formats() {
		text += fmt.Sprintf("  %-14s %s\n", f.Name, f.Help)
	}
	return text
}

// replaySummary is the last line of replay --json.
type replaySummary struct {
	Packets     uint64            `json:"packets"`
	Messages    uint64            `json:"messages"`
	Records     uint64            `json:"records"`
	Skipped     uint64            `json:"skipped"`
	Gaps        uint64            `json:"gaps"`
	Instruments uint64            `json:"instruments"`
	Seconds     float64           `json:"seconds"`
	SkippedBy   map[string]uint64 `json:"skipped_by,omitempty"`
	Already     int               `json:"already_replayed,omitempty"` // files that the archive held before
	ETL         etl.Stats         `json:"etl"`
}

func (s *replaySummary) add(f feed.Stats) {
	s.Packets += f.Packets
	s.Messages += f.Messages
	s.Records += f.Records
	s.Skipped += f.Skipped
	s.Gaps += f.Gaps
	s.Instruments += f.Instruments
	for reason, n := range f.SkippedBy {
		if s.SkippedBy == nil {
			s.SkippedBy = map[string]uint64{}
		}
		s.SkippedBy[reason] += n
	}
}

// replayer brings files through feed and ETL.
type replayer struct {
	cfg     *Config
	log     *slog.Logger
	abandon bool
	stderr  io.Writer

	raw *queue.Writer
	etl *refinery
	sum replaySummary
}

// run replays the files, seals everything and prints the summary.
func (r *replayer) run(ctx context.Context, paths []string, stdout io.Writer) (err error) {
	start := time.Now()
	if r.raw, err = openRaw(r.cfg, replayRaw); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.raw.Close()) }()
	if r.etl, err = openRefinery(ctx, r.cfg, r.log, ""); err != nil {
		return err
	}
	err = r.files(ctx, paths)
	if err == nil {
		err = r.raw.Roll() // the ETL has sealed the clean streams at the recording's end
	}
	if err = errors.Join(err, r.etl.Close()); err != nil {
		return err
	}
	r.sum.Seconds, r.sum.ETL = time.Since(start).Seconds(), r.etl.Stats()
	if err := r.sum.print(r.cfg.JSON, paths, stdout); err != nil {
		return err
	}
	if n := r.sum.ETL.Behind; n > 0 {
		return fmt.Errorf("%d records are older than what the archive already holds of their symbols and were left out of the clean streams: replay recordings in order of time, or into a root of their own (--root)", n)
	}
	return nil
}

// files runs the files through the feed while the ETL follows.
func (r *replayer) files(ctx context.Context, paths []string) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	followed := make(chan error, 1)
	go func() {
		err := r.etl.Run(running)
		if err != nil {
			stop() // the feed need not go on for nobody
		}
		followed <- err
	}()
	var err error
	for _, path := range paths {
		if err = r.file(running, path); err != nil {
			break
		}
	}
	stop()
	if etlErr := <-followed; etlErr != nil {
		return etlErr
	}
	if err != nil {
		return err
	}
	return r.etl.CatchUp(ctx)
}

func (r *replayer) file(ctx context.Context, path string) error {
	bar := newProgress(r.cfg, path, r.stderr)
	stats, err := feed.Replay(ctx, r.raw, r.cfg.rawDir(), feed.ReplayOptions{
		Format: r.cfg.Feed.Source, Path: path, Date: r.cfg.Feed.Date, Abandon: r.abandon, Progress: bar.set, Log: r.log,
	})
	bar.done()
	switch {
	case errors.Is(err, feed.ErrAlreadyReplayed):
		r.sum.Already++
		fmt.Fprintf(r.stderr, "%s is already in the archive: nothing to do\n", path)
		return nil
	case errors.Is(err, feed.ErrInterrupted):
		return fmt.Errorf("replay %s: %w: replay that file again first, or give --abandon", path, err)
	case err != nil:
		return fmt.Errorf("replay %s: %w", path, err)
	}
	r.sum.add(stats)
	return nil
}

func (s *replaySummary) print(asJSON bool, paths []string, w io.Writer) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	if s.Already == len(paths) && s.ETL.Written == 0 {
		return nil // it has been said that there is nothing to do
	}
	fmt.Fprintf(w, "%d packets, %d messages, %d records of %d instruments in %.1f s (%d gaps, %d skipped)\n",
		s.Packets, s.Messages, s.Records, s.Instruments, s.Seconds, s.Gaps, s.Skipped)
	for reason, n := range s.SkippedBy {
		fmt.Fprintf(w, "  skipped %d: %s\n", n, reason)
	}
	c := s.ETL
	fmt.Fprintf(w, "clean streams: %d records, %d snapshots, %d gap markers", c.Written, c.Snapshots, c.Gaps)
	if c.ChecksumsGood+c.ChecksumsBad > 0 {
		fmt.Fprintf(w, ", %d of %d venue checksums right", c.ChecksumsGood, c.ChecksumsGood+c.ChecksumsBad)
	}
	if c.UnknownOrders > 0 {
		fmt.Fprintf(w, ", %d messages for unknown orders", c.UnknownOrders)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// progress shows how far a file has been read, on a terminal only.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(cfg *Config, name string, stderr io.Writer) *progress {
	f, ok := stderr.(*os.File)
	if cfg.JSON || !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions64(1, progressbar.OptionSetWriter(stderr), progressbar.OptionSetDescription(name),
		progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())}
}

func (p *progress) set(done, total int64) {
	if p.bar == nil {
		return
	}
	p.bar.ChangeMax64(max(total, 1))
	_ = p.bar.Set64(done) // a bar that cannot be drawn stops nothing
}

func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
