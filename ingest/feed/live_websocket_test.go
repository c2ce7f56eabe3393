package feed

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed/exchangetest"
	"chronicle/internal/testdata"
	"chronicle/store/queue"
)

// liveVenues are the venues that are received over the web, and what their
// recordings prove.
var liveVenues = []struct {
	format, path string
	symbols      []string
	depth        int
	frames       int // of the recording; 0 is all
	checksums    uint64
	books        int
}{
	{format: "kraken", path: "crypto/KRAKEN.jsonl.zst", depth: 1000, checksums: 4269, books: 10,
		symbols: strings.Fields("ksm_btc xmr_usd eth_chf omg_usd grt_eth waves_eur ada_btc btc_chf sc_eur ocean_btc")},
	{format: "okx", path: "crypto/OKX.jsonl.zst", symbols: strings.Fields("btc_usd_220527 uni_usd_swap btc_usdt"), checksums: 290, books: 3},
	{format: "binance-usdm", path: "binance/usdm-btcusdt-20240808.gz", symbols: []string{"btc_usdt"}, frames: 3000, books: 1},
	{format: "binance-spot", path: "binance/spot-btcusdt-20240808.gz", symbols: []string{"btc_usdt"}, frames: 3000, books: 1},
	{format: "coinbase", path: "crypto/COINBASE.jsonl.zst", symbols: []string{"eth_usd", "btc_usd"}, frames: 300, books: 2},
	{format: "bybit", path: "crypto/BYBIT.jsonl.zst", frames: 1000, books: 6,
		symbols: strings.Fields("btc_usdt eth_usdt btc_usdt_perp eth_usdt_perp sol_usdt_perp doge_usdt_perp")},
}

// TestLiveOverTheWeb receives every venue with nothing but a format and symbols,
// and finds all that the recording has: no gap, every checksum right, every book good.
func TestLiveOverTheWeb(t *testing.T) {
	for _, c := range liveVenues {
		t.Run(c.format, func(t *testing.T) {
			x := exchangetest.New(t, c.format, testdata.Path(t, c.path), exchangetest.Options{Frames: c.frames, Subscriptions: 3 * len(c.symbols)})
			w, raw := openRaw(t)
			opts := LiveOptions{Format: c.format, WebSocket: WebSocketOptions{
				Symbols: c.symbols, Depth: c.depth, URL: x.WebSocketURL(), RESTURL: x.RESTURL(), MinBackoff: 2 * time.Millisecond,
			}}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			var counts Counters
			go func() { ended <- Live(ctx, w, opts, &counts) }()
			select {
			case <-x.Done():
			case err := <-ended:
				t.Fatalf("the feed ended: %v", err)
			case <-time.After(time.Minute):
				t.Fatalf("the recording is not over after a minute: %+v, feed %+v", x.Counts(), counts.Stats())
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			st := counts.Stats()
			if st.Gaps != 0 || st.Skipped != 0 || int(st.Packets) < x.Counts().Sent {
				t.Errorf("feed %+v, exchange %+v", st, x.Counts())
			}
			books := processed(t, raw)
			if books.ChecksumsGood != c.checksums || books.ChecksumsBad != 0 || books.Gaps != 0 || books.Instruments < uint64(c.books) {
				t.Errorf("etl %+v, want %d checksums good", books, c.checksums)
			}
		})
	}
}

// processed runs the ETL over a raw queue.
func processed(t *testing.T, raw string) etl.Stats {
	t.Helper()
	dir := t.TempDir()
	e, err := etl.Open(t.Context(), etl.Config{RawDir: raw, CleanDir: filepath.Join(dir, "clean"), StateDir: filepath.Join(dir, "etl"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.CatchUp(t.Context()), e.Close()); err != nil {
		t.Fatal(err)
	}
	return e.Stats()
}

func TestLiveOptionsOfTheWeb(t *testing.T) {
	w, err := queue.OpenWriter(filepath.Join(t.TempDir(), "raw.q"), queue.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, f := range Formats() {
		if _, packets := packetFormatOf(f.Name); packets || !f.Live {
			continue
		}
		if err := Live(t.Context(), w, LiveOptions{Format: f.Name}, &Counters{}); err == nil || !strings.Contains(err.Error(), "symbols is empty") {
			t.Errorf("%s without symbols: %v", f.Name, err)
		}
	}
}
