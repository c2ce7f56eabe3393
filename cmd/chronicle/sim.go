package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chronicle/ingest/sim"
)

func simCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "sim --to ADDRESS",
		Short: "Send a simulated market: ITCH 5.0 over MoldUDP64",
		Long: `Send a simulated market to a UDP address until Ctrl-C: a reproducible flow of orders
and executions for a number of symbols, as ITCH 5.0 messages over MoldUDP64.`,
		Example: `  chronicle feed --source itch --listen 127.0.0.1:26477 &
  chronicle sim --to 127.0.0.1:26477 --sim-rate 5000 --sim-seed 7`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if to == "" {
				return badUsage("--to is needed: the UDP address to send to, for instance 127.0.0.1:26477")
			}
			return simulate(cmd.Context(), cfg, to)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "UDP address to send to (required)")
	addSimFlags(cmd.Flags())
	return cmd
}

func addSimFlags(f *pflag.FlagSet) {
	f.StringSlice("sim-symbols", []string{"AAPL", "AMZN", "GOOG", "MSFT", "NVDA"}, "symbols of the simulated market")
	f.Float64("sim-rate", 2000, "messages a second of the simulated market")
	f.Uint64("sim-seed", 0, "seed of the simulated market (default: from the clock)")
}

// simulate sends the simulated market to an address until ctx is done. Each call
// is a venue session of its own, as after a day's change.
func simulate(ctx context.Context, cfg *Config, to string) error {
	now := time.Now()
	seed := cfg.Sim.Seed
	if seed == 0 {
		seed = uint64(now.UnixNano())
	}
	exchange, err := sim.New(sim.Options{
		Seed: seed, Symbols: cfg.Sim.Symbols, Rate: cfg.Sim.Rate, Session: fmt.Sprintf("S%09d", now.Unix()%1_000_000_000),
	})
	if err != nil {
		return badUsage("simulated market: %w", err)
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		return fmt.Errorf("simulated market: %w", err)
	}
	defer conn.Close()
	return sim.Send(ctx, conn, exchange, sim.SendOptions{})
}
