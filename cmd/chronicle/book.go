package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chronicle/query"
	"chronicle/query/format"
)

func bookCommand() *cobra.Command {
	var q bookFlags
	cmd := &cobra.Command{
		Use:   "book --symbol S --at T",
		Short: "Print an order book as it stood at a moment",
		Long: `Print the order book of one symbol as it stood at a moment: after every event
received (--clock recv) or dated by the venue (--clock event) up to and including T.
The answer says which snapshot and segments it was made from.`,
		Example: `  chronicle book --symbol binance-usdm:btc_usdt --at 2024-08-08T23:55:00.123456789Z
  chronicle book --symbol BTCUSDT --at 1723161300123456789 --depth 5 --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withArchive(cmd, func(ctx context.Context, cfg *Config, a *query.Archive) error {
				return q.run(ctx, cmd, cfg, a)
			})
		},
	}
	q.add(cmd.Flags())
	return cmd
}

type bookFlags struct {
	symbol, at, clock, format, priceType, onGap string
	depth                                       int
}

func (q *bookFlags) add(f *pflag.FlagSet) {
	f.StringVar(&q.symbol, "symbol", "", "venue:symbol, or any spelling that is unambiguous (required)")
	f.StringVar(&q.at, "at", "", "moment: RFC 3339 with up to nine decimals, or nanoseconds since 1970 (required)")
	f.IntVar(&q.depth, "depth", query.DefaultDepth, "levels a side")
	f.StringVar(&q.clock, "clock", "recv", "recv (when we got it) or event (the venue's time)")
	f.StringVar(&q.format, "format", "table", "table, json, csv, arrow or parquet")
	f.StringVar(&q.priceType, "price-type", "float", "float, fixed or decimal; in columnar formats")
	f.StringVar(&q.onGap, "on-gap", "mark", "mark, null or error: what to do when records are missing before T")
}

func (q *bookFlags) run(ctx context.Context, cmd *cobra.Command, cfg *Config, a *query.Archive) error {
	if q.symbol == "" || q.at == "" {
		return badUsage("--symbol and --at are needed: see 'chronicle book --help'")
	}
	at, err := query.ParseTime(q.at)
	if err != nil {
		return asUsage(err)
	}
	b, err := a.BookAt(ctx, query.BookRequest{
		Symbol: q.symbol, At: at, Depth: q.depth,
		Clock: query.Clock(q.clock), OnGap: query.OnGap(q.onGap),
	})
	if err != nil {
		return asUsage(err)
	}
	if cfg.JSON {
		q.format = "json"
	}
	return asUsage(format.WriteBook(cmd.OutOrStdout(), b, q.format, query.PriceType(q.priceType)))
}

// withArchive opens the archive below the root for reading.
func withArchive(cmd *cobra.Command, use func(context.Context, *Config, *query.Archive) error) error {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	a, err := openArchive(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	return errors.Join(use(cmd.Context(), cfg, a), a.Close())
}

// asUsage turns a question that cannot be asked into a usage error (status 2);
// what could not be found or read stays a failure (status 1).
func asUsage(err error) error {
	var q *query.Error
	if errors.As(err, &q) && q.Code == query.InvalidArgument {
		return &usageError{err}
	}
	return err
}
