package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"chronicle/ingest/sim"
	"chronicle/market"
)

func simBookCommand() *cobra.Command {
	var q simBookFlags
	cmd := &cobra.Command{
		Use:   "book --sim-seed S --symbol X --sequence N",
		Short: "Print the true book of a simulated market after a message",
		Long: `Print the true book of a simulated market after a message: the flow of that seed is
made again up to there. Seed and symbols are those of the sender, which prints its
seed at the end. If the sender closed the market (see 'chronicle sim --help'), give
the number of messages that it sent as --messages.`,
		Example: `  chronicle sim book --sim-seed 7 --symbol AAPL --sequence 10000
  chronicle sim book --sim-seed 7 --symbol AAPL --sequence 10000 --orders --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("sequence") || q.symbol == "" || cfg.Sim.Seed == 0 {
				return badUsage("--sim-seed, --symbol and --sequence are needed: see 'chronicle sim book --help'")
			}
			return q.run(cfg, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.symbol, "symbol", "", "symbol, as the simulated market has it (required)")
	f.Uint64Var(&q.sequence, "sequence", 0, "the book is that after this message (required)")
	f.Uint64Var(&q.messages, "messages", 0, "messages of the session, if the sender closed the market")
	f.IntVar(&q.depth, "depth", 10, "levels a side; 0: all")
	f.BoolVar(&q.orders, "orders", false, "each order instead of levels")
	addSimFlags(f)
	return cmd
}

type simBookFlags struct {
	symbol             string
	sequence, messages uint64
	depth              int
	orders             bool
}

// simBook is what sim book --json prints. A row is price, size and the number of
// orders; with --orders it is price, size and the order's number.
type simBook struct {
	Seed     uint64      `json:"seed"`
	Symbol   string      `json:"symbol"`
	Sequence uint64      `json:"sequence"`
	Bids     [][3]string `json:"bids"`
	Asks     [][3]string `json:"asks"`
}

func (q *simBookFlags) run(cfg *Config, w io.Writer) error {
	opts, err := simOptions(cfg)
	if err != nil {
		return err
	}
	if q.depth < 0 {
		return badUsage("--depth %d: levels a side, 0 for all", q.depth)
	}
	opts.Messages = q.messages
	s, err := sim.New(opts)
	if err != nil {
		return badUsage("simulated market: %w", err)
	}
	symbol := strings.ToUpper(strings.TrimPrefix(q.symbol, "sim:"))
	if s.Advance(q.sequence); s.Seq() < q.sequence {
		return badUsage("--sequence %d: the session ends with message %d", q.sequence, s.Seq())
	}
	b := simBook{opts.Seed, symbol, q.sequence, q.rows(s, symbol, market.Bid), q.rows(s, symbol, market.Ask)}
	if b.Bids == nil {
		return badUsage("--symbol %q is not among the symbols of the simulated market: give --sim-symbols as the sender had them", q.symbol)
	}
	if cfg.JSON {
		return json.NewEncoder(w).Encode(b)
	}
	return b.print(w)
}

// rows gives a side of the book; nil for an unknown symbol.
func (q *simBookFlags) rows(s *sim.Sim, symbol string, side market.Side) [][3]string {
	known := false
	for _, name := range s.Symbols() {
		known = known || name == symbol
	}
	if !known {
		return nil
	}
	rows := [][3]string{}
	row := func(price, size int64, last uint64) {
		rows = append(rows, [3]string{fmt.Sprintf("%d.%02d", price/10_000, price/100%100), fmt.Sprint(size), fmt.Sprint(last)})
	}
	levels := s.Levels(symbol, side, q.depth)
	if !q.orders {
		for _, l := range levels {
			row(l.Price, l.Size, uint64(l.Count))
		}
		return rows
	}
	for _, o := range s.Orders(symbol, side) {
		if worst := levels[len(levels)-1].Price; side == market.Bid && o.Price < worst || side == market.Ask && o.Price > worst {
			break
		}
		row(o.Price, o.Size, o.ID)
	}
	return rows
}

func (b *simBook) print(w io.Writer) error {
	fmt.Fprintf(w, "%s after message %d of seed %d\n%10s %10s %12s | %-12s %-10s %s\n", b.Symbol, b.Sequence, b.Seed, "orders", "size", "bid", "ask", "size", "orders")
	for i := range max(len(b.Bids), len(b.Asks)) {
		var bid, ask [3]string
		if i < len(b.Bids) {
			bid = b.Bids[i]
		}
		if i < len(b.Asks) {
			ask = b.Asks[i]
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%10s %10s %12s | %-12s %-10s %s", bid[2], bid[1], bid[0], ask[0], ask[1], ask[2]), " ")); err != nil {
			return err
		}
	}
	return nil
}
