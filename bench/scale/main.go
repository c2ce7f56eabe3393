// Command scale puts very many order books on one ETL and takes it over midnight,
// when all streams are cut and sealed: it says how much memory, how many mappings,
// descriptors and files that takes, how long checkpoints and the longest standstills
// are, and has fsck check everything in the end. It fails if fsck finds anything, or if
// the memory goes beyond --most.
//
//	go run ./bench/scale                      10,000 symbols, 5 million live orders
//	go run ./bench/scale --symbols 500 --orders 50000 --records 200000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"chronicle/bench/flow"
	"chronicle/bench/proc"
	"chronicle/ingest/etl"
	"chronicle/store/fsck"
	"chronicle/store/queue"
)

type settings struct {
	dir     string
	symbols int
	orders  int
	records int
	rate    int
	every   uint64
	most    int64
	deep    bool
}

func main() {
	var t task
	if child, err := proc.Task(&t); child {
		exit(errors.Join(err, t.run()))
		return
	}
	var s settings
	flag.StringVar(&s.dir, "dir", "", "directory for the data, removed at the end (default: a temporary one)")
	flag.IntVar(&s.symbols, "symbols", 10_000, "symbols; each has a book, a trade and a status stream")
	flag.IntVar(&s.orders, "orders", 5_000_000, "live orders, all symbols together")
	flag.IntVar(&s.records, "records", 10_000_000, "records after those that build the books; midnight is in the middle")
	flag.IntVar(&s.rate, "rate", 200_000, "records a second by the day's own clock")
	flag.Uint64Var(&s.every, "checkpoint-every", 2_000_000, "raw records between two checkpoints")
	flag.Int64Var(&s.most, "most", 4<<30, "bytes of memory, own and shared, that are allowed")
	flag.BoolVar(&s.deep, "deep", false, "fsck decodes every record and proves the books")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(s.run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func (s *settings) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(s.dir, "chronicle-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := task{Root: dir, Every: s.every}
	if err := s.write(ctx, &t); err != nil {
		return err
	}
	fmt.Printf("%d symbols, %d live orders: %d raw records, midnight after %d\n", s.symbols, s.orders, t.Last, t.Midnight-1)
	p, err := proc.Start(ctx, t)
	if err != nil {
		return err
	}
	use, err := watch(p)
	if err == nil {
		err = s.print(p, use)
	}
	if err != nil {
		return errors.Join(err, p.Kill())
	}
	if err := s.check(ctx, dir); err != nil {
		return err
	}
	if all := use.Own + use.Shared; all > s.most {
		return fmt.Errorf("%d MiB of memory, %d are allowed", all>>20, s.most>>20)
	}
	return nil
}

// write makes the raw queue, with 0:00 UTC in the middle of the records that follow the opening.
func (s *settings) write(ctx context.Context, t *task) error {
	w, err := queue.OpenWriter(t.raw(), queue.Options{SegmentBytes: 256 << 20, NoSync: true})
	if err != nil {
		return err
	}
	f := flow.NewL3(s.symbols, s.orders, 1)
	const midnight = int64(1_700_006_400) * int64(time.Second)
	step := int64(time.Second) / int64(s.rate)
	fw := flow.Writer{Queue: w, Now: midnight - int64(f.Opening()+s.records/2+1)*step, Step: step}
	err = fw.Begin(f)
	t.Opened = w.NextSeq() + uint64(f.Opening())
	t.Midnight = t.Opened + uint64(s.records/2)
	const some = 1 << 16
	for left := f.Opening() + s.records; left > 0 && err == nil && ctx.Err() == nil; left -= some {
		err = fw.Append(f, min(left, some))
	}
	t.Last = w.NextSeq() - 1
	return errors.Join(err, ctx.Err(), w.Close())
}

// watch looks at the process until it tells what it saw, and gives the most it used.
func watch(p *proc.Process) (most proc.Usage, err error) {
	heard := make(chan error, 1)
	go func() { heard <- p.Hear(new(bool)) }()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case err := <-heard:
			return most, err
		case <-tick.C:
			if now, err := p.Look(); err == nil { // it has ended: Hear says why
				most.Max(now)
			}
		}
	}
}

func (s *settings) print(p *proc.Process, use proc.Usage) error {
	var r report
	if err := errors.Join(p.Hear(&r), p.Release()); err != nil {
		return err
	}
	fmt.Println("\n| what | measured |\n|---|---|")
	row := func(what, format string, args ...any) {
		fmt.Printf("| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("most resident memory, own and shared", "%d MiB (own %d MiB, shared %d MiB at most)", use.Peak>>20, use.Own>>20, use.Shared>>20)
	row("most memory mappings, descriptors", "%d, %d", use.Mappings, use.Files)
	row("files below the root in the end", "%d", r.Files)
	row("queues, most of them open at a time, opened again", "%d, %d, %d", r.Queues, r.Open, r.Reopened)
	row("checkpoints, the longest", "%d, %v", r.Checkpoints, r.Checkpoint.Round(time.Millisecond))
	for _, period := range r.Periods {
		if period.Records == 0 {
			continue
		}
		row(period.Name, "%d records, %.2f M/s, longest standstill %v, without checkpoints %v", period.Records,
			float64(period.Records)/period.Took.Seconds()/1e6, period.Stall.Round(10*time.Microsecond), period.Quiet.Round(10*time.Microsecond))
	}
	row("end: last checkpoint, everything cut sealed, closed", "%v", r.Close.Round(time.Millisecond))
	return nil
}

// check has fsck look at everything.
func (s *settings) check(ctx context.Context, root string) error {
	report, err := fsck.Check(ctx, fsck.Options{Root: root, Deep: s.deep})
	if err != nil {
		return err
	}
	fmt.Printf("\nfsck: %+v, %d findings\n", report.Checked, len(report.Findings))
	for _, f := range report.Findings[:min(len(report.Findings), 10)] {
		fmt.Printf("  %+v\n", f)
	}
	if !report.Clean() {
		return errors.New("fsck is not content")
	}
	return nil
}

// task is what the ETL's process does.
type task struct {
	Root                   string
	Every                  uint64
	Opened, Midnight, Last uint64 // raw records: the first after the opening, the first of the next day, the last
}

func (t *task) raw() string { return filepath.Join(t.Root, "queues", "raw_main.q") }

func (t *task) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	e, err := etl.Open(ctx, etl.Config{
		RawDir: t.raw(), CleanDir: filepath.Join(t.Root, "queues", "clean"), StateDir: filepath.Join(t.Root, "queues", "etl"),
		CheckpointEvery: t.Every,
	})
	if err != nil {
		return err
	}
	o := newObserver(t)
	done := make(chan struct{})
	go o.observe(e, done)
	err = e.CatchUp(ctx)
	<-done
	if err == nil {
		err = proc.Tell(true)
	}
	r := o.report()
	r.stats(e.Stats())
	start := time.Now()
	err = errors.Join(err, e.Close())
	r.Close = time.Since(start)
	if err == nil {
		r.Files, err = filesBelow(t.Root)
	}
	return errors.Join(err, proc.Tell(r))
}

func filesBelow(root string) (n int, err error) {
	err = filepath.WalkDir(root, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	return n, err
}
