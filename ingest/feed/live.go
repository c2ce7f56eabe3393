package feed

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"chronicle/ingest/feed/udp"
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

// Line is one line of a packet feed: an address, for a multicast group the
// interface that joins it, and possibly the only sender to be heard.
type Line = udp.Line

// PacketOptions say where datagrams come from, and how the lines' messages become
// one stream again; see package sequence.
type PacketOptions struct {
	// Lines are the feed's lines, one or two, with the same messages. Required
	// unless Sockets is set.
	Lines []Line
	// Recovery are the addresses of re-request servers, used in turn. Default: none,
	// and what no line brings is lost.
	Recovery []string
	// Sockets receives instead, for who must know the ports before; see ListenUDP.
	// Lines and Recovery are then those that it has. Live closes it.
	Sockets PacketSource
	// ReorderWindow is how many messages may wait for one that is missing. Default:
	// sequence.DefaultWindow; negative: none, everything missing is a gap at once.
	ReorderWindow int
	// ReorderTime is how long a missing message may be late, before it is asked for
	// or given up. Default: sequence.DefaultReorderTime.
	ReorderTime time.Duration
	// RecoveryTime is how long a recovery may bring nothing before it is given up.
	// Default: sequence.DefaultRecoveryTime.
	RecoveryTime time.Duration
	// JoinFromStart asks for what a session sent before the feed joined it, if that
	// is sequence.DefaultJoinMax messages or less. Default: a late_join gap.
	JoinFromStart bool
	// Silence is how long a line may bring nothing, not even a heartbeat, before it
	// is called silent. Default: 5 s; negative: never.
	Silence time.Duration
	// Spin receives without ever sleeping: a core is spent for some microseconds less.
	Spin bool
	// ReadBuffer is each line's receive buffer in bytes. Default: 16 MiB.
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
	if _, ok := packetFormatOf(opts.Format); ok {
		return livePackets(ctx, w, opts, c)
	}
	return liveWebSocket(ctx, w, opts, c)
}
