package queue

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew; that is a change of the disk format")

// dump gives b as lines of offset and 16 bytes in hex, runs of zero lines as "*".
func dump(b []byte) string {
	var out strings.Builder
	zeros := false
	for at := 0; at < len(b); at += 16 {
		line := b[at:min(at+16, len(b))]
		if isZero(line) && at+16 < len(b) {
			if !zeros {
				out.WriteString("*\n")
			}
			zeros = true
			continue
		}
		zeros = false
		fmt.Fprintf(&out, "%06x %s\n", at, hex.EncodeToString(line))
	}
	return out.String()
}

func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(dump(b)), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got := dump(b); got != string(want) {
		t.Errorf("%s: the bytes are\n%s\nwant\n%s", name, got, want)
	}
}

// TestGoldenBytes holds the disk format still: segments written by an older
// program must go on to be readable.
func TestGoldenBytes(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{Meta: []byte(`{"venue":"sim","symbol":"btc_usdt"}`)})
	for _, r := range []Record{
		{Time: 1_700_000_000_000_000_000, EventTime: 1_699_999_999_000_000_000, Kind: 3, Flags: FlagKey, Tag: 7, Body: []byte("snapshot")},
		{Time: 1_700_000_000_000_000_001, EventTime: NoTime, Kind: 2, Tag: 7, Body: []byte("delta")},
		{Time: 1_700_000_000_000_000_000, EventTime: 1_699_999_999_500_000_000, Kind: 2, Flags: 2, Tag: 8},
	} {
		_, err := w.Append(r)
		must(t, err)
	}
	_, err := w.Append(Record{Time: 1_700_000_000_000_000_002, EventTime: -1, Kind: 3, Flags: FlagKey, Body: []byte("second key")})
	must(t, err)
	for _, name := range []string{"00000000000000000001.idx", tableName} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		golden(t, "live-"+filepath.Ext(name)[1:], bytes.TrimRight(withoutID(t, dir, name, b), "\x00"))
	}
	must(t, w.Roll())
	for _, name := range []string{SegmentName(1), tableName} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		golden(t, "sealed-"+filepath.Ext(name)[1:], bytes.TrimRight(withoutID(t, dir, name, b), "\x00"))
	}
}

// withoutID clears the queue's identity in index.meta, having checked that it is there.
func withoutID(t *testing.T, dir, name string, b []byte) []byte {
	t.Helper()
	if name != tableName {
		return b
	}
	id, err := ID(dir)
	must(t, err)
	if at := b[tableID : tableID+16]; hex.EncodeToString(at) != id || len(id) != 32 {
		t.Fatalf("index.meta has the identity %x, want %s", at, id)
	}
	clear(b[tableID : tableID+16])
	return b
}

func TestGoldenConsumer(t *testing.T) {
	dir := t.TempDir()
	c := register(t, dir, "etl")
	c.Passed(0x0102030405060707)
	b, err := os.ReadFile(consumerPath(dir, "etl"))
	must(t, err)
	if pid := int(le.Uint64(b[consumerPID:])); len(b) != consumerSize || pid != os.Getpid() {
		t.Errorf("%d bytes with pid %d", len(b), pid)
	}
	le.PutUint64(b[consumerPID:], 0)
	golden(t, "consumer", b)
}

// TestGoldenRecord spells one record out, byte by byte.
func TestGoldenRecord(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	_, err := w.Append(Record{Time: 0x0102030405060708, EventTime: NoTime, Kind: 0x1112, Flags: 0x8001, Tag: 0x21222324, Body: []byte("abc")})
	must(t, err)
	b, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	want := "04000000" + "bde403b4" + // length word: 3+1; checksum
		"0100000000000000" + // sequence
		"0807060504030201" + // time
		"0000000000000080" + // event time: undefined
		"1211" + "0180" + "24232221" + // kind, flags, tag
		"6162630000000000" + // body and padding
		"0000000000000000" // the next length word
	if got := hex.EncodeToString(b[headerPage : headerPage+len(want)/2]); got != want {
		t.Errorf("record is\n%s\nwant\n%s", got, want)
	}
}
