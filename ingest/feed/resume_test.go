package feed

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"chronicle/internal/testdata"
	"chronicle/store/queue"
)

// cutCopy makes a queue that holds the first n of records, as a kill after the
// n-th would have left it.
func cutCopy(t *testing.T, records []queue.Record, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("cut-%d.q", n))
	w := reopen(t, dir)
	for _, rec := range records[:n] {
		if _, err := w.Append(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func replayInto(t *testing.T, dir string, opts ReplayOptions) (Stats, error) {
	t.Helper()
	w := reopen(t, dir)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	return Replay(context.Background(), w, dir, opts)
}

func sameRecords(t *testing.T, got, want []queue.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Seq != want[i].Seq || !same(got[i], want[i]) {
			t.Fatalf("record %d is %+v, want %+v", i+1, got[i], want[i])
		}
	}
}

func TestReplayGoesOnAfterAKillAnywhere(t *testing.T) {
	for format, path := range map[string]string{
		"itch": "itch/ex20101224.TEST_ITCH_50.gz", "okx": "crypto/OKX.jsonl.zst", "kraken": "crypto/KRAKEN.jsonl.zst",
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			opts := ReplayOptions{Format: format, Path: testdata.Path(t, path)}
			whole := recorded(t, format, path)
			random := rand.New(rand.NewPCG(7, 7))
			cuts := []int{1, random.IntN(len(whole.records)), len(whole.records) - 1}
			if format == "itch" {
				cuts = append(cuts, 0, 2, random.IntN(len(whole.records)), random.IntN(len(whole.records)))
			}
			for _, n := range cuts {
				dir := cutCopy(t, whole.records, n)
				stats, err := replayInto(t, dir, opts)
				if err != nil {
					t.Fatalf("after a cut at %d: %v", n, err)
				}
				if stats.Records != whole.stats.Records || stats.Messages != whole.stats.Messages {
					t.Errorf("after a cut at %d counts are %+v, want those of the whole file %+v", n, stats, whole.stats)
				}
				sameRecords(t, readAll(t, dir), whole.records)
			}
		})
	}
}

func TestReplayOfACompleteRecordingDoesNothing(t *testing.T) {
	opts := ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(smallUSDM))}
	whole := replayFile(t, opts)
	dir := cutCopy(t, whole.records, len(whole.records))
	if _, err := replayInto(t, dir, opts); !errors.Is(err, ErrAlreadyReplayed) {
		t.Fatalf("second replay: %v, want %v", err, ErrAlreadyReplayed)
	}
	if n := len(readAll(t, dir)); n != len(whole.records) {
		t.Errorf("%d records afterwards, want %d", n, len(whole.records))
	}
}

func TestReplayIsKnownByItsEndWhenRetentionTookItsBeginning(t *testing.T) {
	opts := ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(smallUSDM))}
	whole := replayFile(t, opts)
	dir := cutCopy(t, whole.records[3:], len(whole.records)-3)
	if _, err := replayInto(t, dir, opts); !errors.Is(err, ErrAlreadyReplayed) {
		t.Errorf("got %v, want %v", err, ErrAlreadyReplayed)
	}
}

func TestReplayRefusesAQueueThatDiffers(t *testing.T) {
	opts := ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(smallUSDM))}
	whole := replayFile(t, opts)
	changed := append([]queue.Record(nil), whole.records[:4]...)
	changed[2].Body = bytes.Clone(changed[2].Body)
	changed[2].Body[20] ^= 1
	_, err := replayInto(t, cutCopy(t, changed, 4), opts)
	if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "record 3") {
		t.Errorf("got %v, want %v at record 3", err, ErrMismatch)
	}
}

func TestReplayOfARenamedFileGoesOn(t *testing.T) {
	whole := replayFile(t, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "a.txt", []byte(smallUSDM))})
	dir := cutCopy(t, whole.records, 3)
	if _, err := replayInto(t, dir, ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "b.txt", []byte(smallUSDM))}); err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, dir)); n != len(whole.records) {
		t.Errorf("%d records, want %d", n, len(whole.records))
	}
}

func TestUnfinishedReplayOfAnotherRecording(t *testing.T) {
	first := ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "first.txt", []byte(smallUSDM))}
	second := ReplayOptions{Format: "binance-usdm", Path: writeFile(t, "second.txt", []byte(smallUSDM+smallUSDM))}
	whole := replayFile(t, first)
	dir := cutCopy(t, whole.records, 3)
	if _, err := replayInto(t, dir, second); !errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), "first.txt") {
		t.Fatalf("got %v, want %v naming first.txt", err, ErrInterrupted)
	}
	second.Abandon = true
	if _, err := replayInto(t, dir, second); err != nil {
		t.Fatal(err)
	}
	if _, err := replayInto(t, dir, first); !errors.Is(err, ErrInterrupted) {
		t.Errorf("the abandoned recording: %v, want %v", err, ErrInterrupted)
	}
	if _, err := replayInto(t, dir, second); !errors.Is(err, ErrAlreadyReplayed) {
		t.Errorf("the second recording again: %v, want %v", err, ErrAlreadyReplayed)
	}
}

func TestCancelledReplayGoesOn(t *testing.T) {
	opts := ReplayOptions{Format: "itch", Path: testdata.Path(t, "itch/ex20101224.TEST_ITCH_50.gz")}
	whole := replayFile(t, opts)
	w, dir := openRaw(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := opts
	cancelled.Path = writeFile(t, "long.gz", gzipped(t, bytes.Repeat([]byte(smallUSDM), 2000)))
	cancelled.Format = "binance-usdm"
	cancelled.Progress = func(done, total int64) { cancel() }
	if _, err := Replay(ctx, w, dir, cancelled); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	cancelled.Progress = nil
	if _, err := Replay(context.Background(), w, dir, cancelled); err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(context.Background(), w, dir, opts); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	all := readAll(t, dir)
	tail := all[len(all)-len(whole.records):]
	for i := range tail {
		if !same(tail[i], whole.records[i]) {
			t.Fatalf("record %d of the second source differs", i)
		}
	}
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
