package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"chronicle/query"
	"chronicle/server"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer questions over REST and Arrow Flight (one zone, for production)",
		Example: `  chronicle serve --root /data/chronicle
  curl 'http://127.0.0.1:8080/v1/symbols'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withArchive(cmd, func(ctx context.Context, cfg *Config, a *query.Archive) error {
				s, err := listen(cfg, a, nil, cfg.logger())
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "serving %s: REST http://%s, Flight grpc://%s\n", cfg.Root, s.RESTAddr(), s.FlightAddr())
				return s.Serve(ctx)
			})
		},
	}
	addServeFlags(cmd.Flags())
	return cmd
}

// listen opens the ports of both servers, which show the registry's metrics; their
// own alone if there is none.
func listen(cfg *Config, a *query.Archive, reg *prometheus.Registry, log *slog.Logger) (*server.Server, error) {
	return server.Listen(server.Config{
		Archive: a, REST: cfg.Serve.REST, Flight: cfg.Serve.Flight, Insecure: cfg.Serve.Insecure,
		Version: revision(), Registry: reg, Log: log,
	})
}
