// Command endurance runs the hot path for a long time as production would, each
// zone a process of its own, at a steady rate: the simulated exchange sends two
// lossy lines and answers re-requests, the feed appends, the ETL follows, raw
// retention removes what both are done with. It prints what it sees and fails if
// a message is lost, the ETL falls behind for good, or memory grows.
//
//	make build && go run ./bench/endurance --for 10m --rate 200000
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"chronicle/bench/proc"
	"chronicle/store/queue"
)

type settings struct {
	binary  string
	dir     string
	last    time.Duration
	rate    int
	symbols int
	loss    float64
	keep    int64
}

func main() {
	var s settings
	flag.StringVar(&s.binary, "chronicle", "bin/chronicle", "the program")
	flag.StringVar(&s.dir, "dir", "", "directory for the data, removed at the end (default: a temporary one)")
	flag.DurationVar(&s.last, "for", 10*time.Minute, "how long the market is open")
	flag.IntVar(&s.rate, "rate", 200_000, "messages a second")
	flag.IntVar(&s.symbols, "symbols", 100, "symbols")
	flag.Float64Var(&s.loss, "loss", 0.001, "packets that each line loses")
	flag.Int64Var(&s.keep, "retain-bytes", 1<<30, "size of the raw queue")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "endurance:", err)
		os.Exit(1)
	}
}

// run starts the zones, watches them while the market is open, and checks what
// is there in the end.
func (s *settings) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(s.dir, "chronicle-endurance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "root")
	feed, err := s.start(ctx, dir, "feed", "--json", "--root", root, "--source", "itch", "--line-a", "127.0.0.1:26877", "--line-b", "127.0.0.1:26878",
		"--recovery", "127.0.0.1:26879", "--retain-bytes", strconv.FormatInt(s.keep, 10))
	if err != nil {
		return err
	}
	defer feed.stop()
	etl, err := s.start(ctx, dir, "etl", "--json", "--root", root)
	if err != nil {
		return err
	}
	defer etl.stop()
	raw := filepath.Join(root, "queues", "raw_main.q")
	if err := await(ctx, func() bool { return bytes.Contains(feed.log(), []byte("feed receives")) }); err != nil {
		return fmt.Errorf("the feed did not start: %w\n%s", err, feed.log())
	}
	if err := await(ctx, func() bool { return len(registered(raw)) > 0 }); err != nil {
		return fmt.Errorf("the ETL did not start: %w\n%s", err, etl.log())
	}
	loss := strconv.FormatFloat(s.loss, 'g', -1, 64)
	market := exec.CommandContext(ctx, s.binary, "sim", "--json", "--line-a", "127.0.0.1:26877", "--line-b", "127.0.0.1:26878", "--loss-a", loss, "--loss-b", loss,
		"--recovery-listen", "127.0.0.1:26879", "--sim-symbols", strconv.Itoa(s.symbols), "--sim-rate", strconv.Itoa(s.rate),
		"--duration", s.last.String(), "--sim-seed", "1")
	var sent bytes.Buffer
	market.Stdout, market.Stderr = &sent, os.Stderr
	if err := market.Start(); err != nil {
		return err
	}
	over := make(chan error, 1)
	go func() { over <- market.Wait() }()
	seen, err := watch(ctx, raw, feed, etl, over)
	if err != nil {
		return err
	}
	return s.check(ctx, root, raw, sent.Bytes(), feed, etl, seen)
}

// sample is what is seen at one moment.
type sample struct {
	at              time.Duration
	records         uint64
	lag             uint64 // records that are not in a checkpoint of the ETL
	feedRSS, etlRSS int64  // bytes of its own, without shared mappings
	feedCPU, etlCPU time.Duration
	rawBytes        int64
}

const sampleEvery = 30 * time.Second

// watch prints a line now and then until the market closes.
func watch(ctx context.Context, raw string, feed, etl *process, over <-chan error) ([]sample, error) {
	fmt.Println("|    time |     records |  not yet in a checkpoint | feed MiB | feed cores | ETL MiB | ETL cores | raw queue MiB |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	var seen []sample
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	begin := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-over:
			return seen, err
		case <-tick.C:
			now, err := look(raw, feed, etl)
			if err != nil {
				return nil, err
			}
			now.at = time.Since(begin).Round(time.Second)
			var last sample
			if len(seen) > 0 {
				last = seen[len(seen)-1]
			}
			now.print(&last)
			seen = append(seen, now)
		}
	}
}

func look(raw string, feed, etl *process) (now sample, err error) {
	_, next, err := queue.Bounds(raw)
	if err != nil {
		return now, err
	}
	now.records = next - 1
	for _, c := range registered(raw) {
		now.lag = next - c.Next
	}
	files, err := queue.ListSegments(raw)
	if err != nil {
		return now, err
	}
	for _, f := range files {
		now.rawBytes += f.Size
	}
	f, err := feed.usage()
	if err != nil {
		return now, err
	}
	e, err := etl.usage()
	now.feedRSS, now.feedCPU, now.etlRSS, now.etlCPU = f.Own, f.CPU, e.Own, e.CPU
	return now, err
}

func (s *sample) print(last *sample) {
	took := float64(s.at - last.at)
	fmt.Printf("| %7v | %11d | %24d | %8d | %10.2f | %7d | %9.2f | %13d |\n", s.at, s.records, s.lag,
		s.feedRSS>>20, float64(s.feedCPU-last.feedCPU)/took, s.etlRSS>>20, float64(s.etlCPU-last.etlCPU)/took, s.rawBytes>>20)
}

// check compares what was sent with what is there.
func (s *settings) check(ctx context.Context, root, raw string, sent []byte, feed, etl *process, samples []sample) error {
	var market struct {
		Lines struct{ Messages uint64 }
	}
	if err := json.Unmarshal(lastLine(sent), &market); err != nil {
		return fmt.Errorf("summary of the market: %w in %s", err, sent)
	}
	if err := feed.stop(); err != nil {
		return err
	}
	_, next, err := queue.Bounds(raw)
	if err != nil {
		return err
	}
	seen := func() bool {
		return !slices.ContainsFunc(registered(raw), func(c queue.ConsumerInfo) bool { return c.Seen+1 < next })
	}
	if err := errors.Join(await(ctx, seen), etl.stop()); err != nil {
		return err
	}
	var got struct{ Messages, Records, Gaps, Skipped uint64 }
	if err := json.Unmarshal(lastLine(feed.log()), &got); err != nil {
		return fmt.Errorf("summary of the feed: %w in %s", err, feed.log())
	}
	fmt.Printf("\nsent %d messages; received %d, %d records, %d gaps, %d skipped\n", market.Lines.Messages, got.Messages, got.Records, got.Gaps, got.Skipped)
	if market.Lines.Messages == 0 || got.Messages != market.Lines.Messages || got.Gaps != 0 {
		return fmt.Errorf("messages are missing; the feed said:\n%s", feed.log())
	}
	for _, c := range registered(raw) {
		if c.Next < next {
			return fmt.Errorf("the ETL stopped at record %d of %d", c.Next, next)
		}
	}
	if n := len(samples); n >= 4 {
		early, late := samples[n/4], samples[n-1]
		fmt.Printf("own memory at %v and at %v: feed %d and %d MiB, ETL %d and %d MiB\n", early.at, late.at,
			early.feedRSS>>20, late.feedRSS>>20, early.etlRSS>>20, late.etlRSS>>20)
		const slack = 64 << 20
		if late.feedRSS > early.feedRSS+slack || late.etlRSS > early.etlRSS+early.etlRSS/2+slack {
			return errors.New("memory has grown")
		}
	}
	out, err := exec.CommandContext(ctx, s.binary, "fsck", "--root", root).CombinedOutput()
	fmt.Printf("fsck: %s", lastLine(out))
	fmt.Println()
	return err
}

func registered(raw string) []queue.ConsumerInfo {
	all, _ := queue.Consumers(raw) // none while the queue is being made
	return all
}

func await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for !ready() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func lastLine(b []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return lines[len(lines)-1]
}

// process is a zone.
type process struct {
	cmd  *exec.Cmd
	path string // of its log
	done bool
}

func (s *settings) start(ctx context.Context, dir string, args ...string) (*process, error) {
	p := &process{path: filepath.Join(dir, args[0]+".log")}
	f, err := os.Create(p.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p.cmd = exec.CommandContext(ctx, s.binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	return p, p.cmd.Start()
}

// stop ends the process as Ctrl-C does.
func (p *process) stop() error {
	if p.done {
		return nil
	}
	p.done = true
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.cmd.Args[1], err, p.log())
	}
	return nil
}

func (p *process) log() []byte {
	b, err := os.ReadFile(p.path)
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// usage gives what the process uses.
func (p *process) usage() (proc.Usage, error) {
	u, err := proc.Look(p.cmd.Process.Pid)
	if err != nil {
		err = fmt.Errorf("%s has ended: %w\n%s", p.cmd.Args[1], err, p.log())
	}
	return u, err
}
