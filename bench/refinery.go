package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"chronicle/bench/flow"
	"chronicle/book"
	"chronicle/ingest/etl"
	"chronicle/market"
	"chronicle/store/queue"
)

// The refinery: raw records to clean ones, against reading and decoding alone and
// against the book machine alone. The books are built first, untimed; then each
// round appends records to the raw queue and puts all three over them, one after
// the other, so that noise of the machine meets all of them.

const (
	rounds       = 7
	flowRate     = 200_000 // records a second by the flow's own clock
	l3Round      = 400_000 // events of a round
	l2Round      = 60_000
	l2Levels     = 1_000
	refinerySeed = 11
)

// refineryL3 measures flow by order: one busy book, a venue's favourites, a whole venue.
func refineryL3(ctx context.Context, dir string) ([]row, error) {
	var rows []row
	for _, c := range []struct{ instruments, orders int }{{1, 20_000}, {100, 200_000}, {9_000, 2_000_000}} {
		name := fmt.Sprintf("L3, %d symbols, %s live orders", c.instruments, quantity(float64(c.orders)))
		r, err := refine(ctx, dir, name, "messages", l3Round, flow.NewL3(c.instruments, c.orders, refinerySeed))
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// refineryL2 measures depth updates.
func refineryL2(ctx context.Context, dir string) ([]row, error) {
	var rows []row
	for _, instruments := range []int{1, 100, 9_000} {
		name := fmt.Sprintf("L2, %d symbols, %d levels a side", instruments, l2Levels)
		r, err := refine(ctx, dir, name, "level updates", l2Round, flow.NewL2(instruments, l2Levels, refinerySeed))
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// course is one flow with everything that goes over it.
type course struct {
	flow   flow.Flow
	raw    flow.Writer
	rawDir string
	clean  string
	etl    *etl.ETL
	tail   *queue.Tailer // of reading and decoding alone
	alone  alone
	event  market.BookEvent
}

// refine runs a course and gives its rows. unit is what its books count.
func refine(ctx context.Context, dir, name, unit string, perRound int, f flow.Flow) (rows []row, err error) {
	dir, err = os.MkdirTemp(dir, "refinery-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c, err := newCourse(ctx, filepath.Join(dir, "queues"), dir, f)
	if err != nil {
		return nil, err
	}
	all := make([]round, rounds)
	for i := range all {
		if all[i], err = c.round(ctx, perRound); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	size, err := c.finish(ctx)
	if err != nil {
		return nil, err
	}
	return rowsOf(name, unit, all, size), nil
}

// newCourse makes the queues, the raw one below hot, lets the flow build its books, and catches up.
func newCourse(ctx context.Context, hot, dir string, f flow.Flow) (*course, error) {
	c := &course{flow: f, rawDir: filepath.Join(hot, "raw_main.q"), clean: filepath.Join(dir, "queues", "clean"), alone: newAlone(f)}
	w, err := queue.OpenWriter(c.rawDir, queue.Options{SegmentBytes: 256 << 20, NoSync: true})
	if err != nil {
		return nil, err
	}
	c.raw = flow.Writer{Queue: w, Now: flow.FirstMoment, Step: int64(time.Second) / flowRate}
	if err := errors.Join(c.raw.Begin(f), c.raw.Append(f, f.Opening())); err != nil {
		return nil, err
	}
	if c.tail, err = queue.OpenTailer(c.rawDir, 1); err != nil {
		return nil, err
	}
	if _, err := c.alone.load(c.tail); err != nil {
		return nil, err
	}
	if _, err := c.alone.apply(); err != nil {
		return nil, err
	}
	if c.etl, err = etl.Open(ctx, etl.Config{
		RawDir: c.rawDir, CleanDir: c.clean, StateDir: filepath.Join(dir, "queues", "etl"), CheckpointEvery: 1 << 62,
	}); err != nil {
		return nil, err
	}
	return c, c.etl.CatchUp(ctx)
}

// cost is what a piece of work took: by the clock, in processor time of its own
// thread, and in processor time of the process, with goroutines that work beside,
// such as those that seal segments.
type cost struct {
	wall, own, all time.Duration
	mallocs, heap  uint64
}

// measure runs f and gives its cost.
func measure(f func() error) (cost, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	own, all, start := processorTime(unix.CLOCK_THREAD_CPUTIME_ID), processorTime(unix.CLOCK_PROCESS_CPUTIME_ID), time.Now()
	err := f()
	c := cost{wall: time.Since(start), own: processorTime(unix.CLOCK_THREAD_CPUTIME_ID) - own, all: processorTime(unix.CLOCK_PROCESS_CPUTIME_ID) - all}
	runtime.ReadMemStats(&after)
	c.mallocs, c.heap = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return c, err
}

func processorTime(clock int32) time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(clock, &t) // fails for bad arguments only
	return time.Duration(t.Nano())
}

// round is what one round took.
type round struct {
	records, changes        int // changes: messages of an L3 book, levels of an L2 book
	decode, walk, book, etl cost
}

func (c *course) round(ctx context.Context, n int) (r round, err error) {
	r.records = n
	from := c.tail.NextSeq()
	if err = c.raw.Append(c.flow, n); err != nil {
		return r, err
	}
	if r.decode, err = measure(func() error { return c.decode() }); err != nil {
		return r, err
	}
	again, err := queue.OpenTailer(c.rawDir, from)
	if err != nil {
		return r, err
	}
	defer again.Close()
	if r.changes, err = c.alone.load(again); err != nil {
		return r, err
	}
	r.walk, _ = measure(func() error { c.alone.walk(); return nil })
	if r.book, err = measure(func() error { _, err := c.alone.apply(); return err }); err != nil {
		return r, err
	}
	before := c.etl.Stats().Records
	r.etl, err = measure(func() error { return c.etl.CatchUp(ctx) })
	if got := c.etl.Stats().Records - before; err == nil && got != uint64(n) {
		err = fmt.Errorf("the ETL took %d of %d records", got, n)
	}
	return r, err
}

// decode reads and decodes what the raw queue holds.
func (c *course) decode() error {
	for {
		r, ok, err := c.tail.Next()
		if !ok || err != nil {
			return err
		}
		if err := c.event.Decode(r.Body, market.Kind(r.Kind)); err != nil {
			return err
		}
	}
}

func (c *course) close() error {
	return errors.Join(c.etl.Close(), c.tail.Close(), c.raw.Queue.Close())
}

// sizes is what is on disk in the end, with everything sealed.
type sizes struct {
	rawBytes, cleanBytes     int64
	rawRecords, cleanRecords uint64
}

func (c *course) finish(ctx context.Context) (s sizes, err error) {
	if err = c.raw.Session(market.SessionSourceEnd); err != nil {
		return s, err
	}
	if err = c.etl.CatchUp(ctx); err != nil {
		return s, err
	}
	stats := c.etl.Stats()
	s.rawRecords, s.cleanRecords = stats.Records, stats.Written
	if stats.UnknownOrders+stats.BadEntries+stats.Stale+stats.Behind != 0 {
		return s, fmt.Errorf("the ETL did not accept the flow: %+v", stats)
	}
	if err = errors.Join(c.raw.Queue.Roll(), c.close()); err != nil {
		return s, err
	}
	if s.rawBytes, err = bytesBelow(c.rawDir); err == nil {
		s.cleanBytes, err = bytesBelow(c.clean)
	}
	return s, err
}

// bytesBelow gives the size of all segments below a directory, headers, indexes and footers included.
func bytesBelow(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".q" {
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

// median gives the middle one of the values that f takes from the rounds.
func median(all []round, f func(r *round) float64) float64 {
	v := make([]float64, len(all))
	for i := range all {
		v[i] = f(&all[i])
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// rowsOf makes the rows of a course. Rates and ratios are of a core: by processor
// time of the thread that works, since the machine may be shared.
func rowsOf(name, unit string, all []round, s sizes) []row {
	records := func(of func(r *round) time.Duration) string {
		return quantity(median(all, func(r *round) float64 { return float64(r.records) / of(r).Seconds() })) + "records/s"
	}
	changes := func(of func(r *round) time.Duration) float64 {
		return median(all, func(r *round) float64 { return float64(r.changes) / of(r).Seconds() })
	}
	ratio := func(limit func(r *round) time.Duration) float64 {
		return median(all, func(r *round) float64 { return limit(r).Seconds() / r.etl.own.Seconds() })
	}
	own := func(r *round) time.Duration { return r.etl.own }
	decode := func(r *round) time.Duration { return r.decode.own }
	machine := func(r *round) time.Duration { return r.book.own }
	each := func(of func(c *cost) uint64) float64 {
		return median(all, func(r *round) float64 { return float64(of(&r.etl)) / float64(r.records) })
	}
	return []row{
		{"raw to clean, " + name, fmt.Sprintf("%s of a core (by the clock %s, with sealing beside %s of a core)", records(own),
			records(func(r *round) time.Duration { return r.etl.wall }), records(func(r *round) time.Duration { return r.etl.all })),
			fmt.Sprintf("%s (read + decode), %s (books alone)", records(decode), records(machine)),
			fmt.Sprintf("%.2f, %.2f", ratio(decode), ratio(machine))},
		{"... on the heap", fmt.Sprintf("%.4f allocations, %.1f bytes a record", each(func(c *cost) uint64 { return c.mallocs }), each(func(c *cost) uint64 { return c.heap })), "0", ""},
		{"... on disk, all sealed", fmt.Sprintf("%.0f bytes a clean record, %.0f for each raw one", float64(s.cleanBytes)/float64(s.cleanRecords), float64(s.cleanBytes)/float64(s.rawRecords)),
			fmt.Sprintf("%.0f bytes a raw record", float64(s.rawBytes)/float64(s.rawRecords)), fmt.Sprintf("%.2f", float64(s.cleanBytes)/float64(s.rawBytes))},
		ratioRow("books alone, "+name, unit+"/s", changes(machine), "going through the decoded events", changes(func(r *round) time.Duration { return r.walk.own })),
	}
}

// alone is the book machine with nothing around it: events decoded beforehand.
type alone struct {
	l3       bool
	books    []*book.Book // by instrument
	resolver book.Resolver
	entries  []market.Entry // of all events, one after the other
	events   []decoded
	scratch  market.BookEvent
	sum      int64 // what walk found, so that it cannot be left out
}

// decoded is one event; its entries end at the place given.
type decoded struct {
	id   uint32
	kind market.Kind
	seq  uint64
	end  int
}

func newAlone(f flow.Flow) alone {
	a := alone{l3: f.Definition(1).BookType == market.L3, books: make([]*book.Book, f.Instruments()+1)}
	for i := range a.books {
		a.books[i] = book.New(f.Definition(1).BookType)
	}
	return a
}

// load decodes what a tailer gives and counts the messages, or the levels, of it.
func (a *alone) load(t *queue.Tailer) (changes int, err error) {
	a.entries, a.events = a.entries[:0], a.events[:0]
	for {
		r, ok, err := t.Next()
		if err != nil || !ok {
			if a.l3 {
				return len(a.events), err
			}
			return len(a.entries), err
		}
		kind := market.Kind(r.Kind)
		if kind != market.KindBook && kind != market.KindSnapshot {
			continue
		}
		if err := a.scratch.Decode(r.Body, kind); err != nil {
			return 0, err
		}
		a.entries = append(a.entries, a.scratch.Entries...)
		a.events = append(a.events, decoded{id: r.Tag, kind: kind, seq: a.scratch.Seq, end: len(a.entries)})
	}
}

// each gives the events, in a scratch whose entries may be changed.
func (a *alone) each(f func(d *decoded, ev *market.BookEvent)) {
	begin, ev := 0, &a.scratch
	for i := range a.events {
		d := &a.events[i]
		ev.Seq, ev.Entries = d.seq, append(ev.Entries[:0], a.entries[begin:d.end]...)
		begin = d.end
		f(d, ev)
	}
}

// walk does what apply does but for the books.
func (a *alone) walk() {
	a.each(func(_ *decoded, ev *market.BookEvent) {
		for i := range ev.Entries {
			a.sum += ev.Entries[i].Size
		}
	})
}

// apply completes the events and applies them; it gives the trades in them.
func (a *alone) apply() (trades int, err error) {
	a.each(func(d *decoded, ev *market.BookEvent) {
		b := a.books[d.id]
		if a.l3 && d.kind == market.KindBook {
			trades += len(a.resolver.Resolve(b, ev))
		}
		if r := b.Apply(ev, d.kind); !r.OK() && err == nil {
			err = fmt.Errorf("instrument %d, event %d: the book refuses %+v", d.id, d.seq, r)
		}
	})
	return trades, err
}
