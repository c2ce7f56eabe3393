package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
)

// The counts of the real recordings, as counted by other means.
func TestRecordingsGiveWhatTheyHold(t *testing.T) {
	for _, c := range []struct {
		name, format, path string
		messages, packets  uint64
		instruments        uint64
		kinds              map[string]int
	}{
		{"usdm", "binance-usdm", "binance/usdm-btcusdt-20240808.gz", 93954, 93954, 1,
			map[string]int{"session": 2, "definition": 1, "book": 6551, "snapshot": 1, "trade": 21313, "quote": 66089}},
		{"spot", "binance-spot", "binance/spot-btcusdt-20240808.gz", 41249, 41249, 1,
			map[string]int{"session": 2, "definition": 1, "book": 3451, "snapshot": 1, "trade": 9757, "quote": 28040}},
		{"kraken", "kraken", "crypto/KRAKEN.jsonl.zst", 4431, 4438, 10,
			map[string]int{"session": 5, "definition": 10, "book": 4269, "snapshot": 10, "trade": 10, "quote": 18}},
		{"okx", "okx", "crypto/OKX.jsonl.zst", 435, 440, 3,
			map[string]int{"session": 3, "definition": 3, "book": 287, "snapshot": 3, "trade": 74, "quote": 28}},
		{"coinbase", "coinbase", "crypto/COINBASE.jsonl.zst", 1031, 1038, 2,
			map[string]int{"session": 3, "definition": 2, "book": 773, "snapshot": 2, "trade": 79, "quote": 160, "status": 404}},
		{"bybit", "bybit", "crypto/BYBIT.jsonl.zst", 3229, 3256, 6,
			map[string]int{"session": 4, "definition": 6, "book": 2142, "snapshot": 6, "trade": 347, "quote": 144, "status": 841}},
		{"itch", "itch", "itch/ex20101224.TEST_ITCH_50.gz", 12012, 0, 4,
			map[string]int{"session": 3, "definition": 4, "book": 7000, "trade": 5000, "status": 12}},
		{"futures", "binance-usdm", "crypto/BINANCE_FUTURES.jsonl.zst", 1540, 1542, 4, // the snapshots do not tell the connection: 4 more definitions
			map[string]int{"session": 3, "definition": 8, "book": 764, "snapshot": 4, "status": 158, "quote": 613}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := recorded(t, c.format, c.path)
			s := got.stats
			if s.Messages != c.messages || s.Packets != c.packets || s.Instruments != c.instruments || s.Skipped != 0 || s.Gaps != 0 {
				t.Errorf("counts are %+v, want %d messages of %d packets, %d instruments, none skipped", s, c.messages, c.packets, c.instruments)
			}
			wantCounts(t, got.kinds(), c.kinds)
		})
	}
}

func TestChecksumsComeThrough(t *testing.T) {
	for format, c := range map[string]struct {
		path string
		want int
	}{"kraken": {"crypto/KRAKEN.jsonl.zst", 4269}, "okx": {"crypto/OKX.jsonl.zst", 290}} {
		got := recorded(t, format, c.path)
		n := 0
		for _, rec := range got.records {
			kind := market.Kind(rec.Kind)
			if kind != market.KindBook && kind != market.KindSnapshot {
				continue
			}
			var e market.BookEvent
			if err := e.Decode(rec.Body, kind); err != nil {
				t.Fatal(err)
			}
			if e.Attr&market.AttrChecksum != 0 {
				n++
			}
		}
		if n != c.want {
			t.Errorf("%s: %d events with a checksum, want %d", format, n, c.want)
		}
	}
}

// digest gives the hash of all records but those whose body is JSON.
func digest(records []queue.Record) string {
	h := sha256.New()
	var head [30]byte
	for _, rec := range records {
		switch market.Kind(rec.Kind) {
		case market.KindDefinition, market.KindGap, market.KindSession:
			continue
		}
		binary.LittleEndian.PutUint64(head[0:], uint64(rec.Time))
		binary.LittleEndian.PutUint64(head[8:], uint64(rec.EventTime))
		binary.LittleEndian.PutUint16(head[16:], rec.Kind)
		binary.LittleEndian.PutUint16(head[18:], rec.Flags)
		binary.LittleEndian.PutUint32(head[20:], rec.Tag)
		binary.LittleEndian.PutUint32(head[24:], uint32(len(rec.Body)))
		h.Write(head[:])
		h.Write(rec.Body)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// A change of any byte of any record is a change of the format: an archive made
// before it and one made after it would differ.
func TestRecordsNeverChange(t *testing.T) {
	for path, c := range map[string]struct{ format, want string }{
		"binance/usdm-btcusdt-20240808.gz":      {"binance-usdm", "f192488c48409477"},
		"binance/spot-btcusdt-20240808.gz":      {"binance-spot", "a0e73f2d0a971640"},
		"crypto/KRAKEN.jsonl.zst":               {"kraken", "c8c5f7852fc99388"},
		"crypto/OKX.jsonl.zst":                  {"okx", "7841e74324b81a43"},
		"crypto/BINANCE_FUTURES.jsonl.zst":      {"binance-usdm", "87c36aa129ad6318"},
		"crypto/COINBASE.jsonl.zst":             {"coinbase", "bd208247594fdb2e"},
		"crypto/BYBIT.jsonl.zst":                {"bybit", "9a0ff8669a665be6"},
		"itch/ex20101224.TEST_ITCH_50.gz":       {"itch", "56730a66d8f5ea77"},
		"itch/pcap/Multiple.Packets.pcap":       {"itch", "f1ff175261bc3626"},
		"itch/pcap/OrderExecutedWithPrice.pcap": {"itch", "8853edf235138fcc"},
	} {
		got := digest(recorded(t, c.format, path).records)
		if got != c.want {
			t.Errorf("%s: digest %s, want %s", path, got, c.want)
		}
	}
}
