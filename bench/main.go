// Command bench measures Chronicle against limits taken in the same run, on the
// same machine, and prints the README's table. Numbers of different runs or
// machines are not to be compared; ratios are.
//
// It writes to a temporary directory. With arguments it measures only what they
// name: append, hot, protocols, refinery (or a part of it: refinery/l3, refinery/l2,
// refinery/latency), pipeline, book, flight (the last two need pipeline).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if dir := os.Getenv(readerEnv); dir != "" {
		if err := follow(ctx, dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench reader:", err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "chronicle-bench-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(ctx, dir, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one line of the table.
type row struct {
	what, value, limit, ratio string
}

func run(ctx context.Context, dir string, only []string) error {
	fmt.Println("| what | measured | limit in the same run | ratio |")
	fmt.Println("|---|---|---|---|")
	for _, m := range []struct {
		name    string
		measure func(context.Context, string) ([]row, error)
	}{
		{"append", appendCost}, {"hot", hot}, {"protocols", protocols},
		{"refinery/l3", refineryL3}, {"refinery/l2", refineryL2}, {"refinery/latency", refineryLatency},
		{"pipeline", pipeline}, {"book", bookLatency}, {"flight", flightScan},
	} {
		name, _, _ := strings.Cut(m.name, "/")
		if len(only) > 0 && !slices.Contains(only, m.name) && !slices.Contains(only, name) {
			continue
		}
		rows, err := m.measure(ctx, dir)
		if err != nil {
			return err
		}
		for _, r := range rows {
			fmt.Printf("| %s | %s | %s | %s |\n", r.what, r.value, r.limit, r.ratio)
		}
	}
	return nil
}

// ratioRow compares a measured rate with the limit's.
func ratioRow(what, unit string, got float64, limitName string, limit float64) row {
	return row{what, quantity(got) + unit, quantity(limit) + unit + " (" + limitName + ")", fmt.Sprintf("%.2f", got/limit)}
}

// quantity writes a number with three digits and k, M or G.
func quantity(v float64) string {
	for _, s := range []struct {
		by   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= s.by {
			return fmt.Sprintf("%.3g %s", v/s.by, s.name)
		}
	}
	return fmt.Sprintf("%.3g", v)
}

// percentiles gives p50 and p99.
func percentiles(d []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(d)
	return d[len(d)/2], d[len(d)*99/100]
}
