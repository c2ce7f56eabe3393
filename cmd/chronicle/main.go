// Command chronicle is the one binary of Chronicle: a self-hosted archive and
// research query server for tick-level market data.
//
// Each file holds one subcommand and only wires packages together. Exit status:
// 0 done, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Main runs one command line and returns the exit status. Tests call it too.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(stderr, "chronicle: %v\n", err)
		return 2
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "chronicle: interrupted")
		return 1
	}
	fmt.Fprintf(stderr, "chronicle: %v\n", err)
	return 1
}

// usageError is a command line that cannot be carried out as written.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func badUsage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func newRoot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chronicle",
		Short: "An archive and query server for tick-level market data",
		Long: `Chronicle captures market-data feeds as they arrive, splits them into clean
streams per symbol, keeps every order book reachable at any moment, and answers
"the book at T" over Arrow Flight, REST and this command line.

Start with:   chronicle run
Recorded data: chronicle replay --source binance-usdm FILE
Then ask:      chronicle book --symbol binance-usdm:btc_usdt --at 2024-08-08T23:55:00Z`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return badUsage("unknown command %q: 'chronicle --help' lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return badUsage("%w: see '%s --help'", err, cmd.CommandPath())
	})
	addCommonFlags(cmd.PersistentFlags())
	cmd.AddCommand(
		runCommand(), replayCommand(), feedCommand(), etlCommand(), tierCommand(), serveCommand(),
		bookCommand(), getCommand(), queueCommand(), manifestCommand(), fsckCommand(), simCommand(), versionCommand(),
	)
	return cmd
}

// noArgs refuses positional arguments with an error of our own kind.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return badUsage("%s takes no arguments, %q given: see '%s --help'", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// someArgs asks for at least one positional argument.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return badUsage("%s needs %s: see '%s --help'", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}
