package feed

import (
	"context"
	"fmt"

	"chronicle/ingest/feed/binance"
	"chronicle/ingest/feed/bybit"
	"chronicle/ingest/feed/coinbase"
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/kraken"
	"chronicle/ingest/feed/okx"
	"chronicle/ingest/feed/ws"
	"chronicle/store/queue"
)

// WebSocketOptions say what to ask of a venue.
type WebSocketOptions = ws.Options

// liveWebSocket receives from a venue over WebSocket and HTTP.
func liveWebSocket(ctx context.Context, w *queue.Writer, opts LiveOptions, c *Counters) error {
	f := ws.New(w, c, emit.Options{
		Source: opts.Format, Venue: opts.Venue, Name: opts.Format, Repeat: true, Log: opts.Log,
	}, opts.WebSocket, opts.Now)
	venue, err := liveVenue(opts.Format, f.Emitter(), opts.WebSocket)
	if err != nil {
		return fmt.Errorf("live feed %s: %w", opts.Format, err)
	}
	opts.Log.Info("feed receives", "format", opts.Format, "venue", opts.Venue, "symbols", opts.WebSocket.Symbols)
	if err := f.Run(ctx, venue); err != nil {
		return fmt.Errorf("live feed %s: %w", opts.Format, err)
	}
	return nil
}

// liveVenue makes the session and the plan of a venue.
func liveVenue(format string, e *emit.Emitter, o WebSocketOptions) (ws.Venue, error) {
	switch format {
	case "binance-coinm", "binance-spot", "binance-usdm":
		return binance.Live(e, format, o)
	case "bybit":
		return bybit.Live(e, o)
	case "coinbase":
		return coinbase.Live(e, o)
	case "kraken":
		return kraken.Live(e, o)
	case "okx":
		return okx.Live(e, o)
	}
	return nil, fmt.Errorf("there is no plan for format %q", format)
}
