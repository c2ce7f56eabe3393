package feed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"chronicle/book"
	"chronicle/ingest/etl"
	"chronicle/internal/testdata"
	"chronicle/market"
	"chronicle/store/queue"
)

// captured is a packet of a capture of microseconds, and the sequence in it.
type captured struct {
	header, frame []byte
	seq           uint64
}

// iexPackets reads a capture of Ethernet, IPv4, UDP and IEX-TP by hand.
func iexPackets(t *testing.T, name string) (header []byte, out []captured) {
	t.Helper()
	b, err := os.ReadFile(testdata.Path(t, "iex/"+name+".pcap"))
	if err != nil {
		t.Fatal(err)
	}
	header = b[:24]
	for b = b[24:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b[8:])
		frame := b[16 : 16+n]
		out = append(out, captured{b[:16], frame, binary.LittleEndian.Uint64(frame[14+20+8+24:])})
		b = b[16+n:]
	}
	return header, out
}

func TestIEXCaptures(t *testing.T) {
	for _, c := range []struct {
		name, format string
		want         map[string]int
	}{
		{"Heartbeat", "iex-deep", map[string]int{"session": 3}},
		{"PriceLevelBuyUpdateMessage", "iex-deep", map[string]int{"session": 3, "gap": 1, "definition": 1, "book": 1}},
		{"PriceLevelSellUpdateMessage", "iex-deep", map[string]int{"session": 3, "gap": 1, "definition": 1, "book": 1}},
		{"tops16-QuoteUpdateMessage", "iex-tops", map[string]int{"session": 3, "gap": 1, "definition": 1, "status": 1, "quote": 1}},
	} {
		got := replayFile(t, ReplayOptions{Format: c.format, Path: testdata.Path(t, "iex/"+c.name+".pcap")})
		if kinds := got.kinds(); !maps.Equal(kinds, c.want) || got.stats.Skipped != 0 || got.stats.Packets != 1 {
			t.Errorf("%s: records %v, want %v; counts %+v", c.name, kinds, c.want, got.stats)
		}
		for _, g := range got.gaps(t) {
			if g.Cause != market.GapLateJoin || g.Channel != c.format {
				t.Errorf("%s: gap %+v", c.name, g)
			}
		}
		for _, rec := range got.records {
			if late := rec.Time - rec.EventTime; rec.EventTime != market.UndefTimestamp && (late < 0 || late > int64(time.Second)) {
				t.Errorf("%s: record %d was received %d ns after its event", c.name, rec.Seq, late)
			}
		}
	}
}

// TestIEXDeepPlusCapture replays the packets of the capture of all types, which
// are from one session, in the session's order.
func TestIEXDeepPlusCapture(t *testing.T) {
	header, packets := iexPackets(t, "deepplus-all_message_types")
	slices.SortStableFunc(packets, func(a, b captured) int { return int(a.seq) - int(b.seq) })
	packets = slices.CompactFunc(packets, func(a, b captured) bool { return a.seq == b.seq })
	content := bytes.Clone(header)
	for _, p := range packets {
		content = slices.Concat(content, p.header, p.frame)
	}
	got := replayFile(t, ReplayOptions{Format: "iex-deepplus", Path: writeFile(t, "sorted.pcap", content)})
	if s := got.stats; s.Packets != 9 || s.Messages != 179 || s.Skipped != 0 || s.Gaps != 7 {
		t.Errorf("counts are %+v, want 179 messages in 9 packets with 7 holes between them", s)
	}
	kinds := got.kinds()
	delete(kinds, "definition")
	wantCounts(t, kinds, map[string]int{"session": 3, "gap": 7, "book": 6, "trade": 4, "status": 169})
	types := make(map[uint16]int)
	for _, rec := range got.records {
		if market.Kind(rec.Kind) == market.KindStatus {
			var s market.Status
			if err := s.Decode(rec.Body); err != nil {
				t.Fatal(err)
			}
			types[s.Code]++
		}
	}
	if want := (map[uint16]int{'S': 1, 'D': 1, 'B': 1, 'E': 35, 'H': 33, 'I': 32, 'O': 33, 'P': 33}); !maps.Equal(types, want) {
		t.Errorf("status records by type are %v, want %v", types, want)
	}
	if d := got.definitions(t)["zexit"]; d.LotSize != "100" || d.BookType != market.L3 || d.Venue != "iex" {
		t.Errorf("definition is %+v", d)
	}
}

func TestIEXCaptureOfAnotherFeed(t *testing.T) {
	unknown, err := os.ReadFile(testdata.Path(t, "iex/Heartbeat.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	unknown[24+16+14+20+8+2] = 9
	deep, tops := testdata.Path(t, "iex/PriceLevelBuyUpdateMessage.pcap"), testdata.Path(t, "iex/tops16-QuoteUpdateMessage.pcap")
	for _, c := range []struct{ format, path, says string }{
		{"iex-tops", deep, "iex-deep"},
		{"iex-deep", tops, "iex-tops"},
		{"iex-deep", testdata.Path(t, "iex/deepplus-all_message_types.pcap"), "iex-deepplus"},
		{"iex-deep", writeFile(t, "unknown.pcap", unknown), "0x8009"},
		{"iex-deep", writeFile(t, "text.pcap", []byte("no capture")), "pcapng"},
		{"iex-deep", testdata.Path(t, "itch/pcap/SystemEvent.pcap"), "iex-deep"},
	} {
		w, dir := openRaw(t)
		stats, err := Replay(t.Context(), w, dir, ReplayOptions{Format: c.format, Path: c.path})
		if !errors.Is(err, ErrNothingUsable) || !strings.Contains(err.Error(), c.says) || stats.Records != 0 {
			t.Errorf("%s as %s: %v (%+v), want an error that says %s", filepath.Base(c.path), c.format, err, stats, c.says)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	header, packets := iexPackets(t, "PriceLevelBuyUpdateMessage")
	_, others := iexPackets(t, "tops16-QuoteUpdateMessage")
	both := slices.Concat(header, others[0].header, others[0].frame, packets[0].header, packets[0].frame)
	got := replayFile(t, ReplayOptions{Format: "iex-deep", Path: writeFile(t, "both.pcap", both)})
	if s := got.stats; s.Messages != 1 || s.Packets != 2 || s.SkippedBy["other_protocol"] != 1 {
		t.Errorf("a capture of two feeds: %+v", s)
	}
}

// iexSession makes a session of DEEP.
type iexSession struct {
	id   uint32
	next uint64
	at   time.Time
	snap int // bytes of a packet that are captured; 0 is all
	ng   *pcapgo.NgWriter
	t    *testing.T
}

// newIEXSession makes a capture to write to.
func newIEXSession(t *testing.T) (*iexSession, *bytes.Buffer) {
	t.Helper()
	file := &bytes.Buffer{}
	ng, err := pcapgo.NewNgWriter(file, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	return &iexSession{at: time.Date(2024, 3, 4, 14, 30, 0, 0, time.UTC), ng: ng, t: t}, file
}

// send writes a packet of messages.
func (s *iexSession) send(messages ...[]byte) {
	s.t.Helper()
	tp := make([]byte, 40)
	tp[0] = 1
	binary.LittleEndian.PutUint16(tp[2:], 0x8004)
	binary.LittleEndian.PutUint32(tp[4:], 1)
	binary.LittleEndian.PutUint32(tp[8:], s.id)
	binary.LittleEndian.PutUint64(tp[24:], s.next)
	for _, m := range messages {
		tp = append(binary.LittleEndian.AppendUint16(tp, uint16(len(m))), m...)
	}
	binary.LittleEndian.PutUint16(tp[12:], uint16(len(tp)-40))
	binary.LittleEndian.PutUint16(tp[14:], uint16(len(messages)))
	s.next += uint64(len(messages))
	s.at = s.at.Add(time.Millisecond)
	buffer := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeDot1Q},
		&layers.Dot1Q{VLANIdentifier: 1013, Type: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 9, Protocol: layers.IPProtocolUDP, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{233, 215, 21, 4}},
		&layers.UDP{SrcPort: 10378, DstPort: 10378}, gopacket.Payload(tp))
	if err != nil {
		s.t.Fatal(err)
	}
	frame, size := buffer.Bytes(), len(buffer.Bytes())
	if s.snap > 0 {
		frame = frame[:s.snap]
	}
	if err := s.ng.WritePacket(gopacket.CaptureInfo{Timestamp: s.at, CaptureLength: len(frame), Length: size}, frame); err != nil {
		s.t.Fatal(err)
	}
}

// level makes a price level update; the price is in dollars.
func (s *iexSession) level(side byte, symbol string, dollars, size int, complete bool) []byte {
	b := make([]byte, 30)
	b[0] = side
	if complete {
		b[1] = 1
	}
	binary.LittleEndian.PutUint64(b[2:], uint64(s.at.UnixNano()))
	copy(b[10:], fmt.Sprintf("%-8s", symbol))
	binary.LittleEndian.PutUint32(b[18:], uint32(size))
	binary.LittleEndian.PutUint64(b[22:], uint64(dollars)*10000)
	return b
}

func (s *iexSession) begin() {
	s.id, s.next = s.id+1, 1
	start := make([]byte, 10)
	start[0], start[1] = 'S', 'O'
	binary.LittleEndian.PutUint64(start[2:], uint64(s.at.UnixNano()))
	s.send() // a heartbeat
	s.send(start)
}

// TestIEXCaptureThatBreaksOff: what was held back of an event is not lost, what
// came before the damage is kept, and both are known to be doubtful.
func TestIEXCaptureThatBreaksOff(t *testing.T) {
	record := func() (*iexSession, *bytes.Buffer) {
		s, file := newIEXSession(t)
		s.begin()
		s.send(s.level('8', "AAPL", 170, 100, true))
		s.send(s.level('8', "AAPL", 171, 100, false))
		return s, file
	}
	for _, c := range []struct {
		name   string
		finish func(*iexSession)
		cut    int // bytes of the file that are missing
		gaps   []string
	}{
		{"in an event", func(*iexSession) {}, 0, []string{"source aapl"}},
		{"in a packet", func(s *iexSession) { s.send(s.level('8', "AAPL", 172, 100, true)) }, 20, []string{"source aapl", "source"}},
		{"in a datagram", func(s *iexSession) {
			s.snap = 100
			s.send(s.level('8', "AAPL", 172, 100, false), s.level('8', "AAPL", 173, 100, true))
		}, 0, []string{"source", "source aapl"}},
	} {
		s, file := record()
		c.finish(s)
		if err := s.ng.Flush(); err != nil {
			t.Fatal(err)
		}
		got := replayFile(t, ReplayOptions{Format: "iex-deep", Path: writeFile(t, "a.pcap", file.Bytes()[:file.Len()-c.cut])})
		var gaps []string
		for _, g := range got.gaps(t) {
			gaps = append(gaps, strings.TrimSpace(string(g.Cause)+" "+g.Symbol))
		}
		if !slices.Equal(gaps, c.gaps) || got.kinds()["book"] != 2 {
			t.Errorf("%s: gaps %v, want %v; records %v", c.name, gaps, c.gaps, got.kinds())
		}
	}
}

// TestIEXCaptureOfBothLines: packets that come twice, and a little out of order,
// are no holes.
func TestIEXCaptureOfBothLines(t *testing.T) {
	s, file := newIEXSession(t)
	s.begin()
	for _, seq := range []uint64{2, 4, 2, 3, 3, 5, 4} {
		s.next = seq
		s.send(s.level('8', "AAPL", int(seq), 100, true))
	}
	if err := s.ng.Flush(); err != nil {
		t.Fatal(err)
	}
	got := replayFile(t, ReplayOptions{Format: "iex-deep", Path: writeFile(t, "a.pcap", file.Bytes())})
	if n := got.stats; n.Messages != 5 || n.Gaps != 0 || got.kinds()["book"] != 4 {
		t.Errorf("counts are %+v, records %v", n, got.kinds())
	}
}

func TestIEXPacketWithoutATime(t *testing.T) {
	s, file := newIEXSession(t)
	s.begin()
	s.at = time.Unix(0, 0).Add(-time.Millisecond)
	s.send(s.level('8', "AAPL", 170, 100, true))
	if err := s.ng.Flush(); err != nil {
		t.Fatal(err)
	}
	got := replayFile(t, ReplayOptions{Format: "iex-deep", Path: writeFile(t, "a.pcap", file.Bytes())})
	if n := got.stats; n.SkippedBy["no_capture_time"] != 1 || n.Packets != 3 || n.Messages != 1 {
		t.Errorf("counts are %+v", n)
	}
}

// TestIEXToBooks is the way from a download of IEX HIST, a compressed pcapng, to
// books: two days, of which the second one has a hole. Each day begins with empty
// books that are right; those that the hole may have changed are doubtful.
func TestIEXToBooks(t *testing.T) {
	s, file := newIEXSession(t)
	s.begin()
	s.send(s.level('8', "AAPL", 170, 100, false), s.level('8', "MSFT", 400, 5, true), s.level('8', "AAPL", 169, 200, false))
	s.send(s.level('5', "AAPL", 171, 300, true))
	s.send(s.level('8', "AAPL", 170, 0, true))
	s.at = s.at.Add(24 * time.Hour)
	s.begin()
	s.send(s.level('8', "AAPL", 180, 10, true), s.level('5', "MSFT", 410, 7, true))
	s.next++ // a hole
	s.send(s.level('8', "MSFT", 409, 8, true))
	if err := s.ng.Flush(); err != nil {
		t.Fatal(err)
	}
	got, root := cleaned(t, ReplayOptions{Format: "iex-deep", Path: writeFile(t, "20240304_IEXTP1_DEEP1.0.pcap.gz", gzipped(t, file.Bytes()))})
	if got.Messages != 10 || got.Packets != 9 || got.Skipped != 0 || got.Gaps != 1 {
		t.Errorf("counts are %+v", got)
	}
	for symbol, want := range map[string]string{
		"aapl": "book B170:100 B169:200 A171:300; book B169:200 A171:300; book; book B180:10; gap",
		"msft": "book B400:5; book; book A410:7; gap; book B409:8 A410:7 maybe bad",
	} {
		if books := booksOf(t, root, symbol); books != want {
			t.Errorf("books of %s:\n got %s\nwant %s", symbol, books, want)
		}
	}
}

// cleaned replays a file and runs the ETL over what it gave; it returns the
// folder of the clean queues.
func cleaned(t *testing.T, opts ReplayOptions) (Stats, string) {
	t.Helper()
	w, dir := openRaw(t)
	stats, err := Replay(context.Background(), w, dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	e, err := etl.Open(t.Context(), etl.Config{RawDir: dir, CleanDir: out, StateDir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.CatchUp(t.Context()), e.Close()); err != nil {
		t.Fatal(err)
	}
	return stats, out
}

// booksOf tells the book after each record of a symbol's book stream, but for the
// snapshots that the ETL made.
func booksOf(t *testing.T, root, symbol string) string {
	t.Helper()
	b := book.New(market.L2)
	var out []string
	for _, rec := range readAll(t, etl.StreamDir(root, "iex", symbol, market.StreamBook)) {
		if said := bookAfter(t, b, rec); said != "" {
			out = append(out, said)
		}
	}
	return strings.Join(out, "; ")
}

func bookAfter(t *testing.T, b *book.Book, rec queue.Record) string {
	t.Helper()
	kind := market.Kind(rec.Kind)
	if kind == market.KindGap {
		return "gap"
	}
	var ev market.BookEvent
	if err := ev.Decode(rec.Body, kind); err != nil {
		t.Fatal(err)
	}
	if ev.Attr&market.AttrSynthetic != 0 {
		return ""
	}
	b.Apply(&ev, kind)
	said := []string{"book"}
	for _, side := range []market.Side{market.Bid, market.Ask} {
		for _, l := range b.Levels(side, 0, nil) {
			said = append(said, fmt.Sprintf("%c%d:%d", side, l.Price/10000, l.Size))
		}
	}
	if ev.Flags&market.FlagMaybeBadBook != 0 {
		said = append(said, "maybe bad")
	}
	return strings.Join(said, " ")
}
