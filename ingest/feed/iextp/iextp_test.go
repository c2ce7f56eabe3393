package iextp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/sequence"
	"chronicle/internal/testdata"
)

// Segments as IEX sent them: a DEEP heartbeat, and one with a price level.
const (
	heartbeat = "010004800100000000" + "00dd48" + "00000000" + "0000000000000000" + "0100000000000000" + "af326a0223e05d16"
	oneLevel  = "010004800100000000" + "00dd48" + "20000100" + "918eab0000000000" + "5e6b050000000000" + "6d1c16353ae25d16" +
		"1e00" + "3801be7f13353ae25d165620202020202020be000000b4f01e0000000000"
	deep = Protocol(0x8004)
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	session := sequence.Session{0x00, 0x00, 0xdd, 0x48, 1, 0, 0, 0, 0x04, 0x80}
	p, err := deep.Parse(unhex(t, heartbeat))
	if err != nil || p.Session != session || p.First != 1 || p.Count != 0 || p.End || len(p.Blocks) != 0 {
		t.Errorf("heartbeat: %+v, %v", p, err)
	}
	datagram := unhex(t, oneLevel)
	p, err = deep.Parse(datagram)
	if err != nil || p.Session != session || p.First != 355166 || p.Count != 1 || p.Order != binary.LittleEndian || !bytes.Equal(p.Blocks, datagram[40:]) {
		t.Errorf("one message: %+v, %v", p, err)
	}
	if name := deep.Name(p.Session); name != "1222443008" {
		t.Errorf("session is named %q", name)
	}
}

func TestParseTakesThePayloadOnly(t *testing.T) {
	datagram := unhex(t, oneLevel)
	p, err := deep.Parse(append(bytes.Clone(datagram), 1, 2, 3))
	if err != nil || len(p.Blocks) != 32 {
		t.Errorf("with bytes after the payload: %d bytes of blocks, %v", len(p.Blocks), err)
	}
	p, err = deep.Parse(datagram[:50])
	if err != nil || p.Count != 1 || len(p.Blocks) != 10 {
		t.Errorf("cut short: %+v, %v", p, err)
	}
}

func TestParseRefuses(t *testing.T) {
	change := func(at int, with ...byte) []byte {
		b := unhex(t, oneLevel)
		copy(b[at:], with)
		return b
	}
	for name, c := range map[string]struct {
		datagram []byte
		want     error
	}{
		"nothing":                    {nil, emit.BadPacket},
		"a cut header":               {unhex(t, heartbeat)[:39], emit.BadPacket},
		"version 2":                  {change(0, 2), emit.BadPacket},
		"a payload without messages": {change(14, 0, 0), emit.BadPacket},
		"messages without a payload": {change(12, 1, 0), emit.BadPacket},
		"a negative sequence":        {change(31, 0x80), emit.BadPacket},
		"a sequence that would wrap": {change(24, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), emit.BadPacket},
		"TOPS":                       {change(2, 3), OtherProtocol},
	} {
		if p, err := deep.Parse(c.datagram); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, p, err, c.want)
		}
	}
}

func TestRequest(t *testing.T) {
	p, err := deep.Parse(unhex(t, oneLevel))
	if err != nil {
		t.Fatal(err)
	}
	want := "01010480010000000000dd48" + "01000000" + "0200000000000000" + "0600000000000000"
	if got := hex.EncodeToString(deep.Request([]byte{}, p.Session, 2, 5)); got != want {
		t.Errorf("request is %s, want %s", got, want)
	}
	want = "ff01010480010000000000dd48" + "00000000"
	if got := hex.EncodeToString(deep.Request([]byte{0xff}, p.Session, 2, 0)); got != want {
		t.Errorf("request of nothing is %s, want %s", got, want)
	}
}

// TestCaptures holds the header against captures of all three feeds.
func TestCaptures(t *testing.T) {
	for name, want := range map[string]struct {
		protocol Protocol
		session  string
		first    uint64
		count    int
	}{
		"Heartbeat":                   {0x8004, "1222443008", 1, 0},
		"PriceLevelBuyUpdateMessage":  {0x8004, "1222443008", 355166, 1},
		"PriceLevelSellUpdateMessage": {0x8004, "1222443008", 355282, 1},
		"tops16-QuoteUpdateMessage":   {0x8003, "1150681088", 49821, 1},
		"deepplus-all_message_types":  {0x8005, "1310523392", 59330, 1},
	} {
		b, err := os.ReadFile(testdata.Path(t, "iex/"+name+".pcap"))
		if err != nil {
			t.Fatal(err)
		}
		datagram := b[24+16+14+20+8:][:binary.BigEndian.Uint16(b[24+16+14+20+4:])-8]
		carried, ok := Carried(datagram)
		p, err := want.protocol.Parse(datagram)
		if !ok || carried != want.protocol || err != nil || want.protocol.Name(p.Session) != want.session || p.First != want.first || p.Count != want.count {
			t.Errorf("%s: carries %#x, %+v, %v; want %+v", name, carried, p, err, want)
		}
		if len(p.Blocks) != len(datagram)-HeaderSize {
			t.Errorf("%s: %d bytes of blocks in a datagram of %d", name, len(p.Blocks), len(datagram))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(unhex(f, heartbeat))
	f.Add(unhex(f, oneLevel))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := deep.Parse(b)
		if err != nil {
			return
		}
		if p.Count < 0 || p.First+uint64(p.Count) < p.First || len(p.Blocks) > len(b)-HeaderSize || p.Count == 0 && len(p.Blocks) > 0 {
			t.Fatalf("%+v of %x", p, b)
		}
	})
}

func TestParseDoesNotAllocate(t *testing.T) {
	datagram := unhex(t, oneLevel)
	request := make([]byte, 0, 64)
	allocs := testing.AllocsPerRun(100, func() {
		p, err := deep.Parse(datagram)
		if err != nil {
			t.Fatal(err)
		}
		request = deep.Request(request[:0], p.Session, p.First, p.Count)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
