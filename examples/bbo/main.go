// Command bbo follows one symbol's best bid and offer on the raw queue, as a
// strategy process would, and prints how long each change took to reach it.
//
//	chronicle run &
//	go run ./examples/bbo --symbol sim:aapl
//
// It reads the tape from the beginning, to know the book, and then waits for what
// comes. A change of the best bid or offer is printed when it is read live. At
// the end (Ctrl-C, or --changes) it prints the distribution of the time from a
// message's capture to the moment when the book holds it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/tape"
)

type options struct {
	queue   string
	symbol  string
	spin    bool
	quiet   bool
	changes uint64
}

func main() {
	var o options
	flag.StringVar(&o.queue, "queue", filepath.Join("chronicle-data", "queues", "raw_main.q"), "the raw queue's directory")
	flag.StringVar(&o.symbol, "symbol", "sim:aapl", "venue:symbol to follow")
	flag.BoolVar(&o.spin, "spin", false, "never sleep: lowest latency, one core busy")
	flag.BoolVar(&o.quiet, "quiet", false, "print the histogram only")
	flag.Uint64Var(&o.changes, "changes", 0, "end after so many live changes (default: Ctrl-C)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bbo:", err)
		os.Exit(1)
	}
}

// watcher is a strategy: it knows the book and reacts to its best prices.
type watcher struct {
	follower *tape.Follower
	out      io.Writer
	quiet    bool

	bid, ask book.Level
	good     bool
	changes  uint64
	latency  *hdrhistogram.Histogram // ns
}

// run follows the symbol until ctx is done.
func run(ctx context.Context, o options, out io.Writer) error {
	symbol, err := market.ParseSymbolID(o.symbol)
	if err != nil {
		return fmt.Errorf("--symbol: %w", err)
	}
	w := &watcher{
		follower: tape.NewFollower(symbol), out: out, quiet: o.quiet,
		latency: hdrhistogram.New(1, int64(time.Minute), 3),
	}
	wait := queue.TailerOptions{Busy: o.spin}
	t, err := tape.Open(o.queue, tape.Oldest(), tape.Options{Want: w.follower.Wants, Wait: wait})
	if err != nil {
		return fmt.Errorf("%w (is --queue right, and has a feed been started?)", err)
	}
	defer t.Close()
	if err := w.catchUp(ctx, t); err != nil {
		return err
	}
	fmt.Fprintf(out, "caught up at record %d; %s\n", t.NextSeq()-1, w.top())
	for m, err := range t.Messages(ctx) {
		if err != nil {
			return explain(err)
		}
		w.live(m)
		if o.changes > 0 && w.changes >= o.changes {
			break
		}
	}
	w.report()
	return nil
}

// catchUp reads what is there, to know the book.
func (w *watcher) catchUp(ctx context.Context, t *tape.Reader) error {
	for ctx.Err() == nil {
		m, err := t.Next()
		if err != nil {
			return explain(err)
		}
		if m == nil {
			break
		}
		w.follower.Apply(m)
	}
	w.look()
	return ctx.Err()
}

// live takes one message as it comes.
func (w *watcher) live(m *tape.Message) {
	changed := w.follower.Apply(m)
	if changed {
		_ = w.latency.RecordValue(max(time.Now().UnixNano()-m.TsRecv, 1)) // beyond a minute it is no latency
	}
	if !w.look() {
		return
	}
	w.changes++
	if !w.quiet {
		fmt.Fprintln(w.out, time.Unix(0, m.TsRecv).UTC().Format("15:04:05.000000000"), w.top())
	}
}

// look takes the best prices from the book and tells whether they are others.
func (w *watcher) look() bool {
	bid, _ := w.follower.Book().Best(market.Bid)
	ask, _ := w.follower.Book().Best(market.Ask)
	good := w.follower.Good()
	if bid == w.bid && ask == w.ask && good == w.good {
		return false
	}
	w.bid, w.ask, w.good = bid, ask, good
	return true
}

// top writes the best bid and offer.
func (w *watcher) top() string {
	d := w.follower.Definition()
	if d == nil {
		return "the symbol has not been seen yet"
	}
	state := ""
	if !w.good {
		state = "  (not to be trusted: a gap, or no snapshot yet)"
	}
	text := func(l book.Level) string {
		if l.Size == 0 {
			return "-"
		}
		return market.FormatFixed(l.Size, d.SizeExponent) + " @ " + market.FormatFixed(l.Price, d.PriceExponent)
	}
	return fmt.Sprintf("%s  bid %s  ask %s%s", d.SymbolID(), text(w.bid), text(w.ask), state)
}

// report prints the latency histogram.
func (w *watcher) report() {
	h := w.latency
	fmt.Fprintf(w.out, "\n%d changes of the best bid or offer; capture to book, of %d messages:\n", w.changes, h.TotalCount())
	for _, q := range []float64{50, 90, 99, 99.9, 99.99, 100} {
		fmt.Fprintf(w.out, "  %6.2f %%  %12v\n", q, time.Duration(h.ValueAtQuantile(q)))
	}
}

// explain adds what to do about an error.
func explain(err error) error {
	if oldest, ok := tape.Overtaken(err); ok {
		return fmt.Errorf("%w: retention has passed this reader; it could go on with tape.Sequence(%d)", err, oldest)
	}
	if errors.Is(err, market.ErrCorrupt) {
		return fmt.Errorf("%w: is the feed of a newer version?", err)
	}
	return err
}
