package feed

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"chronicle/store/queue"
)

// LiveOptions say what to receive.
type LiveOptions struct {
	// Format is the wire format; see Formats. Required.
	Format string
	// Venue is the venue of the instruments. Default: the format's.
	Venue string
	// Packets says where the datagrams of itch and iex-* come from.
	Packets PacketOptions
	// WebSocket says what to ask of a venue that is reached over the web.
	WebSocket WebSocketOptions
	// Now gives the time, where the kernel does not. Default: time.Now.
	Now func() time.Time
	// Log takes what a person may want to know. Default: discard.
	Log *slog.Logger
}

// PacketOptions say where datagrams come from.
type PacketOptions struct {
	// Listen is the UDP address to receive on, "127.0.0.1:26477" or a multicast
	// group "233.54.12.111:26477". Required unless Conn is set.
	Listen string
	// Interface is the network interface that joins a multicast group. Default: the system's choice.
	Interface string
	// Conn receives instead of Listen, for who must know the port before; see
	// ListenUDP. Live closes it.
	Conn net.PacketConn
	// ReadBuffer is the socket's receive buffer in bytes. Default: 16 MiB.
	ReadBuffer int
}

func (o *LiveOptions) fill() error {
	format, err := formatOf(o.Format)
	if err != nil {
		return err
	}
	if !format.Live {
		return fmt.Errorf("format %q cannot be received live", o.Format)
	}
	if o.Venue == "" {
		o.Venue = format.Venue
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Live receives and appends records to the queue until ctx is done, which is no
// error. It counts in c, which may be read meanwhile. Live input has a
// source_begin, but no source_end.
func Live(ctx context.Context, w *queue.Writer, opts LiveOptions, c *Counters) error {
	if err := opts.fill(); err != nil {
		return err
	}
	switch opts.Format {
	case "itch":
		return livePackets(ctx, w, opts, c)
	}
	return liveWebSocket(ctx, w, opts, c)
}
