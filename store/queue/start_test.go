package queue

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func tailLive(tb testing.TB, dir string) *Tailer {
	tb.Helper()
	t, err := OpenTailerLive(dir, TailerOptions{})
	must(tb, err)
	tb.Cleanup(func() { t.Close() })
	return t
}

func tailTime(tb testing.TB, dir string, clock Clock, since int64) *Tailer {
	tb.Helper()
	t, err := OpenTailerTime(dir, clock, since, TailerOptions{})
	must(tb, err)
	tb.Cleanup(func() { t.Close() })
	return t
}

// TestLiveBeginsAfterTheLastRecord opens live in each state of a queue: what is
// there is not given, the next record is.
func TestLiveBeginsAfterTheLastRecord(t *testing.T) {
	if _, err := OpenTailerLive(filepath.Join(t.TempDir(), "nowhere"), TailerOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("live tailer of no directory: %v", err)
	}
	for name, prepare := range map[string]func(*Writer) int{
		"no record":      func(*Writer) int { return 0 },
		"live, no index": func(w *Writer) int { add(t, w, 0, 5); return 5 },
		"live, index":    func(w *Writer) int { add(t, w, 0, 5000); return 5000 },
		"sealed":         func(w *Writer) int { add(t, w, 0, 5); must(t, w.Roll()); return 5 },
		"sealed and empty": func(w *Writer) int {
			add(t, w, 0, 5)
			must(t, w.Roll())
			_, err := w.Reserve(8)
			must(t, err)
			return 5
		},
		"sealed and live":   func(w *Writer) int { add(t, w, 0, 5); must(t, w.Roll()); add(t, w, 5, 9); return 9 },
		"ended, not sealed": func(w *Writer) int { add(t, w, 0, 5); w.active.end(); w.setActive(nil); return 5 },
		"all moved away": func(w *Writer) int {
			add(t, w, 0, 5)
			must(t, w.Roll())
			must(t, os.Remove(segmentPath(w.dir, 1)))
			return 5
		},
		"no table":           func(w *Writer) int { add(t, w, 0, 5); must(t, os.Remove(filepath.Join(w.dir, tableName))); return 5 },
		"no table, no files": func(w *Writer) int { must(t, os.Remove(filepath.Join(w.dir, tableName))); return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, dir, Options{ManualRoll: true})
			n := prepare(w)
			tailer := tailLive(t, dir)
			none(t, tailer)
			add(t, w, n, n+3)
			for i := n; i < n+3; i++ {
				wantSeries(t, []Record{await(t, tailer)}, i, i+1)
			}
		})
	}
}

// TestTimeAgainstModel opens at random times of both clocks, with segments sealed
// and live, and compares with a search in the model.
func TestTimeAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(fastDir(t), "q")
		must(t, err)
		w := open(t, dir, Options{ManualRoll: true})
		defer w.Close()
		var model []Record
		for range rapid.IntRange(0, 60).Draw(rt, "records") {
			r := drawRecord(rt)
			r.Seq, err = w.Append(r)
			must(t, err)
			model = append(model, r)
			if rapid.IntRange(0, 7).Draw(rt, "roll") == 0 {
				must(t, w.Roll())
			}
		}
		if rapid.IntRange(0, 3).Draw(rt, "no table") == 0 {
			must(t, os.Remove(filepath.Join(dir, tableName)))
		}
		clock := rapid.SampledFrom([]Clock{ByTime, ByEventTime}).Draw(rt, "clock")
		since := rapid.Int64Range(-60, 210).Draw(rt, "since")
		tailer := tailTime(t, dir, clock, since)
		defer tailer.Close()
		for i := naiveTime(model, clock, since); i < len(model); i++ {
			if r, ok, err := tailer.Next(); !ok || err != nil || !same(r, model[i]) {
				rt.Fatalf("record %d (%v), error %v, want %d", r.Seq, ok, err, model[i].Seq)
			}
		}
		for i := range 3 { // of what comes later, the first that is late enough
			_, err := w.Append(Record{Time: since + int64(i) - 1, EventTime: since + int64(i) - 1})
			must(t, err)
		}
		want := uint64(len(model) + 2)
		if naiveTime(model, clock, since) < len(model) {
			want--
		}
		if r, ok, err := tailer.Next(); !ok || err != nil || r.Seq != want {
			rt.Fatalf("then record %d (%v), error %v, want %d", r.Seq, ok, err, want)
		}
	})
}

// TestTimeWhileWriting opens at times that are just being written.
func TestTimeWhileWriting(t *testing.T) {
	dir := fastDir(t)
	w := open(t, dir, Options{SegmentBytes: minSegmentBytes, Precreate: true})
	add(t, w, 0, 1)
	const n = 20000
	done := make(chan error, 1)
	go func() {
		defer close(done)
		for i := 1; i < n; i++ {
			if _, err := w.Append(sample(i)); err != nil {
				done <- err
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case err := <-done:
			must(t, err)
			running = false
		default:
		}
		_, next, err := Bounds(dir)
		must(t, err)
		for _, i := range []int{0, int(next) / 2, int(next) - 2, min(int(next)+20, n-1)} {
			tailer := tailTime(t, dir, ByEventTime, int64(900+i))
			wantSeries(t, []Record{await(t, tailer)}, i, i+1)
			must(t, tailer.Close())
		}
		tailer := tailLive(t, dir)
		if r, ok, err := tailer.Next(); err != nil || ok && r.Seq < next {
			t.Fatalf("live: record %d, error %v, at least %d had been committed before", r.Seq, err, next-1)
		}
		must(t, tailer.Close())
	}
}

// TestOvertaken removes what a tailer still wants, in every state that it can be in.
// It must say so, with the record that it can go on from, and go on from there.
func TestOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		open func(dir string) *Tailer
		read int // records to read first
	}{
		"before its first look":       {func(dir string) *Tailer { return tail(t, dir, 5) }, 0},
		"at the end of a segment":     {func(dir string) *Tailer { return tail(t, dir, 1) }, 10},
		"in a segment":                {func(dir string) *Tailer { return tail(t, dir, 1) }, 3},
		"in a segment, by time":       {func(dir string) *Tailer { return tailTime(t, dir, ByTime, 1004) }, 1},
		"between segments":            {func(dir string) *Tailer { x := tail(t, dir, 1); readTo(t, x, 10); must(t, x.leave()); return x }, 0},
		"in a segment that was live":  {nil, 0},
		"waiting, busy":               {func(dir string) *Tailer { return waited(t, dir, TailerOptions{Busy: true}) }, 0},
		"waiting in sleeps":           {func(dir string) *Tailer { return waited(t, dir, TailerOptions{Spin: -1, Yield: -1}) }, 0},
		"never looked, many segments": {func(dir string) *Tailer { return tail(t, dir, 31) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, dir, Options{ManualRoll: true})
			add(t, w, 0, 4)
			var tailer *Tailer
			if c.open == nil {
				tailer = tail(t, dir, 1)
				readTo(t, tailer, 4)
			}
			add(t, w, 4, 10)
			must(t, w.Roll())
			for i := 10; i < 50; i += 10 {
				add(t, w, i, i+10)
				must(t, w.Roll())
			}
			if c.open != nil {
				tailer = c.open(dir)
				for range c.read {
					await(t, tailer)
				}
			}
			removed, err := RemoveOldest(dir, 41)
			must(t, err)
			if len(removed) != 4 {
				t.Fatalf("removed %v", removed)
			}
			goOn(t, tailer, dir)
		})
	}
}

// readTo reads up to record n.
func readTo(t *testing.T, tailer *Tailer, n uint64) {
	t.Helper()
	for await(t, tailer).Seq < n {
	}
}

// waited gives a tailer that has waited for record 51 and lost sight of its place.
func waited(t *testing.T, dir string, o TailerOptions) *Tailer {
	t.Helper()
	tailer, err := OpenTailerOptions(dir, 21, o)
	must(t, err)
	t.Cleanup(func() { tailer.Close() })
	readTo(t, tailer, 30)
	ctx, cancel := timeout()
	defer cancel()
	must(t, tailer.Wait(ctx))
	return tailer
}

// goOn reads until the tailer says that it was overtaken, then from where it says.
func goOn(t *testing.T, tailer *Tailer, dir string) {
	t.Helper()
	var gone *GoneError
	ctx, cancel := timeout()
	defer cancel()
	for {
		r, ok, err := tailer.Next()
		if errors.As(err, &gone) {
			break
		}
		must(t, err)
		if ok && r.Seq > 40 {
			t.Fatalf("record %d follows without a word", r.Seq)
		}
		if !ok {
			must(t, tailer.Wait(ctx))
		}
	}
	if gone.Oldest != 41 || gone.Wanted == 0 || gone.Wanted > 40 || !strings.Contains(gone.Error(), "begin at record 41") {
		t.Errorf("error %q", gone)
	}
	if _, _, err := tailer.Next(); !errors.Is(err, ErrGone) {
		t.Errorf("asked again: %v", err)
	}
	wantSeries(t, []Record{await(t, tail(t, dir, gone.Oldest))}, 40, 41)
}

// TestTimeIsGone opens at times of which records have been removed.
func TestTimeIsGone(t *testing.T) {
	dir := t.TempDir()
	w := rolled(t, dir)
	_, err := RemoveOldest(dir, 31)
	must(t, err)
	gone := func(since int64, oldest uint64) {
		t.Helper()
		var gone *GoneError
		_, err := OpenTailerTime(dir, ByTime, since, TailerOptions{})
		if !errors.As(err, &gone) || gone.Oldest != oldest || gone.Wanted != 0 || !strings.Contains(err.Error(), "time") {
			t.Errorf("since %d: %v, want ErrGone with oldest %d", since, err, oldest)
		}
	}
	for _, since := range []int64{0, 1005, 1029} { // records 1, 6, 30
		gone(since, 31)
	}
	// index.meta still knows how far the last one removed went
	wantSeries(t, []Record{await(t, tailTime(t, dir, ByTime, 1030))}, 30, 31)
	must(t, w.Close())
	w = open(t, dir, Options{ManualRoll: true}) // now it does not
	gone(1030, 31)
	wantSeries(t, []Record{await(t, tailTime(t, dir, ByTime, 1031))}, 31, 32)
	must(t, os.Remove(filepath.Join(dir, SegmentName(31))))
	must(t, os.Remove(filepath.Join(dir, SegmentName(41))))
	gone(1035, 51)
	must(t, w.Close())
	w = open(t, dir, Options{})
	gone(5000, 51)
	add(t, w, 50, 52)
	gone(1050, 51)
	wantSeries(t, []Record{await(t, tailTime(t, dir, ByTime, 1051))}, 51, 52)
}

// TestBusyWait: a busy tailer sees records, rolls and the end of its context.
func TestBusyWait(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	tailer, err := OpenTailerOptions(dir, 0, TailerOptions{Busy: true})
	must(t, err)
	defer tailer.Close()
	step, done := make(chan int), make(chan error, 1)
	go func() {
		var err error
		for i := range step {
			if i%2 == 1 {
				err = errors.Join(err, w.Roll())
			}
			_, e := w.Append(sample(i))
			err = errors.Join(err, e)
		}
		done <- err
	}()
	for i := range 6 {
		step <- i
		wantSeries(t, []Record{await(t, tailer)}, i, i+1)
	}
	close(step)
	must(t, <-done)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	none(t, tailer)
	if err := tailer.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v, want context.Canceled", err)
	}
}

// TestWaitDoesNotAllocate: neither busy nor asleep nor idle.
func TestWaitDoesNotAllocate(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	add(t, w, 0, 10)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, o := range map[string]TailerOptions{
		"busy":   {Busy: true},
		"asleep": {Spin: -1, Yield: -1},
		"idle":   {Spin: -1, Yield: -1, IdleAfter: 1},
	} {
		tailer, err := OpenTailerOptions(dir, 0, o)
		must(t, err)
		readTo(t, tailer, 10)
		if n := testing.AllocsPerRun(1, func() { none(t, tailer); must(t, tailer.Wait(ctx)) }); n != 0 {
			t.Errorf("%s: %v allocations per wait", name, n)
		}
		must(t, tailer.Close())
	}
}

// TestTableKeepsTheLastRemoved: the table forgets what was removed, except how far
// the last of it went.
func TestTableKeepsTheLastRemoved(t *testing.T) {
	dir := t.TempDir()
	w := rolled(t, dir)
	_, err := RemoveOldest(dir, 31)
	must(t, err)
	add(t, w, 50, 60)
	must(t, w.Roll())
	table, _, err := ReadTable(dir)
	must(t, err)
	if n := len(table.Segments); n != 4 || table.Segments[0].FirstSeq != 21 {
		t.Errorf("table %+v, want segments 21, 31, 41, 51", table)
	}
	wantSeries(t, []Record{await(t, tailTime(t, dir, ByTime, 1030))}, 30, 31)
	if _, err := OpenTailerTime(dir, ByTime, 1029, TailerOptions{}); !errors.Is(err, ErrGone) {
		t.Errorf("since the last record removed: %v", err)
	}
}
