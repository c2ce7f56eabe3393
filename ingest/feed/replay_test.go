package feed

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"chronicle/market"
)

// smallUSDM is a recording of a few frames, in the venue's own form.
const smallUSDM = `1723161255000000001 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161255001,"T":1723161255000,"s":"BTCUSDT","U":90,"u":101,"pu":89,"b":[["61800.20","1.5"],["61800.10","0.000"]],"a":[["61800.30","2"]]}}
1723161255000000002 {"lastUpdateId":101,"E":1723161255003,"T":1723161255002,"bids":[["61800.20","1.5"]],"asks":[["61800.30","2"],["61800.40","3"]]}
1723161255000000003 {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255004,"T":1723161255003,"s":"BTCUSDT","t":7,"p":"61800.30","q":"0.006","X":"MARKET","m":true}}
1723161255000000004 {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":102,"s":"BTCUSDT","b":"61800.20","B":"1.5","a":"61800.30","A":"1.9","T":1723161255005,"E":1723161255005}}
`

func TestSmallRecording(t *testing.T) {
	got := replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(smallUSDM))})
	wantCounts(t, got.kinds(), map[string]int{"session": 2, "definition": 1, "book": 1, "snapshot": 1, "trade": 1, "quote": 1})
	d := got.definitions(t)["btc_usdt"]
	if d.Venue != "binance-usdm" || d.Native != "BTCUSDT" || d.Channel != "BTCUSDT@depth" || !d.Chained || d.BookType != market.L2 || d.PriceExponent != -9 {
		t.Errorf("definition is %+v", d)
	}
	var e market.BookEvent
	if err := e.Decode(got.records[2].Body, market.KindBook); err != nil {
		t.Fatal(err)
	}
	if got.records[2].EventTime != 1723161255000_000000 || got.records[2].Time != 1723161255000000001 || e.Seq != 101 || e.PrevSeq != 89 {
		t.Errorf("event %+v at %d", e, got.records[2].EventTime)
	}
	want := []market.Entry{
		{Price: 61800_200000000, Size: 1_500000000, Side: market.Bid, Action: market.Modify},
		{Price: 61800_100000000, Size: 0, Side: market.Bid, Action: market.Cancel},
		{Price: 61800_300000000, Size: 2_000000000, Side: market.Ask, Action: market.Modify},
	}
	for i, w := range want {
		if e.Entries[i] != w {
			t.Errorf("entry %d is %+v, want %+v", i, e.Entries[i], w)
		}
	}
}

func TestUnusableLinesAreCountedAndTheRestIsKept(t *testing.T) {
	lines := strings.SplitAfter(smallUSDM, "\n")
	bad := []string{
		"not a line\n",
		"1723161255000000001\n",
		"-5 {}\n",
		"99999999999999999999 {}\n",
		lines[0][:100] + "\n",
		`1723161255000000001 {"stream":"x","data":{"e":"newThing","s":"BTCUSDT"}}` + "\n",
		strings.Replace(lines[2], "61800.30", "6180030000000000000000", 1),
		strings.Replace(lines[2], "61800.30", "abc", 1),
		strings.Replace(lines[2], `"t":7,`, "", 1),
		strings.Replace(lines[0], `"BTCUSDT"`, `"   "`, 1),
		"\n", // nothing at all: not even skipped
	}
	text := lines[0] + strings.Join(bad, "") + strings.Join(lines[1:], "")
	got := replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(text))})
	if s := got.stats; s.Skipped != 10 || s.Messages != 4 || s.Packets != 14 {
		t.Errorf("counts are %+v, want 10 of 14 lines skipped", s)
	}
	for reason, n := range map[string]uint64{"bad_line": 4, "bad_json": 1, "unknown_type": 1, "number_out_of_range": 1, "bad_number": 1, "missing_field": 1, "no_symbol": 1} {
		if got.stats.SkippedBy[reason] != n {
			t.Errorf("skipped by %s: %d, want %d", reason, got.stats.SkippedBy[reason], n)
		}
	}
	wantCounts(t, got.kinds(), map[string]int{"session": 2, "definition": 1, "book": 1, "snapshot": 1, "trade": 1, "quote": 1})
}

func TestDamagedStreamsKeepWhatCameBefore(t *testing.T) {
	// Lines that do not compress well, so that the cut falls between many of them.
	var text bytes.Buffer
	for i := range 3000 {
		text.WriteString(strings.ReplaceAll(strings.SplitAfter(smallUSDM, "\n")[2], `"t":7`, `"t":`+strings.Repeat("9", i%17+1)))
	}
	gz := gzipped(t, text.Bytes())
	corrupt := bytes.Clone(gz)
	corrupt[len(corrupt)-6] ^= 0xff // in the checksum after the data
	for name, content := range map[string][]byte{"cut.gz": gz[:len(gz)*2/3], "corrupt.gz": corrupt} {
		opts := ReplayOptions{Format: "binance-usdm", Path: writeFile(t, name, content)}
		got := replayFile(t, opts)
		if got.stats.Messages == 0 || got.stats.SkippedBy["damaged_source"] != 1 || got.stats.Gaps != 1 {
			t.Errorf("%s: counts are %+v, want messages, one damage and one gap", name, got.stats)
		}
		gaps := got.gaps(t)
		if len(gaps) != 1 || gaps[0].Cause != market.GapSource || gaps[0].Channel != "BTCUSDT@depth" {
			t.Errorf("%s: gaps are %+v", name, gaps)
		}
		if s := got.sessions(t); s[len(s)-1] != "source_end" {
			t.Errorf("%s: sessions are %v, want a source_end at the end", name, s)
		}
		sameRecords(t, replayFile(t, opts).records, got.records)
	}
}

func TestCutZstdOfManyFrames(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	one := enc.EncodeAll([]byte(smallUSDM), nil)
	all := append(bytes.Clone(one), one[:len(one)-3]...)
	got := replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.zst", all)})
	if got.stats.Messages != 4 || got.stats.SkippedBy["damaged_source"] != 1 || got.stats.Gaps != 1 {
		t.Errorf("counts are %+v, want the first frame's 4 messages, one damage and one gap", got.stats)
	}
}

func TestUncompressedFileCutInALine(t *testing.T) {
	got := replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(smallUSDM[:len(smallUSDM)-20]))})
	if got.stats.Messages != 3 || got.stats.SkippedBy["bad_json"] != 1 {
		t.Errorf("counts are %+v, want 3 messages and one truncated line", got.stats)
	}
}

func TestSnapshotBeforeTheFirstFrameWaitsForItsSymbol(t *testing.T) {
	lines := strings.SplitAfter(smallUSDM, "\n")
	got := replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(lines[1]+lines[2]+lines[0]))})
	wantCounts(t, got.kinds(), map[string]int{"session": 2, "definition": 1, "book": 1, "snapshot": 1, "trade": 1})
	if k := market.Kind(got.records[2].Kind); k != market.KindSnapshot || got.records[2].Time != 1723161255000000002 {
		t.Errorf("record 3 is a %v at %d, want the snapshot at its own time", k, got.records[2].Time)
	}
	_, err := replayInto(t, t.TempDir(), ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "b.txt", []byte(lines[1]))})
	if !errors.Is(err, ErrNothingUsable) || !strings.Contains(err.Error(), "no_symbol") {
		t.Errorf("a snapshot of nothing: %v", err)
	}
}

func TestSnapshotAmongSeveralSymbolsIsTheOneWithDepth(t *testing.T) {
	lines := strings.SplitAfter(smallUSDM, "\n")
	other := strings.NewReplacer("BTCUSDT", "ETHUSDT", "btcusdt", "ethusdt").Replace(lines[2])
	got := replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(lines[0]+other+lines[1]))})
	for _, rec := range got.records {
		if market.Kind(rec.Kind) == market.KindSnapshot && rec.Tag != got.definitions(t)["btc_usdt"].ID {
			t.Errorf("the snapshot went to instrument %d", rec.Tag)
		}
	}
	second := strings.NewReplacer("BTCUSDT", "ETHUSDT", "btcusdt", "ethusdt").Replace(lines[0])
	got = replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "b.txt", []byte(lines[0]+second+lines[1]))})
	if got.stats.SkippedBy["no_symbol"] != 1 || got.kinds()["snapshot"] != 0 {
		t.Errorf("a snapshot that could be of two: %+v", got.stats)
	}
}

func TestReplayErrors(t *testing.T) {
	path := writeFile(t, "a.bin", []byte{0, 0, 'S'})
	for _, c := range []struct {
		opts ReplayOptions
		want error
		text string
	}{
		{ReplayOptions{Format: "fix", Path: path}, ErrUnknownFormat, "binance-usdm"},
		{ReplayOptions{Format: "itch", Path: path}, ErrNoDate, "YYYY-MM-DD"},
		{ReplayOptions{Format: "itch", Path: path, Date: "24.12.2010"}, nil, "24.12.2010"},
		{ReplayOptions{Format: "itch", Path: path + ".gone"}, nil, "a.bin.gone"},
		{ReplayOptions{Format: "itch"}, nil, "Path"},
		{ReplayOptions{Format: "kraken", Path: writeFile(t, "b", []byte("hello\n"))}, ErrNothingUsable, "kraken"},
		{ReplayOptions{Format: "okx", Path: writeFile(t, "c.gz", []byte{0x1f, 0x8b, 0, 0, 0})}, nil, "gzip"},
	} {
		_, err := replayInto(t, t.TempDir(), c.opts)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: error %v, want %v mentioning %q", c.opts, err, c.want, c.text)
		}
	}
}

func TestEmptyRecordingLeavesNothing(t *testing.T) {
	w, dir := openRaw(t)
	defer w.Close()
	stats, err := Replay(context.Background(), w, dir, ReplayOptions{Format: "okx", Path: writeFile(t, "empty", nil)})
	if err != nil || stats.Records != 0 || w.NextSeq() != 1 {
		t.Errorf("stats %+v, error %v, next record %d", stats, err, w.NextSeq())
	}
}

func TestDateInName(t *testing.T) {
	for name, want := range map[string]string{
		"ex20101224.TEST_ITCH_50.gz": "2010-12-24", "01302019.NASDAQ_ITCH50.gz": "2019-01-30", "x-20240808-1.bin": "2024-08-08",
		"S081321-v50.txt.gz": "", "123456789.bin": "", "99999999.bin": "",
	} {
		got, ok := dateInName(name)
		if ok != (want != "") || ok && got.Format("2006-01-02") != want {
			t.Errorf("date in %s is %v, %v, want %q", name, got, ok, want)
		}
	}
}
