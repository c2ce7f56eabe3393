package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Packets reads captured packets from a pcap or pcapng stream.
type Packets struct {
	read func() ([]byte, gopacket.CaptureInfo, error)
	link func(gopacket.CaptureInfo) layers.LinkType
}

// Packet is one captured packet.
type Packet struct {
	Data []byte // from the link layer on; valid until the next call
	Time int64  // capture time in ns since the Unix epoch; 0 when the capture has none

	link layers.LinkType
}

// IsCapture tells whether the stream begins like a pcap or pcapng file. It
// consumes nothing.
func IsCapture(r *bufio.Reader) bool {
	b, err := r.Peek(4)
	if err != nil {
		return false
	}
	switch binary.BigEndian.Uint32(b) {
	case 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a:
		return true
	}
	return false
}

// NewPackets reads the capture's header.
func NewPackets(r *bufio.Reader) (*Packets, error) {
	b, err := r.Peek(4)
	if err != nil {
		return nil, fmt.Errorf("read capture header: %w", err)
	}
	if binary.BigEndian.Uint32(b) == 0x0a0d0d0a {
		ng, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return nil, fmt.Errorf("read pcapng header: %w", err)
		}
		return &Packets{read: ng.ZeroCopyReadPacketData, link: ngLink}, nil
	}
	plain, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read pcap header: %w", err)
	}
	link := func(gopacket.CaptureInfo) layers.LinkType { return plain.LinkType() }
	return &Packets{read: plain.ZeroCopyReadPacketData, link: link}, nil
}

func ngLink(ci gopacket.CaptureInfo) layers.LinkType {
	if len(ci.AncillaryData) > 0 {
		if link, ok := ci.AncillaryData[0].(layers.LinkType); ok {
			return link
		}
	}
	return layers.LinkTypeNull
}

// Next gives the next packet; io.EOF at the end, any other error is damage.
func (p *Packets) Next() (Packet, error) {
	data, ci, err := p.read()
	if err != nil {
		if errors.Is(err, io.EOF) && ci.CaptureLength > 0 { // its header came, its bytes did not
			err = io.ErrUnexpectedEOF
		}
		return Packet{}, err
	}
	return Packet{Data: data, Time: captureTime(ci.Timestamp), link: p.link(ci)}, nil
}

// captureTime gives ns since the epoch, or 0 for a time that int64 cannot hold
// or that a capture uses for "none".
func captureTime(t time.Time) int64 {
	sec := t.Unix()
	if sec <= 0 || sec >= math.MaxInt64/int64(time.Second) {
		return 0
	}
	return t.UnixNano()
}
