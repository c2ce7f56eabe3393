package source

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"chronicle/ingest/feed/emit"
)

// The protocol numbers that a frame is followed through.
const (
	etherIPv4  = 0x0800
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	protoUDP   = 17
	udpHeader  = 8
	maxVLANs   = 4
	moreOrPart = 0x3fff // "more fragments" and the fragment offset
)

// Payload gives the UDP payload of a captured packet; see Datagram.
func (p Packet) Payload() ([]byte, error) {
	_, payload, err := p.Datagram()
	return payload, err
}

// Datagram gives the UDP datagram of a captured packet, where it went and its
// payload: Ethernet (with VLAN tags), Linux "cooked" capture or bare IP, then IPv4
// with or without options. The payload aliases p.Data. A packet that cannot be
// used comes with its reason.
func (p Packet) Datagram() (to netip.AddrPort, payload []byte, err error) {
	b, err := p.network()
	if err != nil {
		return to, nil, err
	}
	udp, err := udpOf(b)
	if err != nil {
		return to, nil, err
	}
	if payload, err = udpPayload(udp); err != nil {
		return to, nil, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), binary.BigEndian.Uint16(udp[2:])), payload, nil
}

// udpOf gives what an IPv4 packet carries, if that is a whole UDP datagram.
func udpOf(b []byte) ([]byte, error) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil, emit.NotUDP
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // left to the network card, when captured on the sender
		total = len(b)
	}
	if header < 20 || total < header || len(b) < header {
		return nil, emit.BadPacket
	}
	if b[9] != protoUDP {
		return nil, emit.NotUDP
	}
	if binary.BigEndian.Uint16(b[6:])&moreOrPart != 0 {
		return nil, emit.Fragment
	}
	return b[header:min(total, len(b))], nil
}

// udpPayload cuts at the datagram's own length: short Ethernet frames are padded.
func udpPayload(b []byte) ([]byte, error) {
	if len(b) < udpHeader {
		return nil, emit.BadPacket
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < udpHeader {
		return nil, emit.BadPacket
	}
	return b[udpHeader:min(n, len(b))], nil
}

// network gives the packet from its IP header on.
func (p Packet) network() ([]byte, error) {
	switch p.link {
	case layers.LinkTypeEthernet:
		return ethernet(p.Data)
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, 12, 14:
		return p.Data, nil
	case layers.LinkTypeLinuxSLL:
		return tagged(p.Data, 14)
	case layers.LinkTypeLinuxSLL2:
		return cooked2(p.Data)
	}
	return nil, emit.NotUDP
}

// cooked2 reads Linux "cooked" capture, version 2: the ethertype comes first.
func cooked2(b []byte) ([]byte, error) {
	switch {
	case len(b) < 20:
		return nil, emit.BadPacket
	case binary.BigEndian.Uint16(b) != etherIPv4:
		return nil, emit.NotUDP
	}
	return b[20:], nil
}

func ethernet(b []byte) ([]byte, error) { return tagged(b, 12) }

// tagged follows the ethertype at b[at:], through VLAN tags, to the IP header.
func tagged(b []byte, at int) ([]byte, error) {
	for range maxVLANs {
		if len(b) < at+2 {
			return nil, emit.BadPacket
		}
		switch binary.BigEndian.Uint16(b[at:]) {
		case etherIPv4:
			return b[at+2:], nil
		case etherVLAN, etherQinQ:
			at += 4
		default:
			return nil, emit.NotUDP
		}
	}
	return nil, emit.BadPacket
}
