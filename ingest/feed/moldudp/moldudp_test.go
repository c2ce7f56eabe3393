package moldudp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/sequence"
)

func TestParse(t *testing.T) {
	session := "414243202020202020 20"
	for _, c := range []struct {
		name, hex string
		want      sequence.Packet
		err       error
	}{
		{"one message", session + "0000000000000005 0001 0002 6869", sequence.Packet{First: 5, Count: 1, Blocks: []byte{0, 2, 'h', 'i'}}, nil},
		{"heartbeat", session + "0000000000000006 0000", sequence.Packet{First: 6}, nil},
		{"end", session + "0000000000000006 ffff", sequence.Packet{First: 6, End: true}, nil},
		{"no sequence", session + "0000000000000000 0001 0000", sequence.Packet{Count: 1, Blocks: []byte{0, 0}}, nil},
		{"short", "41424320", sequence.Packet{}, emit.BadPacket},
		{"a sequence that would wrap", session + "ffffffffffff0001 0001 0000", sequence.Packet{}, emit.BadPacket},
	} {
		b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(c.hex), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Protocol{}.Parse(b)
		if !errors.Is(err, c.err) || got.First != c.want.First || got.Count != c.want.Count || got.End != c.want.End || !bytes.Equal(got.Blocks, c.want.Blocks) {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.name, got, err, c.want, c.err)
		}
		if err == nil && (got.Order != binary.BigEndian || Protocol{}.Name(got.Session) != "ABC") {
			t.Errorf("%s: order %v, session %q", c.name, got.Order, Protocol{}.Name(got.Session))
		}
	}
}

func TestName(t *testing.T) {
	for in, want := range map[sequence.Session]string{
		{'A', 'B', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '}: "AB",
		{' ', ' ', ' ', ' ', ' ', ' ', ' ', '0', '4', '2'}: "042",
		{'A', ' ', 'B'}: "A B",
		{}:              "",
	} {
		if got := (Protocol{}).Name(in); got != want {
			t.Errorf("name of %q is %q, want %q", in[:], got, want)
		}
	}
}

func TestRequest(t *testing.T) {
	s := sequence.Session{'0', '0', '0', '0', '0', '0', '0', '0', '4', '2'}
	got := Protocol{}.Request([]byte("x"), s, 0x0102030405060708, 500)
	if want := "x0000000042\x01\x02\x03\x04\x05\x06\x07\x08\x01\xf4"; string(got) != want {
		t.Errorf("request is %q, want %q", got, want)
	}
	if got := (Protocol{}).Request(nil, s, 1, 1<<20); binary.BigEndian.Uint16(got[18:]) != 0xfffe {
		t.Errorf("a request for 2^20 messages asks for %d", binary.BigEndian.Uint16(got[18:]))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("0000000042\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x01x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Protocol{}.Parse(b)
		if err != nil {
			return
		}
		if p.First+uint64(p.Count) < p.First || p.Count < 0 || p.Count >= endOfSession || len(p.Blocks) > len(b) {
			t.Fatalf("%x gives %+v", b, p)
		}
	})
}
