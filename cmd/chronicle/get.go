package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chronicle/query"
	"chronicle/query/format"
)

func getCommand() *cobra.Command {
	var q getFlags
	cmd := &cobra.Command{
		Use:   "get --schema SCHEMA --symbol S[,S] --start T --end T",
		Short: "Print or save the records of a time range",
		Long: `Print or save the records of one schema in the half-open range [start, end).
Several symbols are merged in time order. Schemas: ` + strings.Join(query.Schemas, ", ") + `.`,
		Example: `  chronicle get --schema trades --symbol binance-usdm:btc_usdt --start 2024-08-08T23:55:00Z --end 2024-08-08T23:56:00Z
  chronicle get --schema mbp-10 --symbol kraken:btc_chf --start 2021-04-17T00:00:00Z --end 2021-04-18T00:00:00Z --format parquet -o book.parquet`,
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

type getFlags struct {
	schema, start, end, clock, format, priceType, onGap, output string
	symbols                                                     []string
	limit                                                       int64
}

func (q *getFlags) add(f *pflag.FlagSet) {
	f.StringVar(&q.schema, "schema", "", "what to read (required)")
	f.StringSliceVar(&q.symbols, "symbol", nil, "one or more symbols (required)")
	f.StringVar(&q.start, "start", "", "first moment: RFC 3339 or nanoseconds (required)")
	f.StringVar(&q.end, "end", "", "moment after the last one (required)")
	f.StringVar(&q.clock, "clock", "recv", "recv or event")
	f.Int64Var(&q.limit, "limit", 0, "most rows; 0 is all")
	f.StringVar(&q.format, "format", "", "table, json, ndjson, csv, arrow or parquet (default: by the name of -o, else table)")
	f.StringVar(&q.priceType, "price-type", "float", "float, fixed or decimal")
	f.StringVar(&q.onGap, "on-gap", "mark", "mark, null or error")
	f.StringVarP(&q.output, "output", "o", "", "file to write; it appears under its name only when it is complete")
}

func (q *getFlags) run(ctx context.Context, cmd *cobra.Command, cfg *Config, a *query.Archive) error {
	req, err := q.request()
	if err != nil {
		return err
	}
	stream, err := a.Range(ctx, req)
	if err != nil {
		return asUsage(err)
	}
	defer stream.Release()
	kind := q.formatName(cfg)
	if q.output == "" {
		return q.write(cmd.OutOrStdout(), stream, kind)
	}
	return writeWhole(q.output, func(w io.Writer) error { return q.write(w, stream, kind) })
}

func (q *getFlags) request() (query.RangeRequest, error) {
	if q.schema == "" || len(q.symbols) == 0 || q.start == "" || q.end == "" {
		return query.RangeRequest{}, badUsage("--schema, --symbol, --start and --end are needed: see 'chronicle get --help'")
	}
	start, err := query.ParseTime(q.start)
	if err != nil {
		return query.RangeRequest{}, badUsage("--start: %w", err)
	}
	end, err := query.ParseTime(q.end)
	if err != nil {
		return query.RangeRequest{}, badUsage("--end: %w", err)
	}
	return query.RangeRequest{
		Schema: q.schema, Symbols: q.symbols, Start: start, End: end, Limit: q.limit,
		Clock: query.Clock(q.clock), PriceType: query.PriceType(q.priceType), OnGap: query.OnGap(q.onGap),
	}, nil
}

func (q *getFlags) formatName(cfg *Config) string {
	switch {
	case q.format != "":
		return q.format
	case cfg.JSON:
		return "json"
	case q.output != "":
		return strings.TrimPrefix(filepath.Ext(q.output), ".")
	}
	return "table"
}

func (q *getFlags) write(w io.Writer, stream *query.Stream, kind string) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	if err := format.Write(buffered, stream, kind); err != nil {
		return asUsage(err)
	}
	return buffered.Flush()
}

// writeWhole writes a file under a temporary name and gives it its own only when
// all of it is there.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
