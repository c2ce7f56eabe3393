package ws_test

import (
	"testing"
	"time"

	"chronicle/ingest/feed/bybit"
	"chronicle/ingest/feed/coinbase"
	"chronicle/ingest/feed/exchangetest"
	"chronicle/ingest/feed/ws"
)

// Venues whose messages are numbered: Coinbase those of a connection, Bybit those
// of a book.
var (
	coinbaseCase = venueCase{venue: "coinbase", path: "crypto/COINBASE.jsonl.zst", symbols: []string{"btc_usdc", "ETH-USD"}, proved: 20, live: coinbase.Live}
	bybitCase    = venueCase{venue: "bybit", path: "crypto/BYBIT.jsonl.zst", proved: 50, live: bybit.Live,
		symbols: []string{"btc_usdt", "bybit:eth_usdt", "btc_usdt_perp", "linear/ETHUSDT", "sol_usdt_perp", "doge_usdt_perp"}}
	ethCase    = venueCase{venue: "coinbase", path: "crypto/COINBASE.jsonl.zst", symbols: []string{"eth_usd"}, proved: 20, live: coinbase.Live, channels: []string{ws.Book, ws.Trades}}
	linearCase = venueCase{venue: "bybit", path: "crypto/BYBIT.jsonl.zst", proved: 50, live: bybit.Live, symbols: bybitCase.symbols[2:]}
)

// The books of those cases that do not have all of a recording, as the exchange
// names them.
var (
	ethBooks    = []string{"ETH-USD"}
	linearBooks = []string{"linear/BTCUSDT", "linear/ETHUSDT", "linear/SOLUSDT", "linear/DOGEUSDT"}
)

func TestLiveNumbered(t *testing.T) {
	for _, c := range []struct {
		venueCase
		connections, frames int
	}{{coinbaseCase, 1, 300 * soak()}, {bybitCase, 2, 0}} {
		t.Run(c.venue, func(t *testing.T) {
			r := c.receive(t, exchangetest.Options{Frames: c.frames})
			if n := r.x.Counts(); r.feed.Skipped != 0 || r.feed.Gaps != 0 || len(r.books.gaps) != 0 || n.Connections != c.connections || n.Snapshots != 0 {
				t.Errorf("feed %+v, gaps %v, exchange %+v", r.feed, r.books.gaps, n)
			}
			if n := r.books.prove(c.venueCase, r.x, 0); n < 200 {
				t.Errorf("%d books were compared", n)
			}
		})
	}
}

func TestMisbehaviourNumbered(t *testing.T) {
	for _, c := range []struct {
		venueCase
		frames, rare int
		hole         string // the cause of the gap that a missing frame makes
		unreadable   bool   // an unreadable frame is a gap
		books        []string
	}{{ethCase, 400, 30, "sequence", false, ethBooks}, {bybitCase, 1500, 40, "chain", true, nil}} {
		run := func(name string, o exchangetest.Options, check func(t *testing.T, r *received)) {
			t.Run(c.venue+"/"+name, func(t *testing.T) {
				t.Parallel()
				o.Frames, o.Symbols, o.Seed, o.Interval = c.frames, c.books, 2, 100*time.Microsecond
				r := c.receive(t, o)
				if r.books.prove(c.venueCase, r.x, min(o.ReorderEvery, 1)) == 0 {
					t.Error("no book was compared")
				}
				check(t, r)
				if t.Failed() {
					t.Logf("feed %+v\netl %+v\nexchange %+v\ngaps %v", r.feed, r.etl, r.x.Counts(), r.books.gaps)
				}
			})
		}
		run("drop", exchangetest.Options{DropEvery: c.rare}, func(t *testing.T, r *received) {
			if n := r.books.gapsOf(c.hole); n == 0 || n != r.books.gapsOf("") || n > r.x.Counts().Dropped {
				t.Errorf("%d gaps of %d frames that were dropped", n, r.x.Counts().Dropped)
			}
		})
		run("repeat", exchangetest.Options{RepeatEvery: c.rare}, func(t *testing.T, r *received) {
			if r.books.gapsOf("") != 0 || r.x.Counts().Repeated == 0 {
				t.Error("a frame that came twice is a gap")
			}
		})
		run("reorder", exchangetest.Options{ReorderEvery: c.rare / 4}, func(t *testing.T, r *received) {
			if n := r.books.gapsOf(c.hole); n == 0 || n != r.books.gapsOf("") {
				t.Errorf("%d gaps of %d frames that came late", n, r.x.Counts().Reordered)
			}
		})
		run("garbage", exchangetest.Options{GarbageEvery: c.rare}, func(t *testing.T, r *received) {
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

func TestOutagesNumbered(t *testing.T) {
	for _, c := range []struct {
		venueCase
		first, every int
		books        []string
		quiet        time.Duration // longer than the exchange takes for its largest snapshot
	}{{ethCase, 200, 80, ethBooks, 2 * time.Second}, {linearCase, 400, 150, linearBooks, time.Second}} {
		t.Run(c.venue, func(t *testing.T) {
			t.Parallel()
			const outages = 3
			o := exchangetest.Options{Outage: 3, Frames: c.first + (outages+1)*c.every, Symbols: c.books}
			for i := range outages {
				o.DisconnectAfter = append(o.DisconnectAfter, c.first+i*c.every)
			}
			c.outages(t, o, outages)
			c.venueCase.quiet = c.quiet
			c.outages(t, exchangetest.Options{StallAfter: []int{c.first}, Frames: 3 * c.first, Symbols: c.books}, 1)
		})
	}
}
