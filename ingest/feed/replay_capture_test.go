package feed

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"chronicle/ingest/feed/source"
	"chronicle/ingest/feed/udp"
	"chronicle/ingest/sim"
	"chronicle/internal/testdata"
	"chronicle/market"
)

// sentAt is a datagram in a capture.
type sentAt struct {
	at   time.Time
	to   net.IP
	data []byte
}

// pcapOf writes a capture with times in ns.
func pcapOf(t *testing.T, datagrams []sentAt) []byte {
	t.Helper()
	var out bytes.Buffer
	w := pcapgo.NewWriterNanos(&out)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, d := range datagrams {
		eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
		ip := &layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(10, 0, 0, 1), DstIP: d.to}
		buf := gopacket.NewSerializeBuffer()
		err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, eth, ip, &layers.UDP{SrcPort: 1, DstPort: 26477}, gopacket.Payload(d.data))
		if err != nil {
			t.Fatal(err)
		}
		b := buf.Bytes()
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: d.at, CaptureLength: len(b), Length: len(b)}, b); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// A capture of both lines gives the stream, whichever line has lost what; what
// both have lost is a gap.
func TestCaptureOfTwoLines(t *testing.T) {
	s, err := sim.New(sim.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.IPv4(239, 1, 1, 1), net.IPv4(239, 1, 1, 2)
	at := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	const skew = 3 * time.Millisecond // line B is behind by several packets
	var all, onlyB []sentAt
	var lost market.Gap
	for i := range 200 {
		at = at.Add(time.Millisecond)
		from := s.Seq() + 1
		data := bytes.Clone(s.NextPacket(at))
		onlyB = append(onlyB, sentAt{at.Add(skew), b, data})
		if i == 150 {
			lost.FirstSeq, lost.LastSeq = from, s.Seq()
			continue
		}
		if i%10 != 3 {
			all = append(all, sentAt{at, a, data})
		}
		if i%10 != 7 {
			all = append(all, sentAt{at.Add(skew), b, data})
		}
	}
	slices.SortStableFunc(all, func(x, y sentAt) int { return x.at.Compare(y.at) })
	got := replayFile(t, ReplayOptions{Format: "itch", Path: writeFile(t, "ab.pcap", pcapOf(t, all))})
	gaps := got.gaps(t)
	if len(gaps) != 1 || gaps[0].FirstSeq != lost.FirstSeq || gaps[0].LastSeq != lost.LastSeq || gaps[0].Cause != market.GapSequence {
		t.Errorf("gaps are %+v, want %+v", gaps, lost)
	}
	st := got.stats
	if st.Messages != s.Seq()-(lost.LastSeq-lost.FirstSeq+1) || st.Skipped != 0 || len(st.Lines) != 2 || st.Lines[0].Redundant+st.Lines[1].Redundant == 0 || st.Lines[1].First == 0 {
		t.Errorf("counts are %+v", st)
	}
	if again := replayFile(t, ReplayOptions{Format: "itch", Path: writeFile(t, "ab.pcap", pcapOf(t, all))}); digest(again.records) != digest(got.records) {
		t.Error("the same capture gives other records")
	}
	whole := replayFile(t, ReplayOptions{Format: "itch", Path: writeFile(t, "b.pcap", pcapOf(t, onlyB))})
	if whole.stats.Gaps != 0 || whole.stats.Messages != s.Seq() {
		t.Errorf("one line by itself: counts are %+v", whole.stats)
	}
}

// Live input and a replay of its capture are decoded alike.
func TestLiveGivesWhatAReplayGives(t *testing.T) {
	for name, format := range map[string]string{
		"itch/pcap/Multiple.Packets.pcap":     "itch",
		"iex/PriceLevelBuyUpdateMessage.pcap": "iex-deep",
		"iex/deepplus-all_message_types.pcap": "iex-deepplus",
		"iex/tops16-QuoteUpdateMessage.pcap":  "iex-tops",
	} {
		want := replayFile(t, ReplayOptions{Format: format, Path: testdata.Path(t, name)})
		w, dir := openRaw(t)
		opts := LiveOptions{Format: format, Packets: PacketOptions{Sockets: datagramsOf(t, testdata.Path(t, name))}}
		c := &Counters{}
		_ = Live(t.Context(), w, opts, c) // it ends with its source
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, dir); digest(got) != digest(want.records) || c.Stats().Messages == 0 || c.Stats().Messages != want.stats.Messages {
			t.Errorf("%s: counts are %+v, of a replay %+v", name, c.Stats(), want.stats)
		}
	}
}

// datagramsOf gives the datagrams of a capture as if they came live.
func datagramsOf(t *testing.T, path string) *script {
	t.Helper()
	file, err := source.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := file.Reader()
	if err != nil {
		t.Fatal(err)
	}
	packets, err := source.NewPackets(reader)
	if err != nil {
		t.Fatal(err)
	}
	out := &script{}
	for {
		p, err := packets.Next()
		if err != nil {
			return out
		}
		payload, err := p.Payload()
		if err != nil {
			t.Fatal(err)
		}
		out.datagrams = append(out.datagrams, udp.Datagram{Recv: p.Time, Data: bytes.Clone(payload)})
	}
}
