package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chronicle/ingest/feed"
	"chronicle/ingest/feed/keep"
	"chronicle/store/queue"
)

// freeAddress gives an address that nobody listens on.
func freeAddress(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// begin runs a command line until the test ends, or stop is called.
func begin(t *testing.T, out io.Writer, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var errs strings.Builder
	ended := make(chan int, 1)
	go func() { ended <- Main(ctx, args, out, &errs) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("%v: status %d, %s", args, code, errs.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

// fetch gets a page; empty while nobody answers.
func fetch(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// until polls a page until it matches all patterns.
func until(t *testing.T, url string, patterns ...string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		text, missing := fetch(url), ""
		for _, p := range patterns {
			if !regexp.MustCompile(`(?m)` + p).MatchString(text) {
				missing = p
			}
		}
		switch {
		case missing == "":
			return text
		case time.Now().After(deadline):
			t.Fatalf("%s: no %s in\n%s", url, missing, text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The zones run side by side on one root: each shows its metrics, and queue stat
// shows how far the shards have come.
func TestZonesShowWhatTheyDo(t *testing.T) {
	root := t.TempDir()
	settings := settingsFile(t, `etl: {shards: [{name: a, symbols: ["a*", "_all"]}, {name: b, symbols: ["[^a_]*"]}]}`)
	line, feedAt, etlAt, tierAt := freeAddress(t, "udp"), freeAddress(t, "tcp"), freeAddress(t, "tcp"), freeAddress(t, "tcp")
	common := []string{"--root", root, "--config", settings, "--log-level", "error"}
	begin(t, io.Discard, append(common, "feed", "--source", "itch", "--line-a", line, "--metrics", feedAt)...)
	until(t, "http://"+feedAt+"/healthz", `"status":"ok"`)
	stop := begin(t, io.Discard, append(common, "etl", "--metrics", etlAt)...)
	begin(t, io.Discard, append(common, "tier", "--metrics", tierAt)...)
	if code, _, errs := command(t, "sim", "--to", line, "--messages", "2000", "--sim-rate", "20000", "--sim-seed", "1", "--linger", "0s"); code != 0 {
		t.Fatalf("status %d, %s", code, errs)
	}
	text := until(t, "http://"+feedAt+"/metrics", `^chronicle_feed_messages_total 2000$`, `^chronicle_feed_line_packets_total\{line="A `+line+`"\} [1-9]`,
		`^chronicle_feed_raw_free_bytes [1-9]`, `^chronicle_feed_raw_alarm\{reason="free_space"\} 0`)
	records := regexp.MustCompile(`(?m)^chronicle_feed_records_total (\d+)$`).FindStringSubmatch(text)[1]
	for _, shard := range []string{"a", "b"} {
		until(t, "http://"+etlAt+"/metrics", `^chronicle_etl_raw_sequence\{shard="`+shard+`"\} `+records+"$", `^chronicle_etl_lag_records\{shard="`+shard+`"\} 0$`,
			`^chronicle_etl_clean_records_total\{how="written",shard="`+shard+`"\} [1-9]`, `^chronicle_etl_oldest_unprocessed_seconds\{shard="`+shard+`"\} 0$`)
	}
	until(t, "http://"+tierAt+"/metrics", `^chronicle_tier_last_run_timestamp_seconds [1-9]`)
	until(t, "http://"+tierAt+"/healthz", `"status":"ok"`)
	dir := (&Config{Root: root}).rawDir()
	code, out, errs := command(t, "queue", "stat", "--json", dir)
	if code != 0 || !regexp.MustCompile(`"name":"etl-a",.*"seen":`+records+`,"seen_time":"2.*","lag_records":0,"lag_seconds":0,"updated":"2`).MatchString(out) ||
		!strings.Contains(out, `"name":"etl-b"`) || !strings.Contains(out, `"alarm_below_bytes":`) {
		t.Errorf("queue stat: %d, %s%s", code, out, errs)
	}
	stop()
	begin(t, io.Discard, append(common, "etl", "--metrics", etlAt)...) // an auditor looks at what is there first
	until(t, "http://"+etlAt+"/metrics", `^chronicle_etl_audit_streams\{shard="a"\} 2$`, `^chronicle_etl_audit_streams\{shard="b"\} 3$`,
		`^chronicle_etl_audit_mismatches_total\{shard="a"\} 0$`, `^chronicle_etl_clean_records_total\{how="written",shard="a"\} 0$`)
}

// Every metric is in docs/metrics.md, with its type, and nothing else is.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, made []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(chronicle_(?:feed|etl|tier)_[a-z_]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		listed = append(listed, row[1])
	}
	m := &monitor{reg: prometheus.NewRegistry()}
	m.feed(new(feed.Counters), keep.New(keep.Options{}))
	m.tier(new(tierCounts))
	descs := make(chan *prometheus.Desc, 1000)
	m.reg.Describe(descs)
	close(descs)
	for d := range descs {
		made = append(made, regexp.MustCompile(`fqName: "([^"]*)"`).FindStringSubmatch(d.String())[1])
	}
	for _, metric := range etlMetrics {
		made = append(made, metric.Name)
		if metric.Help == "" {
			t.Errorf("%s has no help", metric.Name)
		}
	}
	for _, metric := range auditMetrics {
		made = append(made, metric.Name)
	}
	slices.Sort(listed)
	slices.Sort(made)
	if !slices.Equal(listed, made) {
		t.Errorf("docs/metrics.md lists\n%v\nthere are\n%v", listed, made)
	}
}

// lines passes on what is written, line by line.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestQueueStatWatches(t *testing.T) {
	cfg := marketRoot(t, "btc_usd")
	got := make(lines, 100)
	stop := begin(t, got, "queue", "stat", "--watch=20ms", "--json", cfg.rawDir())
	var p pulse
	if err := json.Unmarshal([]byte(<-got), &p); err != nil || p.Seq != 12 || p.Appended != 0 || len(p.Consumers) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if code, _, errs := command(t, "etl", "--once", "--root", cfg.Root); code != 0 {
		t.Fatal(errs)
	}
	for len(p.Consumers) == 0 {
		if err := json.Unmarshal([]byte(<-got), &p); err != nil {
			t.Fatal(err)
		}
	}
	if c := p.Consumers[0]; c.Name != "etl" || c.Next == 0 {
		t.Errorf("%+v", c)
	}
	stop()
	if code, _, errs := command(t, "queue", "stat", "--watch=-1s", cfg.rawDir()); code != 2 || !strings.Contains(errs, "--watch") {
		t.Errorf("status %d, %s", code, errs)
	}
}

func TestPulse(t *testing.T) {
	_, dir := rawRoot(t)
	at := time.Unix(100, 0)
	first, err := takePulse(dir, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	first.Seq, first.Consumers[0].Seen = 10, 2
	second, err := takePulse(dir, first, at.Add(2*time.Second))
	if err != nil || second.Appended != 10 || second.Consumers[0].Processed != 5 {
		t.Errorf("%+v, %v: want 10 and 5 a second", second, err)
	}
	var out strings.Builder
	if err := second.print(&out, false); err != nil || out.String() != "00:01:42  newest 30, appended 10/s; etl 5/s, behind by 18 records, 0.000 s\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// A feed whose disk has less room than it should says so everywhere, and goes on.
func TestAlarmIsShown(t *testing.T) {
	root, line, at := t.TempDir(), freeAddress(t, "udp"), freeAddress(t, "tcp")
	settings := settingsFile(t, "feed: {alarm_free_bytes: 4611686018427387904, retain_bytes: 1}")
	common := []string{"--root", root, "--config", settings, "--log-level", "error"}
	begin(t, io.Discard, append(common, "feed", "--source", "itch", "--line-a", line, "--metrics", at)...)
	until(t, "http://"+at+"/healthz", `"status":"alarm".*"reason":"free_space","since":"2.*bytes are free, the alarm begins below 4611686018427387904`)
	until(t, "http://"+at+"/metrics", `^chronicle_feed_raw_alarm\{reason="free_space"\} 1$`, `^chronicle_feed_raw_alarm\{reason="consumer_behind"\} 0$`)
	if code, _, errs := command(t, "sim", "--to", line, "--messages", "100", "--sim-rate", "0", "--linger", "0s"); code != 0 {
		t.Fatal(errs)
	}
	until(t, "http://"+at+"/metrics", `^chronicle_feed_messages_total 100$`)
	code, out, errs := command(t, append(common, "queue", "stat", "--json", (&Config{Root: root}).rawDir())...)
	if code != 0 || !strings.Contains(out, `"alarms":["free_space"]`) {
		t.Errorf("queue stat: %d, %s%s", code, out, errs)
	}
}

// queue stat knows who holds a raw queue that is too large, feed or no feed.
func TestQueueStatTellsWhoHolds(t *testing.T) {
	_, dir := rawRoot(t)
	settings := settingsFile(t, "feed: {alarm_free_bytes: 1, retain_bytes: 1}")
	stat := func() string {
		code, out, errs := command(t, "queue", "stat", "--config", settings, dir)
		if code != 0 {
			t.Fatal(errs)
		}
		return out
	}
	if out := stat(); strings.Contains(out, "ALARM") { // the ETL has passed the first segment
		t.Error(out)
	}
	c, err := queue.RegisterConsumer(dir, "slow")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out := stat(); !strings.Contains(out, "ALARM     consumer_behind: the raw queue has") || !strings.Contains(out, "passed it: slow\n") {
		t.Error(out)
	}
}
