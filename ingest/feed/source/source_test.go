package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"

	"chronicle/ingest/feed/emit"
)

func writeFile(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileIsReadHoweverItIsCompressed(t *testing.T) {
	text := []byte(strings.Repeat("line of text\n", 1000))
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write(text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"plain": text, "gzip": gz.Bytes(), "zstd": enc.EncodeAll(text, nil)} {
		f, err := Open(writeFile(t, content))
		if err != nil {
			t.Fatal(err)
		}
		hash, err := f.Hash(context.Background())
		sum := sha256.Sum256(content)
		if err != nil || hash != "sha256:"+hex.EncodeToString(sum[:]) {
			t.Errorf("%s: hash %s, %v", name, hash, err)
		}
		for range 2 { // a second reader begins anew
			r, err := f.Reader()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, text) || f.Done() != f.Size() {
				t.Errorf("%s: read %d bytes of %d, %d of %d compressed, %v", name, len(got), len(text), f.Done(), f.Size(), err)
			}
		}
		if err := f.Close(); err != nil || f.Fault() != nil {
			t.Errorf("%s: %v, %v", name, err, f.Fault())
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder was opened as a recording")
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tooLong := strings.Repeat("y", MaxLine+1)
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a\nb\r\nc", []string{"a", "b", "c"}},
		{"\n\n", []string{"", ""}},
		{long + "\n" + long, []string{long, long}},
		{"a\n" + tooLong + "\nb\n", []string{"a", ErrLineTooLong.Error(), "b"}},
		{tooLong, []string{ErrLineTooLong.Error()}},
	} {
		lines := NewLines(bufio.NewReaderSize(strings.NewReader(c.text), 4096))
		var got []string
		for {
			line, err := lines.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				line = []byte(err.Error())
			}
			got = append(got, string(line))
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%.20q: %d lines, want %d", c.text, len(got), len(c.want))
		}
	}
}

func TestLinesReportDamageAfterThePartialLine(t *testing.T) {
	broken := errors.New("broken")
	lines := NewLines(bufio.NewReader(io.MultiReader(strings.NewReader("a\npart"), &failing{broken})))
	if line, err := lines.Next(); string(line) != "a" || err != nil {
		t.Errorf("first line %q, %v", line, err)
	}
	for range 2 {
		if _, err := lines.Next(); !errors.Is(err, broken) {
			t.Errorf("error %v, want %v", err, broken)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// datagram makes an Ethernet frame with the payload "hello".
func datagram(change func(eth *layers.Ethernet, ip *layers.IPv4, udp *layers.UDP) []gopacket.SerializableLayer) []byte {
	eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolUDP, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 2}}
	udp := &layers.UDP{SrcPort: 1, DstPort: 2}
	stack := []gopacket.SerializableLayer{eth, ip, udp}
	if change != nil {
		stack = change(eth, ip, udp)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true}
	if err := gopacket.SerializeLayers(buf, opts, append(stack, gopacket.Payload("hello"))...); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func TestPayload(t *testing.T) {
	plain := datagram(nil)
	edit := func(at int, v ...byte) []byte {
		b := bytes.Clone(plain)
		copy(b[at:], v)
		return b
	}
	vlan := datagram(func(eth *layers.Ethernet, ip *layers.IPv4, udp *layers.UDP) []gopacket.SerializableLayer {
		eth.EthernetType = layers.EthernetTypeDot1Q
		return []gopacket.SerializableLayer{eth, &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeIPv4}, ip, udp}
	})
	options := datagram(func(eth *layers.Ethernet, ip *layers.IPv4, udp *layers.UDP) []gopacket.SerializableLayer {
		ip.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}}
		return []gopacket.SerializableLayer{eth, ip, udp}
	})
	qinq := datagram(func(eth *layers.Ethernet, ip *layers.IPv4, udp *layers.UDP) []gopacket.SerializableLayer {
		eth.EthernetType = layers.EthernetTypeQinQ
		return []gopacket.SerializableLayer{eth, &layers.Dot1Q{VLANIdentifier: 8, Type: layers.EthernetTypeDot1Q},
			&layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeIPv4}, ip, udp}
	})
	vlanOptions := datagram(func(eth *layers.Ethernet, ip *layers.IPv4, udp *layers.UDP) []gopacket.SerializableLayer {
		eth.EthernetType = layers.EthernetTypeDot1Q
		ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
		return []gopacket.SerializableLayer{eth, &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeIPv4}, ip, udp}
	})
	for _, c := range []struct {
		name string
		link layers.LinkType
		b    []byte
		want error
	}{
		{"plain", layers.LinkTypeEthernet, plain, nil},
		{"padded", layers.LinkTypeEthernet, append(bytes.Clone(plain), make([]byte, 20)...), nil},
		{"vlan", layers.LinkTypeEthernet, vlan, nil},
		{"vlan in a vlan", layers.LinkTypeEthernet, qinq, nil},
		{"vlan and ip options", layers.LinkTypeEthernet, vlanOptions, nil},
		{"cooked, of a vlan", layers.LinkTypeLinuxSLL, append(append(make([]byte, 14), 0x81, 0), vlan[14:]...), nil},
		{"ip options", layers.LinkTypeEthernet, options, nil},
		{"bare ip", layers.LinkTypeRaw, plain[14:], nil},
		{"cooked", layers.LinkTypeLinuxSLL, append(append(make([]byte, 14), 8, 0), plain[14:]...), nil},
		{"cooked 2", layers.LinkTypeLinuxSLL2, append(append([]byte{8, 0}, make([]byte, 18)...), plain[14:]...), nil},
		{"length left to the card", layers.LinkTypeEthernet, edit(16, 0, 0), nil},
		{"tcp", layers.LinkTypeEthernet, edit(23, 6), emit.NotUDP},
		{"arp", layers.LinkTypeEthernet, edit(12, 8, 6), emit.NotUDP},
		{"ipv6", layers.LinkTypeEthernet, edit(14, 0x60), emit.NotUDP},
		{"first fragment", layers.LinkTypeEthernet, edit(20, 0x20), emit.Fragment},
		{"later fragment", layers.LinkTypeEthernet, edit(20, 0, 9), emit.Fragment},
		{"don't fragment", layers.LinkTypeEthernet, edit(20, 0x40), nil},
		{"short udp length", layers.LinkTypeEthernet, edit(38, 0, 7), emit.BadPacket},
		{"ip header too long", layers.LinkTypeEthernet, edit(14, 0x4f), emit.BadPacket},
		{"cut in the ip header", layers.LinkTypeEthernet, plain[:20], emit.NotUDP},
		{"cut in the udp header", layers.LinkTypeEthernet, plain[:38], emit.BadPacket},
		{"cut in ethernet", layers.LinkTypeEthernet, plain[:13], emit.BadPacket},
		{"other link", layers.LinkTypeIEEE802_11, plain, emit.NotUDP},
	} {
		p := Packet{Data: c.b, link: c.link}
		got, err := p.Payload()
		if !errors.Is(err, c.want) || c.want == nil && string(got) != "hello" {
			t.Errorf("%s: payload %q, %v, want %v", c.name, got, err, c.want)
		}
		to, again, err := p.Datagram()
		if !errors.Is(err, c.want) || !bytes.Equal(got, again) || c.want == nil && to.String() != "10.0.0.2:2" {
			t.Errorf("%s: datagram to %s, %q, %v", c.name, to, again, err)
		}
	}
}

func capture(t testing.TB, packets ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := pcapgo.NewWriterNanos(&out)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(1000, int64(i+1)), CaptureLength: len(p), Length: len(p)}
		if err := w.WritePacket(ci, p); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func captureNG(t testing.TB, packets ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapgo.NewNgWriter(&out, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(1000, int64(i+1)), CaptureLength: len(p), Length: len(p)}
		if err := w.WritePacket(ci, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readPackets gives how many packets came before the end, and the end.
func readPackets(b []byte) (n int, last int64, err error) {
	return packetsOf(bufio.NewReader(bytes.NewReader(b)))
}

func packetsOf(r *bufio.Reader) (n int, last int64, err error) {
	p, err := NewPackets(r)
	if err != nil {
		return 0, 0, err
	}
	for {
		packet, err := p.Next()
		if err != nil {
			return n, last, err
		}
		if payload, err := packet.Payload(); err == nil && string(payload) == "hello" {
			n, last = n+1, packet.Time
		}
	}
}

func TestPacketsOfBothCaptureFormats(t *testing.T) {
	one := datagram(nil)
	for name, make := range map[string]func(testing.TB, ...[]byte) []byte{"pcap": capture, "pcapng": captureNG} {
		b := make(t, one, one, one)
		if !IsCapture(bufio.NewReader(bytes.NewReader(b))) {
			t.Errorf("%s is not recognised", name)
		}
		n, last, err := readPackets(b)
		if n != 3 || last != 1000_000000003 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d packets, the last at %d, end %v", name, n, last, err)
		}
		for cut := len(b) - 1; cut > len(b)-len(one)-8; cut-- {
			if n, _, err := readPackets(b[:cut]); n != 2 || err == nil || errors.Is(err, io.EOF) {
				t.Fatalf("%s cut by %d: %d packets and %v, want 2 and damage", name, len(b)-cut, n, err)
			}
		}
	}
	if IsCapture(bufio.NewReader(strings.NewReader("ab"))) || IsCapture(bufio.NewReader(strings.NewReader("abcdef"))) {
		t.Error("something else is taken for a capture")
	}
}

// Captures of both formats in µs and ns, of both byte orders, plain or compressed,
// with and without their last bytes.
func TestCapturesOfAllKinds(t *testing.T) {
	one := datagram(nil)
	micro := captureMicro(t, one, one)
	for _, c := range []struct {
		name string
		b    []byte
		last int64
	}{
		{"pcap in ns", capture(t, one, one), 1000_000000002},
		{"pcap in µs", micro, 1000_000002000},
		{"pcap in µs, of the other byte order", swapped(micro), 1000_000002000},
		{"pcap in ns, of the other byte order", swapped(capture(t, one, one)), 1000_000000002},
		{"pcapng in ns", captureNG(t, one, one), 1000_000000002},
		{"pcapng in µs", inMicro(captureNG(t, one, one)), 1000_000002000},
	} {
		for _, cut := range []int{0, 1} {
			b := c.b[:len(c.b)-cut]
			var gz bytes.Buffer
			w := gzip.NewWriter(&gz)
			if _, err := w.Write(b); err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			for form, content := range map[string][]byte{"plain": b, "gzip": gz.Bytes()} {
				f, err := Open(writeFile(t, content))
				if err != nil {
					t.Fatal(err)
				}
				r, err := f.Reader()
				if err != nil || !IsCapture(r) {
					t.Fatalf("%s, %s: %v, or it is no capture", c.name, form, err)
				}
				n, last, err := packetsOf(r)
				switch {
				case cut == 0 && (n != 2 || last != c.last || !errors.Is(err, io.EOF)):
					t.Errorf("%s, %s: %d packets, the last at %d, end %v", c.name, form, n, last, err)
				case cut > 0 && (n != 1 || err == nil || errors.Is(err, io.EOF)):
					t.Errorf("%s, %s, truncated: %d packets and %v, want 1 and damage", c.name, form, n, err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// captureMicro makes a pcap whose times are in µs.
func captureMicro(t testing.TB, packets ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := pcapgo.NewWriter(&out)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(1000, int64(i+1)*1000), CaptureLength: len(p), Length: len(p)}
		if err := w.WritePacket(ci, p); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// swapped turns a little-endian pcap into a big-endian one.
func swapped(b []byte) []byte {
	b = bytes.Clone(b)
	swap := func(at, n int) { slices.Reverse(b[at : at+n]) }
	swap(0, 4)
	swap(4, 2)
	swap(6, 2)
	for at := 8; at < 24; at += 4 {
		swap(at, 4)
	}
	for at := 24; at < len(b); {
		n := int(binary.LittleEndian.Uint32(b[at+8:]))
		for i := range 4 {
			swap(at+4*i, 4)
		}
		at += 16 + n
	}
	return b
}

// inMicro says of a pcapng whose times are in ns that they are in µs: option 9 of
// the interface, of one byte, is the resolution's exponent.
func inMicro(b []byte) []byte {
	b = bytes.Clone(b)
	option := []byte{9, 0, 1, 0, 9}
	at := bytes.Index(b, option)
	b[at+4] = 6
	for i := 0; i+8 <= len(b); { // the packets' times, divided by 1000
		typ, n := binary.LittleEndian.Uint32(b[i:]), int(binary.LittleEndian.Uint32(b[i+4:]))
		if typ == 6 {
			time := uint64(binary.LittleEndian.Uint32(b[i+12:]))<<32 | uint64(binary.LittleEndian.Uint32(b[i+16:]))
			time = (time/1e9*1e9 + time%1e9*1000) / 1000
			binary.LittleEndian.PutUint32(b[i+12:], uint32(time>>32))
			binary.LittleEndian.PutUint32(b[i+16:], uint32(time))
		}
		i += n
	}
	return b
}

func TestCaptureTime(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want int64
	}{{time.Time{}, 0}, {time.Unix(0, 0), 0}, {time.Unix(5, 7), 5_000000007}, {time.Unix(1<<40, 0), 0}} {
		if got := captureTime(c.t); got != c.want {
			t.Errorf("capture time of %v is %d, want %d", c.t, got, c.want)
		}
	}
}

func FuzzPackets(f *testing.F) {
	f.Add(capture(f, datagram(nil)))
	f.Add(captureNG(f, datagram(nil)))
	big := capture(f, datagram(nil))
	binary.LittleEndian.PutUint32(big[32:], 1<<31)
	f.Add(big)
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, _, err := readPackets(b); err == nil {
			t.Fatalf("%d packets and no end", n)
		}
	})
}
