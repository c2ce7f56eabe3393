package feed

import (
	"net/netip"
	"slices"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/sequence"
	"chronicle/ingest/feed/source"
)

// maxCaptureLines bounds the lines of a capture that are counted by themselves;
// all others count as the last of them.
const maxCaptureLines = 8

// captureLines brings captured datagrams to the live path's receiver. Datagrams
// that went to different addresses or ports are of different lines. All waiting
// is by the time of capture, so that a capture always gives the same records.
type captureLines struct {
	e        *emit.Emitter
	receiver *sequence.Receiver
	to       []netip.AddrPort // by line
}

func newCaptureLines(e *emit.Emitter, p sequence.Protocol, channel string, to sequence.Messages) *captureLines {
	return &captureLines{e: e, receiver: sequence.NewReceiver(e, p, to, sequence.Options{
		Channel: channel, Lines: []string{}, Window: sequence.DefaultWindow,
	})}
}

// packet hands a captured packet's datagram to the receiver.
func (c *captureLines) packet(p source.Packet) {
	to, payload, err := p.Datagram()
	if err == nil && p.Time <= 0 {
		err = emit.NoCaptureTime
	}
	if err != nil {
		c.e.Packet()
		c.e.Skip(emit.ReasonOf(err))
		return
	}
	c.receiver.Packet(c.line(to), p.Time, payload)
}

// line gives the number of the line to an address.
func (c *captureLines) line(to netip.AddrPort) int {
	if i := slices.Index(c.to, to); i >= 0 {
		return i
	}
	if len(c.to) == maxCaptureLines {
		return maxCaptureLines - 1
	}
	c.to = append(c.to, to)
	return c.receiver.AddLine(to.String())
}

// finish ends the capture.
func (c *captureLines) finish() { c.receiver.Finish(max(c.e.LastRecv(), 0), "") }
