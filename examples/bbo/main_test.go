package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/market"
	"chronicle/store/queue"
)

// watch is a writer that tells when a text has been written.
type watch struct {
	bytes.Buffer
	text string
	seen chan struct{}
}

func (s *watch) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if s.text != "" && strings.Contains(s.Buffer.String(), s.text) {
		s.text = ""
		close(s.seen)
	}
	return n, err
}

// TestFollows: the example knows the book from what was there, follows what
// comes, and ends with a histogram of it.
func TestFollows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "raw_main.q")
	w, err := queue.OpenWriter(dir, queue.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	e := emit.New(w, &emit.Counters{}, emit.Options{Venue: "sim", Repeat: true})
	now := time.Now().UnixNano()
	id := e.Define(now, now, market.Definition{Symbol: "aapl", BookType: market.L3, PriceExponent: -2, Channel: "itch"})
	e.Session(now, market.Session{Event: market.SessionNew, Channel: "itch"})
	add := func(order uint64, side market.Side, price int64) {
		now := time.Now().UnixNano()
		e.Book(market.KindBook, id, now, now, &market.BookEvent{Seq: order, Flags: market.FlagLast, Entries: []market.Entry{
			{OrderID: order, Side: side, Price: price, Size: 100, Action: market.Add},
		}})
	}
	add(1, market.Bid, 1000)
	add(2, market.Ask, 1002)
	out := &watch{text: "caught up", seen: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- run(t.Context(), options{queue: dir, symbol: "sim:aapl", changes: 2}, out) }()
	<-out.seen
	add(3, market.Bid, 999) // behind the best: no change
	add(4, market.Bid, 1001)
	add(5, market.Ask, 1002) // more at the best
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"sim:aapl  bid 100 @ 10  ask 100 @ 10.02\n",
		"sim:aapl  bid 100 @ 10.01  ask 100 @ 10.02\n",
		"sim:aapl  bid 100 @ 10.01  ask 200 @ 10.02\n",
		"2 changes of the best bid or offer; capture to book, of 3 messages",
		"99.99 %",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "trusted") {
		t.Errorf("a good book is not trusted:\n%s", out.String())
	}
}

func TestErrorsNameTheFlag(t *testing.T) {
	for flag, o := range map[string]options{
		"--symbol": {symbol: "aapl"},
		"--queue":  {symbol: "sim:aapl", queue: filepath.Join(t.TempDir(), "none")},
	} {
		if err := run(t.Context(), o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%+v: error %v, want one that names %s", o, err, flag)
		}
	}
}
