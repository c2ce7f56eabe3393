package feed

import (
	"testing"

	"chronicle/internal/testdata"
	"chronicle/market"
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
		{"itch", "itch", "itch/ex20101224.TEST_ITCH_50.gz", 12012, 0, 4,
			map[string]int{"session": 3, "definition": 4, "book": 7000, "trade": 5000, "status": 12}},
		{"futures", "binance-usdm", "crypto/BINANCE_FUTURES.jsonl.zst", 1540, 1542, 4,
			map[string]int{"session": 3, "definition": 4, "book": 764, "snapshot": 4, "status": 158, "quote": 613}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := replayFile(t, ReplayOptions{Format: c.format, Path: testdata.Path(t, c.path)})
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
		got := replayFile(t, ReplayOptions{Format: format, Path: testdata.Path(t, c.path)})
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
