package feed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chronicle/internal/testdata"
	"chronicle/market"
)

// frames splits a nanosecond pcap into its packets, by hand.
func frames(t *testing.T, b []byte) (out [][]byte) {
	t.Helper()
	for b = b[24:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b[8:])
		out = append(out, b[16:16+n])
		b = b[16+n:]
	}
	return out
}

// messagesOf gives the messages of a pcap of VLAN-tagged Ethernet, IPv4 and UDP, by hand.
func messagesOf(t *testing.T, b []byte) (out [][]byte) {
	t.Helper()
	for _, f := range frames(t, b) {
		mold := f[18+20+8:]
		at := mold[20:]
		for range binary.BigEndian.Uint16(mold[18:]) {
			n := binary.BigEndian.Uint16(at)
			out = append(out, at[2:2+n])
			at = at[2+n:]
		}
	}
	return out
}

func TestEveryCapturedMessageDecodes(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(testdata.Path(t, "itch/pcap/SystemEvent.pcap")), "*.pcap"))
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d captures, %v", len(paths), err)
	}
	types := make(map[byte]int)
	for _, path := range paths {
		name := filepath.Base(path)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		messages := messagesOf(t, content)
		for _, m := range messages {
			types[m[0]]++
		}
		got := replayFile(t, ReplayOptions{Format: "itch", Path: path})
		if s := got.stats; s.Messages != uint64(len(messages)) || s.Packets != uint64(len(frames(t, content))) || s.Skipped != 0 {
			t.Errorf("%s: counts are %+v, want %d messages in %d packets", name, s, len(messages), len(frames(t, content)))
		}
		checkCaptured(t, name, got)
		checkVerbatim(t, name, got, messages)
	}
	kinds := slices.Sorted(maps.Keys(types))
	if string(kinds) != "ACDEFHIJLPQSUXY" {
		t.Errorf("the captures hold types %s", kinds)
	}
}

// checkCaptured holds that the events are of the packets' day: 22 August 2023,
// and received within a second or so.
func checkCaptured(t *testing.T, name string, got replayed) {
	t.Helper()
	for _, rec := range got.records {
		if rec.EventTime == market.UndefTimestamp {
			continue
		}
		if late := rec.Time - rec.EventTime; late < 0 || late > 2_000_000_000 {
			t.Errorf("%s: record %d was received %d ns after its event", name, rec.Seq, late)
		}
	}
	gaps := got.gaps(t)
	if name == "Multiple.Packets.pcap" {
		if len(gaps) != 2 || gaps[0].Cause != market.GapLateJoin || gaps[0].LastSeq != 14764495 ||
			gaps[1].Cause != market.GapSequence || gaps[1].FirstSeq != 14764497 || gaps[1].LastSeq != 19009116 {
			t.Errorf("%s: gaps are %+v", name, gaps)
		}
		return
	}
	if len(gaps) != 1 || gaps[0].Cause != market.GapUnsequenced && gaps[0].Cause != market.GapLateJoin {
		t.Errorf("%s: gaps are %+v, want one", name, gaps)
	}
}

// checkVerbatim holds that status records are the captured bytes.
func checkVerbatim(t *testing.T, name string, got replayed, messages [][]byte) {
	t.Helper()
	var want [][]byte
	for _, m := range messages {
		if strings.IndexByte("AFECXDUPQ", m[0]) < 0 {
			want = append(want, m)
		}
	}
	for _, rec := range got.records {
		if market.Kind(rec.Kind) != market.KindStatus {
			continue
		}
		var s market.Status
		if err := s.Decode(rec.Body); err != nil || len(want) == 0 || !bytes.Equal(s.Payload, want[0]) {
			t.Fatalf("%s: status %x, %v", name, s.Payload, err)
		}
		want = want[1:]
	}
	if len(want) != 0 {
		t.Errorf("%s: %d messages are missing among the status records", name, len(want))
	}
}

func TestCaptureThatBreaksOff(t *testing.T) {
	content, err := os.ReadFile(testdata.Path(t, "itch/pcap/Multiple.Packets.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	got := replayFile(t, ReplayOptions{Format: "itch", Path: writeFile(t, "cut.pcap", content[:len(content)-100])})
	if s := got.stats; s.Messages != 1 || s.SkippedBy["damaged_source"] != 1 || s.Gaps != 2 {
		t.Errorf("counts are %+v, want the first packet's message, the damage and its gap", s)
	}
	gz := replayFile(t, ReplayOptions{Format: "itch", Path: writeFile(t, "all.pcap.gz", gzipped(t, content))})
	if gz.stats.Messages != 39 {
		t.Errorf("compressed: counts are %+v", gz.stats)
	}
}

func TestCaptureWithASnapLength(t *testing.T) {
	content, err := os.ReadFile(testdata.Path(t, "itch/pcap/Multiple.Packets.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	second := 24 + 16 + 87
	cut := append(bytes.Clone(content[:second+16]), content[second+16:second+16+1000]...)
	binary.LittleEndian.PutUint32(cut[second+8:], 1000) // bytes kept of 1518
	got := replayFile(t, ReplayOptions{Format: "itch", Path: writeFile(t, "snap.pcap", cut)})
	gaps := got.gaps(t)
	if s := got.stats; s.SkippedBy["truncated_packet"] != 1 || len(gaps) != 3 || gaps[2].Cause != market.GapSource || gaps[2].LastSeq != 19009117+37 {
		t.Errorf("counts are %+v, gaps %+v, want the end of the second packet missing", got.stats, gaps)
	}
	if got.stats.Messages != gaps[2].FirstSeq-19009117+1 {
		t.Errorf("%d messages, and missing from %d", got.stats.Messages, gaps[2].FirstSeq)
	}
}

func TestOtherTrafficInACapture(t *testing.T) {
	content, err := os.ReadFile(testdata.Path(t, "itch/pcap/SystemEvent.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	tcp := bytes.Clone(content[24:])
	tcp[16+18+9] = 6
	timeless := bytes.Clone(content[24:])
	clear(timeless[:8])
	all := slices.Concat(content, tcp, timeless)
	got := replayFile(t, ReplayOptions{Format: "itch", Path: writeFile(t, "mixed.pcap", all)})
	if s := got.stats; s.Packets != 3 || s.Messages != 1 || s.SkippedBy["not_udp"] != 1 || s.SkippedBy["no_capture_time"] != 1 {
		t.Errorf("counts are %+v", s)
	}
}

func TestCaptureOfNothing(t *testing.T) {
	w, dir := openRaw(t)
	defer w.Close()
	_, err := Replay(t.Context(), w, dir, ReplayOptions{Format: "itch", Path: writeFile(t, "a.pcap", []byte{0xd4, 0xc3, 0xb2, 0xa1, 9})})
	if !errors.Is(err, ErrNothingUsable) {
		t.Errorf("a capture that ends in its header: %v", err)
	}
}
