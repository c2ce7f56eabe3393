package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/iex"
	"chronicle/ingest/feed/itch"
	"chronicle/ingest/feed/moldudp"
	"chronicle/ingest/feed/sequence"
	"chronicle/ingest/feed/udp"
	"chronicle/store/queue"
)

// PacketSource is where datagrams come from: *udp.Sockets, which see for what
// the methods do. Lines are numbered from 0, re-request servers after them.
type PacketSource interface {
	Receive(wait time.Duration) (batch []udp.Datagram, until int64, err error)
	Send(server int, request []byte) error
	Name(line int) string
	Dropped(line int) uint64
	Wake()
	Close() error
}

var _ PacketSource = (*udp.Sockets)(nil)

// ListenUDP opens the sockets that opts describe, for PacketOptions.Sockets; their
// Addr tells the port that was given for port 0. Log may be nil.
func ListenUDP(opts PacketOptions, log *slog.Logger) (*udp.Sockets, error) {
	return openSockets(opts, log, nil)
}

func openSockets(opts PacketOptions, log *slog.Logger, now func() time.Time) (*udp.Sockets, error) {
	if n := len(opts.Lines); n < 1 || n > 2 {
		return nil, fmt.Errorf("live feed: %d lines: give the UDP address to receive on, or those of the two lines", n)
	}
	return udp.Open(udp.Options{
		Lines: opts.Lines, Servers: opts.Recovery, ReadBuffer: opts.ReadBuffer, Spin: opts.Spin, Now: now, Log: log,
	})
}

// defaultSilence is several times what venues leave between heartbeats: a second.
const defaultSilence = 5 * time.Second

// stream gives the options of the receiver, for a feed from the given source.
func (o *PacketOptions) stream(channel string, from PacketSource) (sequence.Options, error) {
	s := sequence.Options{
		Channel: channel, Window: o.ReorderWindow, ReorderTime: o.ReorderTime, RecoveryTime: o.RecoveryTime,
		JoinFromStart: o.JoinFromStart, Silence: o.Silence, Unasked: "no recovery is configured",
	}
	switch {
	case s.Window == 0:
		s.Window = sequence.DefaultWindow
	case s.Window < 0 && len(o.Recovery) > 0:
		return s, fmt.Errorf("live feed: ReorderWindow %d: recovery needs a window for the messages that wait", o.ReorderWindow)
	case s.Window < 0:
		s.Window = 0
	}
	if s.Silence == 0 {
		s.Silence = defaultSilence
	}
	lines := max(len(o.Lines), 1)
	for i := range lines {
		s.Lines = append(s.Lines, fmt.Sprintf("%c %s", 'A'+i, from.Name(i)))
	}
	for i := range o.Recovery {
		s.Servers = append(s.Servers, "recovery "+from.Name(lines+i))
	}
	s.Ask = from.Send
	return s, nil
}

// packetFormat is a format whose messages come in numbered datagrams.
type packetFormat struct {
	protocol sequence.Protocol
	channel  string
	decoder  func(e *emit.Emitter) packetDecoder
}

// packetDecoder takes the messages of a stream. Finish is called after the last.
type packetDecoder interface {
	sequence.Messages
	Finish()
}

// packetFormatOf finds a format by name.
func packetFormatOf(name string) (packetFormat, bool) {
	if name == "itch" {
		return packetFormat{moldudp.Protocol{}, itch.Channel, func(e *emit.Emitter) packetDecoder {
			return itchDecoder{itch.NewDecoder(e, itch.ReceiptClock(), 0)}
		}}, true
	}
	if feed := iex.ByName(name); feed != nil {
		return packetFormat{feed.Protocol, feed.Name, func(e *emit.Emitter) packetDecoder {
			return iex.NewDecoder(e, feed)
		}}, true
	}
	return packetFormat{}, false
}

// itchDecoder has nothing to do at the end: every ITCH message is an event.
//
// A live message's date comes from the time of receipt, in New York.
type itchDecoder struct{ *itch.Decoder }

func (itchDecoder) Finish() {}

// livePackets receives datagrams until ctx is done.
func livePackets(ctx context.Context, w *queue.Writer, opts LiveOptions, c *Counters) (err error) {
	from := opts.Packets.Sockets
	if from == nil {
		if from, err = openSockets(opts.Packets, opts.Log, opts.Now); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	defer context.AfterFunc(ctx, from.Wake)()
	format, _ := packetFormatOf(opts.Format)
	stream, err := opts.Packets.stream(format.channel, from)
	if err != nil {
		return err
	}
	e := emit.New(w, c, emit.Options{
		Source: opts.Format, Venue: opts.Venue, Name: strings.Join(stream.Lines, ", "), Unit: "packet", Repeat: true, Log: opts.Log,
	})
	opts.Log.Info("feed receives", "lines", stream.Lines, "recovery", stream.Servers, "format", opts.Format, "venue", opts.Venue)
	p := newPump(from, e, format, stream, opts.Now)
	return p.run(ctx)
}

// pump moves datagrams from a source to the queue.
type pump struct {
	from     PacketSource
	e        *emit.Emitter
	decoder  packetDecoder
	receiver *sequence.Receiver
	clock    *emit.Clock
	now      func() time.Time
	lines    []*emit.LineCounters
	packets  uint64
	until    int64 // everything received before it is handed over
	warned   int64 // when a drop was logged last
}

func newPump(from PacketSource, e *emit.Emitter, format packetFormat, stream sequence.Options, now func() time.Time) *pump {
	p := &pump{from: from, e: e, decoder: format.decoder(e), clock: emit.NewClock(e), now: now}
	p.receiver = sequence.NewReceiver(e, format.protocol, p.decoder, stream)
	for _, name := range stream.Lines {
		p.lines = append(p.lines, e.Line(name))
	}
	return p
}

// maxWait is the longest time without a look at the clock.
const maxWait = time.Second

// run ends with ctx, without an error. What waits for a missing message then is
// kept.
func (p *pump) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil && p.e.Err() == nil {
		if err := p.batch(); err != nil {
			if ctx.Err() == nil {
				p.finish()
				return errors.Join(fmt.Errorf("receive: %w", err), p.e.Err())
			}
			break
		}
	}
	p.finish()
	return p.e.Err()
}

func (p *pump) finish() {
	p.receiver.Finish(p.until, "the feed stopped")
	p.decoder.Finish()
}

// batch takes what has come.
func (p *pump) batch() error {
	batch, until, err := p.from.Receive(p.wait())
	if err != nil {
		return err
	}
	for i := range batch {
		d := &batch[i]
		p.packets++
		p.e.At(p.packets)
		p.receiver.Packet(d.Line, d.Recv, d.Data)
		p.until = d.Recv
	}
	if until > 0 {
		p.until = until
		p.receiver.Tick(until)
		p.clock.Tick(until)
	}
	p.drops()
	return nil
}

// drops counts what the kernel dropped, and logs it once a second at most.
func (p *pump) drops() {
	for i, l := range p.lines {
		n := p.from.Dropped(i)
		if n == l.Dropped.Load() {
			continue
		}
		l.Dropped.Store(n)
		if p.until-p.warned >= int64(time.Second) {
			p.warned = p.until
			p.e.Log().Warn("the kernel dropped datagrams: the feed is too slow, or its receive buffer too small",
				"line", p.from.Name(i), "datagrams_so_far", n)
		}
	}
}

// wait is how long nothing is due.
func (p *pump) wait() time.Duration {
	due := min(p.receiver.Due(), p.clock.Due())
	return min(max(time.Duration(due-p.now().UnixNano()), 0), maxWait)
}
