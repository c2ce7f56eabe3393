package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"chronicle/ingest/feed"
	"chronicle/ingest/feed/keep"
)

func feedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feed --source FORMAT (--line-a ADDRESS | --symbols SYMBOL,...)",
		Short: "Receive a live feed into the raw queue (one zone, for production)",
		Long: `Receive a live feed into the raw queue until Ctrl-C.

Packet feeds (itch, iex-deep, iex-deepplus, iex-tops) come on one or two UDP lines,
mostly multicast. What one line lacks the other brings; what both lack is asked for
at the re-request servers of --recovery; what is missing in the end is a gap record.

Venues on the web (binance-spot, binance-usdm, binance-coinm, bybit, coinbase,
kraken, okx) send the symbols that are named. A lost connection is made again, and
the outage is a gap record.

The raw queue is kept for --retain-age, and never removed before the consumers that
--consumers names (the ETL, or all its shards) have passed it. An alarm is logged, and
shown by --metrics and 'chronicle queue stat', when less than --alarm-free-bytes of
the file system are left, or when a consumer that is behind keeps the queue above
--retain-bytes. Either way the feed goes on until the disk is full.`,
		Example: `  chronicle feed --source itch --line-a 127.0.0.1:26477
  chronicle feed --source itch --line-a 233.252.0.11:26477 --interface-a eth1 \
    --line-b 233.252.0.12:26477 --interface-b eth2 --recovery 192.0.2.75:18300
  chronicle feed --source kraken --symbols btc_usd,eth_usd --depth 100
  chronicle feed --config chronicle.yaml --metrics 127.0.0.1:9101`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if err := checkFormat(cfg.Feed.Source, isLive); err != nil {
				return err
			}
			if err := cfg.Feed.checkSource(); err != nil {
				return err
			}
			return runFeed(cmd.Context(), cfg, cfg.logger())
		},
	}
	cmd.Flags().String("source", "itch", "wire format or venue: "+strings.Join(formatNames(isLive), ", "))
	cmd.Flags().String("listen", "", "the same as --line-a")
	addFeedFlags(cmd.Flags())
	addInsecureFlag(cmd.Flags(), "feed")
	return cmd
}

// defaultSegment is the size of the raw queue's segments in bytes.
const defaultSegment = 64 << 20

// addFeedFlags adds what a live feed can be told, but for its source.
func addFeedFlags(f *pflag.FlagSet) {
	f.String("line-a", "", "UDP address or multicast group of the feed's line")
	f.String("line-b", "", "the same of its second line")
	f.String("interface-a", "", "network interface, or an address of it, that joins line A's group")
	f.String("interface-b", "", "the same of line B")
	f.String("sender-a", "", "the only sender of line A's group to be heard")
	f.String("sender-b", "", "the same of line B")
	f.StringSlice("recovery", nil, "addresses of re-request servers, used in turn")
	f.Int("reorder-window", 0, "messages that may wait for a missing one; -1: none (default 65536)")
	f.Duration("reorder-time", 0, "how late a message may be before it is asked for or given up (default 10ms)")
	f.Duration("recovery-time", 0, "how long a recovery may bring nothing before it is given up (default 1s)")
	f.Bool("join-from-start", false, "ask for what the session sent before the feed joined it")
	f.Bool("spin", false, "receive without ever sleeping: one core for some microseconds")
	f.Int("read-buffer", 0, "bytes of each line's receive buffer (default 16 MiB)")
	f.StringSlice("symbols", nil, "instruments to subscribe at a venue on the web")
	f.StringSlice("channels", nil, "what to subscribe of them: book, trades, quotes (default all)")
	f.Int("depth", 0, "levels a side of the book, where the venue has a choice")
	f.String("url", "", "the venue's WebSocket address, if it is another one")
	f.String("rest-url", "", "the venue's HTTP address, if it is another one")
	f.Duration("retain-age", 48*time.Hour, "how long the raw queue is kept; 0: for ever")
	f.Int64("retain-bytes", 0, "how large the raw queue may get; 0: as large as it likes")
	f.StringSlice("consumers", nil, "readers that must have passed a part of the raw queue before it goes (default: the ETL, or its shards)")
	f.Int64("segment-bytes", defaultSegment, "size of the raw queue's segments")
	f.Int64("alarm-free-bytes", 0, "raise an alarm when less of the file system is free (default: 5 % of it, or 4 segments if that is more)")
	addMetricsFlag(f, "feed")
	f.Duration("sync-interval", time.Second, "how often the raw queue is written to the device: what a power loss may cost")
}

// checkSource tells what the source lacks.
func (f *FeedConfig) checkSource() error {
	if f.LineA == "" {
		f.LineA = f.Listen
	}
	switch packets := feed.IsPackets(f.Source); {
	case packets && f.LineA == "":
		return badUsage("--line-a is needed: the UDP address to receive %s on, for instance 127.0.0.1:26477", f.Source)
	case packets && len(f.Symbols) > 0:
		return badUsage("--symbols is for venues on the web; %s sends all of its instruments", f.Source)
	case !packets && len(f.Symbols) == 0:
		return badUsage("--symbols is needed: the instruments of %s to subscribe, for instance btc_usdt", f.Source)
	case !packets && f.LineA != "":
		return badUsage("--line-a is for packet feeds; %s is reached over the web", f.Source)
	}
	return nil
}

// packets gives the options of a packet feed.
func (f *FeedConfig) packets() feed.PacketOptions {
	o := feed.PacketOptions{
		Lines:    []feed.Line{{Address: f.LineA, Interface: f.InterfaceA, Source: f.SenderA}},
		Recovery: f.Recovery, ReorderWindow: f.ReorderWindow, ReorderTime: f.ReorderTime, RecoveryTime: f.RecoveryTime,
		JoinFromStart: f.JoinFromStart, Spin: f.Spin, ReadBuffer: f.ReadBuffer,
	}
	if f.LineB != "" {
		o.Lines = append(o.Lines, feed.Line{Address: f.LineB, Interface: f.InterfaceB, Source: f.SenderB})
	}
	return o
}

func (f *FeedConfig) webSocket() feed.WebSocketOptions {
	return feed.WebSocketOptions{Symbols: f.Symbols, Channels: f.Channels, Depth: f.Depth, URL: f.URL, RESTURL: f.RESTURL}
}

func runFeed(ctx context.Context, cfg *Config, log *slog.Logger) error {
	m, err := openMonitor(cfg.Feed.Metrics, cfg.Feed.Insecure, log)
	if err != nil {
		return err
	}
	w, err := openRaw(cfg, cfg.liveRaw())
	if err != nil {
		return errors.Join(err, m.Close())
	}
	var counters feed.Counters
	keeper := cfg.keeper(log)
	m.feed(&counters, keeper)
	opts := feed.LiveOptions{Format: cfg.Feed.Source, Packets: cfg.Feed.packets(), WebSocket: cfg.Feed.webSocket(), Log: log}
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return feed.Live(running, w, opts, &counters) })
	g.Go(func() error { return keeper.Run(running) })
	g.Go(func() error { return report(running, &counters, log) })
	g.Go(func() error { return m.Serve(running) })
	err = g.Wait()
	logStats(log, "feed stopped", counters.Stats())
	return errors.Join(err, w.Close())
}

// keeper looks after the raw queue.
func (c *Config) keeper(log *slog.Logger) *keep.Keeper {
	return keep.New(keep.Options{Dir: c.rawDir(), Limits: c.rawLimits(), Log: log})
}

func (c *Config) rawLimits() keep.Limits {
	f := &c.Feed
	return keep.Limits{
		MaxAge: f.RetainAge, MaxBytes: f.RetainBytes, Require: f.Consumers, SegmentBytes: cmp.Or(f.SegmentBytes, defaultSegment), AlarmFree: f.AlarmFree,
	}
}

// reportEvery is the time between two lines of counts in the log.
const reportEvery = time.Minute

// report logs the feed's counts until ctx is done.
func report(ctx context.Context, c *feed.Counters, log *slog.Logger) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			logStats(log, "feed", c.Stats())
		}
	}
}

func logStats(log *slog.Logger, msg string, s feed.Stats) {
	attrs := []any{"packets", s.Packets, "messages", s.Messages, "records", s.Records, "gaps", s.Gaps, "skipped", s.Skipped}
	for _, l := range s.Lines {
		attrs = append(attrs, slog.Group(l.Name, "packets", l.Packets, "first", l.First, "lost", l.Lost, "dropped", l.Dropped, "silent", l.Silent))
	}
	log.Info(msg, attrs...)
}
