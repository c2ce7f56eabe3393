package feed

import (
	"context"
	"fmt"

	"chronicle/store/queue"
)

// WebSocketOptions say what to ask of a venue.
type WebSocketOptions struct {
	// Symbols are the instruments to subscribe, in any of the venue's or
	// Chronicle's spellings. Required.
	Symbols []string
}

// liveWebSocket receives from a venue over WebSocket and HTTP.
func liveWebSocket(ctx context.Context, w *queue.Writer, opts LiveOptions, c *Counters) error {
	return fmt.Errorf("format %q cannot be received live yet", opts.Format)
}
