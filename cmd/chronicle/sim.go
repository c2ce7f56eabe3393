package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chronicle/ingest/sim"
)

func simCommand() *cobra.Command {
	var q simFlags
	cmd := &cobra.Command{
		Use:   "sim --to ADDRESS",
		Short: "Send a simulated market: ITCH 5.0 over MoldUDP64",
		Long: `Send a simulated market to one or two UDP addresses until Ctrl-C: a reproducible
flow of orders and executions for a number of symbols, as ITCH 5.0 messages over
MoldUDP64. Each line can lose, repeat and reorder packets on its own, and a
re-request server can send again what was lost. The seed decides the messages and
the faults; 'chronicle sim book' tells the true book at any message.

With --messages, or --duration and a rate, the market closes in time: the last
message is the end of the day. A changed or reset session goes on with the next seed.`,
		Example: `  chronicle feed --source itch --listen 127.0.0.1:26477 &
  chronicle sim --to 127.0.0.1:26477 --sim-rate 5000 --sim-seed 7

  # two lines that each lose 1 % of the packets, and a server to ask for them
  chronicle sim --line-a 127.0.0.1:26477 --line-b 127.0.0.1:26478 --loss-a 0.01 --loss-b 0.01 \
    --recovery-listen 127.0.0.1:26479

  # 9,000 symbols, multicast on this host, for a minute; line B is dead for 5 s
  chronicle sim --line-a 239.1.2.3:26477 --line-b 239.1.2.4:26477 --interface lo \
    --sim-symbols 9000 --sim-rate 200000 --duration 1m --blackout-b 10s+5s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return q.run(cmd.Context(), cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	q.add(cmd.Flags())
	addSimFlags(cmd.Flags())
	cmd.AddCommand(simBookCommand())
	return cmd
}

func addSimFlags(f *pflag.FlagSet) {
	f.StringSlice("sim-symbols", []string{"AAPL", "AMZN", "GOOG", "MSFT", "NVDA"}, "symbols of the simulated market, the busiest first, or how many")
	f.Float64("sim-rate", 2000, "messages a second of the simulated market; 0: as many as possible")
	f.Uint64("sim-seed", 0, "seed of the simulated market (default: from the clock)")
}

// simOptions describe the simulated market of the settings.
func simOptions(cfg *Config) (sim.Options, error) {
	opts := sim.Options{Seed: cfg.Sim.Seed, Symbols: cfg.Sim.Symbols, Rate: cfg.Sim.Rate}
	if opts.Rate < 0 || math.IsNaN(opts.Rate) || math.IsInf(opts.Rate, 0) {
		return opts, badUsage("--sim-rate %v: messages a second, 0 for as many as possible", opts.Rate)
	}
	if len(opts.Symbols) == 1 {
		if n, err := strconv.Atoi(strings.TrimSpace(opts.Symbols[0])); err == nil {
			if opts.Symbols = sim.Symbols(n); opts.Symbols == nil {
				return opts, badUsage("--sim-symbols %d: 1 to %d, or their names with commas between", n, sim.MaxSymbols)
			}
		}
	}
	return opts, nil
}

// simSession makes the session that starts now; without a seed in the settings it
// takes one from the clock.
func simSession(cfg *Config) (sim.Options, error) {
	opts, err := simOptions(cfg)
	now := time.Now()
	if opts.Seed == 0 {
		opts.Seed = uint64(now.UnixNano())
	}
	opts.Session = fmt.Sprintf("S%09d", now.Unix()%1_000_000_000)
	return opts, err
}

// simulate sends the simulated market to an address until ctx is done. Each call
// is a venue session of its own, as after a day's change.
func simulate(ctx context.Context, cfg *Config, to string) error {
	opts, err := simSession(cfg)
	if err != nil {
		return err
	}
	exchange, err := sim.New(opts)
	if err != nil {
		return badUsage("simulated market: %w", err)
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		return fmt.Errorf("simulated market: %w", err)
	}
	defer conn.Close()
	return sim.Send(ctx, conn, exchange, sim.SendOptions{Unpaced: cfg.Sim.Rate == 0})
}
