package ws_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"chronicle/ingest/etl"
	"chronicle/ingest/feed/binance"
	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/exchangetest"
	"chronicle/ingest/feed/kraken"
	"chronicle/ingest/feed/okx"
	"chronicle/ingest/feed/ws"
	"chronicle/internal/testdata"
	"chronicle/store/queue"
)

// soak gives by how much the environment makes heavy tests heavier.
func soak() int {
	n, err := strconv.Atoi(os.Getenv("CHRONICLE_SOAK"))
	if err != nil {
		return 1
	}
	return max(n, 1)
}

// venueCase is a venue with its recording.
type venueCase struct {
	venue, path string
	symbols     []string
	depth       int // to subscribe
	proved      int // levels a side that are compared: those that the venue proves
	live        func(e *emit.Emitter, o ws.Options) (ws.Venue, error)

	channels []string      // default: all
	quiet    time.Duration // default: long
	patience time.Duration // default: long
}

var (
	krakenCase = venueCase{venue: "kraken", path: "crypto/KRAKEN.jsonl.zst", symbols: []string{"ksm_btc", "XMR/USD", "eth-chf", "OMGUSD", "grt_eth", "kraken:waves_eur", "ada_btc", "btc_chf", "sc_eur", "ocean_btc"}, depth: 1000, proved: 10, live: kraken.Live}
	okxCase    = venueCase{venue: "okx", path: "crypto/OKX.jsonl.zst", symbols: []string{"BTC-USD-220527", "uni_usd_swap", "btcusdt"}, depth: 0, proved: 25, live: okx.Live}
	usdmCase   = venueCase{venue: "binance-usdm", path: "binance/usdm-btcusdt-20240808.gz", symbols: []string{"btc_usdt"}, depth: 0, proved: 20, live: binanceLive("binance-usdm")}
	spotCase   = venueCase{venue: "binance-spot", path: "binance/spot-btcusdt-20240808.gz", symbols: []string{"BTCUSDT"}, depth: 0, proved: 20, live: binanceLive("binance-spot")}
)

func binanceLive(market string) func(e *emit.Emitter, o ws.Options) (ws.Venue, error) {
	return func(e *emit.Emitter, o ws.Options) (ws.Venue, error) { return binance.Live(e, market, o) }
}

// received is what a live feed and the ETL beside it made.
type received struct {
	feed  emit.Stats
	etl   etl.Stats
	books *books
	x     *exchangetest.Exchange
}

// receive runs a live feed against a local exchange, and the ETL beside it, until
// the recording is over and every book is good.
func (c venueCase) receive(t *testing.T, xo exchangetest.Options) *received {
	t.Helper()
	if c.channels == nil {
		c.channels = ws.Channels
	}
	if c.quiet == 0 {
		c.quiet = 20 * time.Second
	}
	if c.patience == 0 {
		c.patience = 20 * time.Second
	}
	xo.Subscriptions = len(c.channels) * len(c.symbols)
	x := exchangetest.New(t, c.venue, testdata.Path(t, c.path), xo)
	dir := t.TempDir()
	raw := filepath.Join(dir, "raw.q")
	w, err := queue.OpenWriter(raw, queue.Options{SegmentBytes: 16 << 20, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	var counters emit.Counters
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- c.feed(ctx, w, &counters, x) }()
	e, err := etl.Open(t.Context(), etl.Config{
		RawDir: raw, CleanDir: filepath.Join(dir, "clean"), StateDir: filepath.Join(dir, "etl"), NoSync: true, Policy: etl.Policy{RollBytes: 1 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- e.Run(ctx) }()
	r := &received{x: x, books: newBooks(t, filepath.Join(dir, "clean"), c.proved)}
	deadline := time.After(time.Minute)
	looks := 0 // since the recording is over and every book is good: the last frames may be under way
	for over := x.Done(); looks < 20; {
		if over == nil && r.books.good(len(c.symbols)) {
			looks++
		} else {
			looks = 0
		}
		select {
		case <-over:
			over = nil
		case err := <-ended:
			t.Fatalf("the feed or the ETL ended: %v", err)
		case <-deadline:
			at, of := x.Position()
			t.Fatalf("frame %d of %d after a minute, exchange %+v, feed %+v, books %v", at, of, x.Counts(), counters.Stats(), r.books.state())
		case <-time.After(5 * time.Millisecond): // look again
		}
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if err := e.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.books.read()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r.feed, r.etl = counters.Stats(), e.Stats()
	return r
}

// feed receives until ctx is done.
func (c venueCase) feed(ctx context.Context, w *queue.Writer, counters *emit.Counters, x *exchangetest.Exchange) error {
	o := ws.Options{
		Symbols: c.symbols, Channels: c.channels, Depth: c.depth, URL: x.WebSocketURL(), RESTURL: x.RESTURL(),
		MinBackoff: 2 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, Quiet: c.quiet, Patience: c.patience,
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("CHRONICLE_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	f := ws.New(w, counters, emit.Options{Source: c.venue, Venue: c.venue, Repeat: true, Log: log}, o, time.Now)
	v, err := c.live(f.Emitter(), o)
	if err != nil {
		return err
	}
	return f.Run(ctx, v)
}

func TestLiveChecksums(t *testing.T) {
	for _, c := range []struct {
		venueCase
		want uint64
	}{{krakenCase, 4269}, {okxCase, 290}} {
		t.Run(c.venue, func(t *testing.T) {
			r := c.receive(t, exchangetest.Options{})
			if r.etl.ChecksumsGood != c.want || r.etl.ChecksumsBad != 0 {
				t.Errorf("%d checksums good, %d bad, want %d and 0", r.etl.ChecksumsGood, r.etl.ChecksumsBad, c.want)
			}
			if r.feed.Skipped != 0 || r.feed.Gaps != 0 || len(r.books.gaps) != 0 {
				t.Errorf("feed %+v, gaps %v", r.feed, r.books.gaps)
			}
			if n := r.books.prove(c.venueCase, r.x, 0); n < int(c.want) {
				t.Errorf("%d books were compared", n)
			}
		})
	}
}

// A Binance book is joined by one REST snapshot and then follows without a break.
func TestLiveBinance(t *testing.T) {
	for _, c := range []venueCase{usdmCase, spotCase} {
		t.Run(c.venue, func(t *testing.T) {
			r := c.receive(t, exchangetest.Options{Frames: 4000 * soak()})
			if n := r.x.Counts().Snapshots; r.feed.Skipped != 0 || r.feed.Gaps != 0 || len(r.books.gaps) != 0 || n > 1 {
				t.Errorf("feed %+v, gaps %v, %d snapshots", r.feed, r.books.gaps, n)
			}
			if n := r.books.prove(c, r.x, 0); n < 200 {
				t.Errorf("%d books were compared", n)
			}
		})
	}
}

// Whatever the exchange does, the feed lives, no wrong book is called good, each
// book gets good again, and what was unusable is counted.
func TestMisbehaviour(t *testing.T) {
	usdm := usdmCase
	usdm.channels = []string{ws.Book}
	for _, c := range []struct {
		venueCase
		frames, rare int
		hole         string // the cause of the gap that a missing frame makes
		unreadable   bool   // an unreadable frame is a gap
	}{
		{krakenCase, 800, 40, "checksum", true}, {okxCase, 392, 20, "checksum", true}, {usdm, 6000, 20, "chain", false},
	} {
		run := func(name string, o exchangetest.Options, check func(t *testing.T, r *received)) {
			t.Run(c.venue+"/"+name, func(t *testing.T) {
				t.Parallel()
				v := c.venueCase
				v.patience = time.Second // the recording's own snapshot may be what goes wrong
				o.Frames, o.Seed = c.frames, 2
				r := v.receive(t, o)
				if r.books.prove(v, r.x, min(o.ReorderEvery, 1)) == 0 {
					t.Error("no book was compared")
				}
				check(t, r)
				if t.Failed() {
					t.Logf("feed %+v\netl %+v\nexchange %+v\ngaps %v", r.feed, r.etl, r.x.Counts(), r.books.gaps)
				}
			})
		}
		interval := 100 * time.Microsecond // leaves a little time for a resync
		if c.channels != nil {
			interval = 0 // frames that nobody has subscribed do that
		}
		run("drop", exchangetest.Options{DropEvery: c.rare, Interval: interval}, func(t *testing.T, r *received) {
			if n := r.books.gapsOf(c.hole); n == 0 || n != r.books.gapsOf("") || n > r.x.Counts().Dropped {
				t.Errorf("%d gaps of %d frames that were dropped", n, r.x.Counts().Dropped)
			}
		})
		run("repeat", exchangetest.Options{RepeatEvery: c.rare, Interval: interval}, func(t *testing.T, r *received) {
			if r.books.gapsOf("") != 0 {
				t.Error("a frame that came twice is a gap")
			}
		})
		run("reorder", exchangetest.Options{ReorderEvery: c.rare / 10, Interval: interval}, func(t *testing.T, r *received) {
			if n := r.books.gapsOf(c.hole); n == 0 || n != r.books.gapsOf("") || n > 2*r.x.Counts().Reordered {
				t.Errorf("%d gaps of %d frames that came late", n, r.x.Counts().Reordered)
			}
		})
		run("garbage", exchangetest.Options{GarbageEvery: c.rare, Interval: interval}, func(t *testing.T, r *received) {
			if n := r.x.Counts().Garbage; r.feed.SkippedBy["bad_json"] != uint64(n) || (r.books.gapsOf("source") > 0) != c.unreadable {
				t.Errorf("%d frames of garbage were sent", n)
			}
		})
		run("huge", exchangetest.Options{HugeFrameAt: c.frames / 2}, func(t *testing.T, r *received) {
			if r.books.gapsOf("") != 0 || r.x.Counts().Huge != 1 || r.feed.Skipped != 1 {
				t.Error("a large frame must be taken and be counted as unknown")
			}
		})
	}
}

// Each outage is a gap of every book, once, and one snapshot makes it good again.
func TestDisconnects(t *testing.T) {
	for _, c := range []struct {
		venueCase
		first, every int
	}{{krakenCase, 100, 120}, {okxCase, 60, 30}, {usdmCase, 1000, 300}} {
		t.Run(c.venue, func(t *testing.T) {
			const outages = 10
			o := exchangetest.Options{Outage: 3, Frames: c.first + (outages+1)*c.every}
			for i := range outages {
				o.DisconnectAfter = append(o.DisconnectAfter, c.first+i*c.every)
			}
			c.outages(t, o, outages)
		})
	}
}

// A connection that falls silent is made anew.
func TestStalls(t *testing.T) {
	for _, c := range []struct {
		venueCase
		frames int
	}{{krakenCase, 300}, {okxCase, 392}, {usdmCase, 2000}} {
		t.Run(c.venue, func(t *testing.T) {
			t.Parallel()
			c.quiet = time.Second
			c.outages(t, exchangetest.Options{StallAfter: []int{c.frames / 2}, Frames: c.frames}, 1)
		})
	}
}

// outages receives from an exchange that interrupts so often.
func (c venueCase) outages(t *testing.T, o exchangetest.Options, n int) {
	t.Helper()
	r := c.receive(t, o)
	if r.books.prove(c, r.x, 0) == 0 {
		t.Error("no book was compared")
	}
	counts := r.x.Counts()
	for _, s := range r.books.streams {
		if got := r.books.gaps[s.def.Symbol+" disconnect"]; got != n {
			t.Errorf("%s: %d gaps, want %d", s.def.Symbol, got, n)
		}
	}
	if all := n * len(c.symbols); r.books.gapsOf("") != all || counts.Connections != n+1 || counts.Snapshots > all+1 {
		t.Errorf("%d gaps, want %d; exchange %+v", r.books.gapsOf(""), all, counts)
	}
}
