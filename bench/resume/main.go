// Command resume measures what a crash late in a busy day costs the ETL: it makes a
// raw queue, lets an ETL, a process of its own, work on it, kills that with SIGKILL
// when most of the day is done and a checkpoint is about due, which is when it costs
// most, starts another, and says how long that takes to be where the first one was, with
// how much memory, how large the checkpoint is and how many records it made again.
//
//	go run ./bench/resume --records 100000000
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

	"golang.org/x/sys/unix"

	"chronicle/bench/flow"
	"chronicle/bench/proc"
	"chronicle/ingest/etl"
	"chronicle/store/queue"
)

type settings struct {
	dir     string
	records int
	symbols int
	orders  int
	rate    int
	late    float64
	every   uint64
}

func main() {
	var t task
	if child, err := proc.Task(&t); child {
		exit(errors.Join(err, t.run()))
		return
	}
	var s settings
	flag.StringVar(&s.dir, "dir", "", "directory for the data, removed at the end (default: a temporary one)")
	flag.IntVar(&s.records, "records", 100_000_000, "raw records of the day")
	flag.IntVar(&s.symbols, "symbols", 100, "symbols")
	flag.IntVar(&s.orders, "orders", 200_000, "live orders, all symbols together")
	flag.IntVar(&s.rate, "rate", 1250, "records a second by the day's own clock")
	flag.Float64Var(&s.late, "late", 0.95, "part of the day after which the ETL is killed")
	flag.Uint64Var(&s.every, "checkpoint-every", 2_000_000, "raw records between two checkpoints")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(s.run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "resume:", err)
		os.Exit(1)
	}
}

// Bytes that a record takes, and an order in a snapshot, of which each book has one a minute.
const (
	rawBytes      = 130
	cleanBytes    = 180
	snapshotEntry = 32
)

// needs gives the bytes that the data will take.
func (s *settings) needs() int64 {
	minutes := int64(s.records)/int64(s.rate)/60 + 1
	return int64(s.records)*(rawBytes+cleanBytes) + minutes*int64(s.orders)*snapshotEntry
}

func (s *settings) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(s.dir, "chronicle-resume-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return err
	}
	free := int64(disk.Bavail) * disk.Bsize
	fmt.Printf("%d records in %s: about %.1f GB of disk, %.1f GB are free\n", s.records, dir, float64(s.needs())/1e9, float64(free)/1e9)
	if s.needs() > free*9/10 {
		return fmt.Errorf("that does not fit: give fewer --records, or another --dir")
	}
	started := time.Now()
	last, err := s.write(ctx, filepath.Join(dir, "raw_main.q"))
	if err != nil {
		return err
	}
	fmt.Printf("raw queue of %d records written in %v\n", last, time.Since(started).Round(time.Second))
	t := task{Dir: dir, Every: s.every}
	if t.Killed, err = s.crash(ctx, t, last); err != nil {
		return err
	}
	return s.resume(ctx, t)
}

// write makes the raw queue and gives its last sequence.
func (s *settings) write(ctx context.Context, dir string) (uint64, error) {
	w, err := queue.OpenWriter(dir, queue.Options{SegmentBytes: 256 << 20, NoSync: true})
	if err != nil {
		return 0, err
	}
	const morning = int64(1_699_920_000+1800) * int64(time.Second) // 0:30 UTC
	f := flow.NewL3(s.symbols, s.orders, 1)
	fw := flow.Writer{Queue: w, Now: morning, Step: int64(time.Second) / int64(s.rate)}
	err = fw.Begin(f)
	const some = 1 << 16
	for left := s.records; left > 0 && err == nil && ctx.Err() == nil; left -= some {
		err = fw.Append(f, min(left, some))
	}
	return w.NextSeq() - 1, errors.Join(err, ctx.Err(), w.Close())
}

// crash starts an ETL and kills it late in the day; it gives the record at which
// that happened.
func (s *settings) crash(ctx context.Context, t task, last uint64) (uint64, error) {
	p, err := proc.Start(ctx, t)
	if err != nil {
		return 0, err
	}
	started, over := time.Now(), make(chan error, 1)
	go func() { over <- errors.Join(p.Hear(new(moment)), p.Hear(new(moment))) }() // open, and at the end
	late := uint64(float64(last) * s.late)
	for tick := time.NewTicker(time.Millisecond); ; {
		atEnd := false
		select {
		case <-ctx.Done():
			return 0, errors.Join(ctx.Err(), p.Kill())
		case err := <-over:
			if err != nil {
				return 0, errors.Join(err, p.Kill())
			}
			atEnd = true
		case <-tick.C:
		}
		at, _ := position(t.raw())
		if !atEnd && (at.Seen < late || at.Seen < last-last/100 && at.Seen+1-at.Next < t.Every*9/10) {
			continue
		}
		use, err := p.Look()
		if err = errors.Join(err, p.Kill()); err != nil {
			return 0, err
		}
		at, _ = position(t.raw())
		took := time.Since(started)
		fmt.Printf("killed at record %d after %v (%.2f M records/s), %d records after its latest checkpoint; peak memory %s, own %s\n", at.Seen,
			took.Round(time.Millisecond), float64(at.Seen)/took.Seconds()/1e6, at.Seen+1-at.Next, mib(use.Peak), mib(use.Own))
		return at.Seen, nil
	}
}

// position tells how far the ETL is; nowhere while it starts.
func position(raw string) (queue.ConsumerInfo, bool) {
	all, _ := queue.Consumers(raw) // none yet
	if len(all) == 0 {
		return queue.ConsumerInfo{}, false
	}
	return all[0], true
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// resume starts an ETL again and says what it took.
func (s *settings) resume(ctx context.Context, t task) error {
	size, err := bytesBelow(t.state())
	if err != nil {
		return err
	}
	started := time.Now()
	p, err := proc.Start(ctx, t)
	if err != nil {
		return err
	}
	fmt.Printf("state that it begins with: %.2f MB\n\n| after the start | time | peak memory | own memory | raw records processed | clean records made again |\n|---|---|---|---|---|---|\n", float64(size)/1e6)
	for range moments {
		var m moment
		if err := p.Hear(&m); err != nil {
			return errors.Join(err, p.Kill())
		}
		use, err := p.Look()
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %v | %s | %s | %d | %d |\n", m.What, time.Since(started).Round(time.Millisecond), mib(use.Peak), mib(use.Own), m.Records, m.Repeated)
	}
	return p.Release()
}

// bytesBelow gives the size of all files in a directory.
func bytesBelow(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// task is what the ETL's process does.
type task struct {
	Dir    string
	Every  uint64
	Killed uint64 // where its predecessor was killed; 0 for the first one
}

func (t *task) raw() string   { return filepath.Join(t.Dir, "raw_main.q") }
func (t *task) state() string { return filepath.Join(t.Dir, "etl") }

// moments are what a second ETL tells: when it is open, where its predecessor was, and at the end.
const moments = 3

type moment struct {
	What              string
	Records, Repeated uint64
}

func (t *task) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	e, err := etl.Open(ctx, etl.Config{RawDir: t.raw(), CleanDir: filepath.Join(t.Dir, "clean"), StateDir: t.state(), CheckpointEvery: t.Every})
	if err != nil {
		return err
	}
	tell := func(what string) error {
		s := e.Stats()
		return proc.Tell(moment{what, s.Records, s.Repeated})
	}
	err = tell("open")
	there := make(chan error, 1)
	if t.Killed > 0 {
		go func() {
			for e.Stats().RawSeq < t.Killed {
				time.Sleep(time.Millisecond)
			}
			there <- tell("caught up with its predecessor")
		}()
	}
	if err = errors.Join(err, e.CatchUp(ctx)); err != nil {
		return errors.Join(err, e.Close())
	}
	if t.Killed > 0 {
		err = <-there
	}
	if s := e.Stats(); s.UnknownOrders+s.BadEntries+s.Crossed+s.Gaps > 0 {
		err = errors.Join(err, fmt.Errorf("the books went wrong: %+v", s))
	}
	err = errors.Join(err, tell("caught up with the raw queue"))
	proc.AwaitRelease()
	return errors.Join(err, e.Close())
}
