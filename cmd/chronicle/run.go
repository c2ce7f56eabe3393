package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"chronicle/ingest/feed"
	"chronicle/ingest/feed/keep"
	"chronicle/ingest/feed/udp"
	"chronicle/market"
	"chronicle/query"
	"chronicle/server"
	"chronicle/store/queue"
)

// simSource is the source that is no feed of the world's.
const simSource = "sim"

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run everything in one process on embedded defaults",
		Long: `Run all zones in one process: feed, ETL, tier agent, REST and Arrow Flight servers.
The default source is a simulated market that sends ITCH 5.0 over MoldUDP64 to a
UDP port on loopback. Ctrl-C ends it; the next run goes on from the same data.
The metrics of all zones are at /metrics of the REST server; --metrics adds an address
of their own, with the alarms at /healthz.`,
		Example: `  chronicle run
  chronicle run --source itch --listen 127.0.0.1:26477 --root /data/chronicle`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if cfg.Feed.Source != simSource {
				if err := checkFormat(cfg.Feed.Source, isLive); err != nil {
					return fmt.Errorf("%w (or sim)", err)
				}
				if err := cfg.Feed.checkSource(); err != nil {
					return err
				}
			}
			return runAll(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.String("source", "sim", "sim, or a live feed's wire format or venue: "+strings.Join(formatNames(isLive), ", "))
	f.String("listen", "", "the same as --line-a; the simulated market takes a free port of loopback")
	addFeedFlags(f)
	addSimFlags(f)
	addETLFlags(f, 30*time.Second)
	addAuditFlag(f)
	addTierFlags(f, 10*time.Second)
	f.Duration("tier-interval", 5*time.Second, "time between two looks for segments to move")
	addServeFlags(f)
	return cmd
}

// system is everything that runs in one process. Fields are in the order of start;
// stop goes the other way round.
type system struct {
	cfg      *Config
	log      *slog.Logger
	raw      *queue.Writer
	etl      *refinery
	archive  *query.Archive
	servers  *server.Server
	live     feed.LiveOptions
	sockets  *udp.Sockets // of the simulated market; nil with any other source
	counters feed.Counters
	keeper   *keep.Keeper
	tier     tierCounts
	monitor  *monitor
}

// runAll starts the zones, tells the user where to look, and waits for Ctrl-C.
func runAll(ctx context.Context, cfg *Config, out io.Writer) error {
	s := &system{cfg: cfg, log: cfg.logger()}
	if err := s.open(ctx); err != nil {
		return errors.Join(err, s.close())
	}
	fmt.Fprintf(out, "Chronicle is starting on %s ...\n", cfg.Root)
	err := s.run(ctx, out)
	err = errors.Join(err, s.close())
	st := s.counters.Stats()
	fmt.Fprintf(out, "stopped: %d messages received in this run. 'chronicle run --root %s' goes on from here.\n", st.Messages, cfg.Root)
	return err
}

func (s *system) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.cfg.Root, 0o755); err != nil {
		return fmt.Errorf("--root: %w: give a directory that can be written", err)
	}
	if s.monitor, err = openMonitor(s.cfg.Feed.Metrics, s.cfg.Serve.Insecure, s.log); err != nil {
		return err
	}
	if s.raw, err = openRaw(s.cfg, s.cfg.liveRaw()); err != nil {
		return err
	}
	s.keeper = s.cfg.keeper(s.log)
	if s.etl, err = openRefinery(ctx, s.cfg, s.log, ""); err != nil {
		return err
	}
	if err := s.etl.openAudits(s.cfg); err != nil {
		return err
	}
	s.monitor.feed(&s.counters, s.keeper)
	s.monitor.etl(s.cfg, s.etl)
	s.monitor.tier(&s.tier)
	if s.archive, err = openArchive(ctx, s.cfg); err != nil {
		return err
	}
	if s.servers, err = listen(s.cfg, s.archive, s.monitor.reg, s.log); err != nil {
		return err
	}
	return s.listen()
}

// listen says what the feed receives. The simulated market sends to a port that
// must be known before.
func (s *system) listen() error {
	f := &s.cfg.Feed
	s.live = feed.LiveOptions{Format: f.Source, Packets: f.packets(), WebSocket: f.webSocket(), Log: s.log}
	if f.Source != simSource {
		return nil
	}
	f.LineA = cmp.Or(f.LineA, f.Listen, "127.0.0.1:0")
	sockets, err := feed.ListenUDP(f.packets(), s.log)
	if err != nil {
		return fmt.Errorf("--line-a: %w", err)
	}
	s.sockets = sockets
	s.live.Format, s.live.Venue, s.live.Packets = "itch", "sim", f.packets()
	s.live.Packets.Sockets = sockets
	return nil
}

// run holds the zones until ctx is done or one of them fails; then the ETL takes
// in what the feed has still written.
func (s *system) run(ctx context.Context, out io.Writer) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return s.etl.Run(running) })
	g.Go(func() error { return s.etl.Audit(running) })
	servers := s.servers
	s.servers = nil // Serve closes the ports
	g.Go(func() error { return servers.Serve(running) })
	g.Go(func() error { return feed.Live(running, s.raw, s.live, &s.counters) })
	g.Go(func() error { return s.keeper.Run(running) })
	g.Go(func() error { return runTier(running, s.cfg, s.log, &s.tier) })
	g.Go(func() error { return s.monitor.Serve(running) })
	if s.cfg.Feed.Source == simSource {
		g.Go(func() error { return simulate(running, s.cfg, s.sockets.Name(0)) })
	}
	g.Go(func() error { return s.welcome(running, servers, out) })
	err := g.Wait()
	if err != nil && ctx.Err() == nil {
		return err
	}
	return s.etl.CatchUp(context.WithoutCancel(ctx))
}

func (s *system) close() error {
	var errs []error
	if s.servers != nil {
		errs = append(errs, s.servers.Close())
	}
	if s.archive != nil {
		errs = append(errs, s.archive.Close())
	}
	if s.etl != nil {
		errs = append(errs, s.etl.Close())
	}
	if s.raw != nil {
		errs = append(errs, s.raw.Close())
	}
	if s.monitor != nil {
		errs = append(errs, s.monitor.Close())
	}
	return errors.Join(errs...)
}

// welcome waits for the first book with two sides and prints how to ask for it.
func (s *system) welcome(ctx context.Context, servers *server.Server, out io.Writer) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		symbols, err := s.archive.Symbols(ctx)
		if err != nil {
			continue // nothing to ask for yet
		}
		for _, sym := range symbols {
			b, err := s.archive.BookAt(ctx, query.BookRequest{Symbol: sym.Symbol, At: time.Now().UnixNano(), Depth: 5, Clock: query.ClockRecv})
			if err == nil && len(b.Bids) >= 5 && len(b.Asks) >= 5 {
				s.printHints(out, servers, sym.Symbol, b.TsRecv)
				return nil
			}
		}
	}
}

func (s *system) printHints(out io.Writer, servers *server.Server, symbol string, at int64) {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	root, err := filepath.Abs(s.cfg.Root)
	if err != nil {
		root = s.cfg.Root
	}
	id, err := market.ParseSymbolID(symbol)
	if err != nil {
		return // the archive's own symbols always parse
	}
	rest, flight, t := servers.RESTAddr(), servers.FlightAddr(), query.FormatTime(at)
	fmt.Fprintf(out, `Chronicle is running; Ctrl-C ends it.

  data      %s
  REST      http://%s      (/v1/symbols, /v1/segments, /openapi.yaml, /healthz, /metrics)
  Flight    grpc://%s

Three ways to ask for a book, from another terminal:

  curl -s 'http://%s/v1/books/%s?at=%s&depth=5'

  %s book --root %s --symbol %s --at %s --depth 5

  %s -c 'import pyarrow.flight as f; c = f.connect("grpc://%s"); i = c.get_flight_info(f.FlightDescriptor.for_path("book", "%s", "%s", "%s", "5")); print(c.do_get(i.endpoints[0].ticket).read_pandas().T.to_string())'

`, root, rest, flight, rest, symbol, t, self, root, symbol, t, python(), flight, id.Venue, id.Symbol, t)
}

// python names the interpreter that has pyarrow: the project's own, if it is here.
func python() string {
	own, err := filepath.Abs(".venv/bin/python")
	if err != nil {
		return "python3"
	}
	if _, err := os.Stat(own); err != nil {
		return "python3"
	}
	return own
}
