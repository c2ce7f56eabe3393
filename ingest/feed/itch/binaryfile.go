package itch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"chronicle/market"
)

// errNoLength is the damage of a message whose end nothing tells.
var errNoLength = errors.New("message of an unknown type and without a length")

// ReadBinaryFile decodes a BinaryFILE recording: messages that each follow a
// big-endian u16 length. Some recordings have 0 for every length; it then comes
// from the message's type. There is no capture time, so ts_recv is ts_event; the
// sequence is the message's place in the file, from 1. progress, when not nil,
// is called now and then.
//
// The error is nil at a clean end, the context's, or the damage that ended the
// recording: everything before it has been decoded.
func ReadBinaryFile(ctx context.Context, r *bufio.Reader, d *Decoder, progress func()) error {
	for seq := uint64(1); ; seq++ {
		if seq%(1<<14) == 0 {
			if progress != nil {
				progress()
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if d.e.Err() != nil {
				return nil // the caller reports the queue's error
			}
		}
		b, err := nextBlock(r)
		if err != nil || b == nil {
			return err
		}
		d.e.At(seq)
		if seq == 1 {
			d.begin(b)
		}
		d.Message(market.UndefTimestamp, seq, b)
	}
}

// begin announces the recording's session, at the time of its first message.
func (d *Decoder) begin(b []byte) {
	at := d.clock.Event(market.UndefTimestamp, 0)
	if len(b) >= headerSize {
		at = d.clock.Event(market.UndefTimestamp, nanos(b))
	}
	d.e.Session(at, market.Session{Event: market.SessionNew, Channel: Channel})
}

// nextBlock gives the next message, valid until the next call; nil at a clean end.
func nextBlock(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(3)
	switch {
	case len(head) == 3:
	case !errors.Is(err, io.EOF):
		return nil, err
	case len(head) == 0 || len(head) == 2 && be.Uint16(head) == 0: // a length of 0 may mark the end
		return nil, nil
	default:
		return nil, io.ErrUnexpectedEOF
	}
	n := int(be.Uint16(head))
	if n == 0 {
		if n = int(lengths[head[2]]); n == 0 {
			return nil, fmt.Errorf("type %#x: %w", head[2], errNoLength)
		}
	}
	b, err := r.Peek(2 + n)
	if len(b) < 2+n {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	_, err = r.Discard(2 + n)
	return b[2:], err
}
