package feed

import (
	"context"
	"errors"
	"fmt"
	"io"

	"chronicle/ingest/feed/iex"
	"chronicle/ingest/feed/iextp"
	"chronicle/ingest/feed/sequence"
	"chronicle/ingest/feed/source"
)

// iex replays captured packets of one of the IEX feeds, through the live path's
// receiver.
func (r *replay) iex(ctx context.Context) error {
	reader, err := r.file.Reader()
	if err != nil {
		return err
	}
	if !source.IsCapture(reader) {
		return fmt.Errorf("%w: it is no capture (give a pcap or pcapng file)", ErrNothingUsable)
	}
	packets, err := source.NewPackets(reader)
	if err != nil {
		return r.broken(err)
	}
	feed := iex.ByName(r.format.Name)
	decoder, segments := iex.NewDecoder(r.e, feed), &iexSegments{Protocol: feed.Protocol}
	lines := newCaptureLines(r.e, segments, feed.Name, decoder)
	for n := uint64(1); ; n++ {
		if n%checkEvery == 0 {
			r.opts.Progress(r.file.Done(), r.file.Size())
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		p, err := packets.Next()
		r.e.At(n)
		if err != nil {
			lines.finish()
			decoder.Finish()
			if !errors.Is(err, io.EOF) {
				return r.broken(err)
			}
			return segments.mismatch()
		}
		lines.packet(p)
		if r.e.Err() != nil {
			return r.e.Err()
		}
	}
}

// iexSegments is the protocol of one feed that notes which feeds a capture holds.
type iexSegments struct {
	iextp.Protocol
	fits  bool           // a segment carries the feed
	other iextp.Protocol // what another one carries; 0 when there is none
}

// Parse implements [sequence.Protocol].
func (s *iexSegments) Parse(datagram []byte) (sequence.Packet, error) {
	if carried, ok := iextp.Carried(datagram); ok && carried == s.Protocol {
		s.fits = true
	} else if ok {
		s.other = carried
	}
	return s.Protocol.Parse(datagram)
}

// mismatch names the feed of a capture that holds nothing but another one.
func (s *iexSegments) mismatch() error {
	if s.fits || s.other == 0 {
		return nil
	}
	if feed := iex.Carrying(s.other); feed != nil {
		return fmt.Errorf("%w: it is a recording of %s", ErrNothingUsable, feed.Name)
	}
	return fmt.Errorf("%w: it is IEX-TP of message protocol %#x, which is not known", ErrNothingUsable, uint16(s.other))
}
