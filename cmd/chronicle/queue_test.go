package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronicle/market"
	"chronicle/store/queue"
)

// rawRoot makes a root whose raw queue holds two sealed segments of old trades and
// a live one, with a consumer that has passed the first.
func rawRoot(t *testing.T) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	dir = filepath.Join(root, "queues", "raw_main.q")
	w, err := queue.OpenWriter(dir, queue.Options{ManualRoll: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, market.TradeSize)
	(&market.Trade{Side: market.Bid}).Put(body)
	for i := range 30 {
		if i%10 == 0 && i > 0 {
			if err := w.Roll(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Append(queue.Record{Time: int64(i+1) * int64(time.Second), Kind: uint16(market.KindTrade), Tag: 1, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := queue.RegisterConsumer(dir, "etl")
	if err != nil {
		t.Fatal(err)
	}
	c.Passed(12)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return root, dir
}

func TestQueueConsumers(t *testing.T) {
	_, dir := rawRoot(t)
	if code, out, errs := command(t, "queue", "consumers", "--json", dir); code != 0 || !strings.HasPrefix(out, `{"name":"etl","next":13,"behind":18,`) {
		t.Errorf("consumers: %d, %s%s", code, out, errs)
	}
	if code, out, errs := command(t, "queue", "stat", dir); code != 0 || !strings.Contains(out, "consumer etl needs record 13 and what follows (18 behind") {
		t.Errorf("stat: %d, %s%s", code, out, errs)
	}
	if code, out, errs := command(t, "queue", "consumers", "--remove", "etl", dir); code != 0 || out != "" {
		t.Errorf("remove: %d, %s%s", code, out, errs)
	}
	if code, _, errs := command(t, "queue", "consumers", "--remove", "etl", dir); code != 1 || !strings.Contains(errs, "etl") {
		t.Errorf("remove again: %d, %s", code, errs)
	}
}

func TestQueueTailRefusesTwoStarts(t *testing.T) {
	_, dir := rawRoot(t)
	if code, _, errs := command(t, "queue", "tail", "--from", "3", "--since", "5", dir); code != 2 || !strings.Contains(errs, "--since") {
		t.Errorf("%d, %s", code, errs)
	}
}

// TestRetention: the feed's retention removes what is old and passed, and waits
// for consumers that it expects.
func TestRetention(t *testing.T) {
	root, dir := rawRoot(t)
	cfg := &Config{Root: root, LogLevel: "error"}
	cfg.Feed.RetainAge, cfg.Feed.Consumers = time.Second, []string{"etl", "strategy"}
	segments := func() int {
		t.Helper()
		files, err := queue.ListSegments(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	cfg.keeper(cfg.logger()).Look()
	if n := segments(); n != 3 {
		t.Errorf("%d segments are left although a consumer has never been there, want 3", n)
	}
	cfg.Feed.Consumers = []string{"etl"}
	cfg.keeper(cfg.logger()).Look()
	if n := segments(); n != 2 {
		t.Errorf("%d segments are left, want 2: the ETL needs the second", n)
	}
}

func TestFeedRefusesWhatItCannotReceive(t *testing.T) {
	for args, want := range map[string]string{
		"--source morse":    "one of",
		"--source itch":     "--line-a is needed",
		"--source iex-deep": "--line-a is needed",
		"--source kraken":   "--symbols is needed",
		"--source itch --line-a 127.0.0.1:1 --symbols x": "--symbols",
		"--source okx --symbols x --line-a 127.0.0.1:1":  "--line-a",
	} {
		code, _, errs := command(t, append([]string{"feed", "--root", t.TempDir()}, strings.Fields(args)...)...)
		if code != 2 || !strings.Contains(errs, want) {
			t.Errorf("feed %s: status %d, %s: want 2 and %q", args, code, errs, want)
		}
	}
}
