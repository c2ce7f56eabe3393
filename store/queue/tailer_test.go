package queue

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func tail(tb testing.TB, dir string, from uint64) *Tailer {
	tb.Helper()
	t, err := OpenTailer(dir, from)
	must(tb, err)
	tb.Cleanup(func() { t.Close() })
	return t
}

// await gives the tailer's next record, waiting for it.
func await(tb testing.TB, t *Tailer) Record {
	tb.Helper()
	ctx, cancel := timeout()
	defer cancel()
	for {
		r, ok, err := t.Next()
		must(tb, err)
		if ok {
			return r
		}
		must(tb, t.Wait(ctx))
	}
}

// none checks that the tailer has nothing, however often it is asked.
func none(tb testing.TB, t *Tailer) {
	tb.Helper()
	for range 3 * lookAgain {
		if r, ok, err := t.Next(); ok || err != nil {
			tb.Fatalf("record %v, error %v, want nothing", r.Seq, err)
		}
	}
}

func TestTailerStartsBeforeTheWriter(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenTailer(filepath.Join(dir, "nowhere"), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("tailer of no directory: %v, want fs.ErrNotExist", err)
	}
	first, later := tail(t, dir, 0), tail(t, dir, 30)
	none(t, first)
	w := open(t, dir, Options{SegmentBytes: minSegmentBytes, ManualRoll: true})
	none(t, first)
	add(t, w, 0, 10)
	wantSeries(t, []Record{await(t, first)}, 0, 1)
	none(t, later)
	must(t, w.Roll())
	add(t, w, 10, 20)
	none(t, later)
	must(t, w.Roll())
	none(t, later)
	add(t, w, 20, 40)
	wantSeries(t, []Record{await(t, later)}, 29, 30)
	for i := 1; i < 40; i++ {
		wantSeries(t, []Record{await(t, first)}, i, i+1)
	}
	none(t, first)
	if first.NextSeq() != 41 {
		t.Errorf("next sequence %d, want 41", first.NextSeq())
	}
}

func TestTailerFollowsWhileWriting(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			dir := fastDir(t)
			w := open(t, dir, o)
			const n = 5000
			done := make(chan error, 1)
			t.Cleanup(func() { // before the writer is closed
				for range done {
				}
			})
			go func() {
				defer close(done)
				for i := range n {
					if _, err := w.Append(sample(i)); err != nil {
						done <- err
						return
					}
					if i%700 == 699 {
						if err := w.Roll(); err != nil {
							done <- err
							return
						}
					}
				}
			}()
			tailer := tail(t, dir, 0)
			for i := range n {
				wantSeries(t, []Record{await(t, tailer)}, i, i+1)
			}
			must(t, <-done)
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	add(t, w, 0, 1)
	tailer := tail(t, dir, 2)
	none(t, tailer)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for { // Wait may return early without cause, but not forever
		err := tailer.Wait(ctx)
		if err == nil {
			none(t, tailer)
			continue
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("wait: %v, want context.Canceled", err)
		}
		break
	}
	must(t, tailer.Close())
	must(t, tailer.Close())
	if err := tailer.Wait(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("wait after close: %v, want ErrClosed", err)
	}
	if _, _, err := tailer.Next(); !errors.Is(err, ErrClosed) {
		t.Errorf("next after close: %v, want ErrClosed", err)
	}
}

// TestWaitWakesUp measures nothing: it only proves that a sleeping tailer comes
// back for a record, for a first segment, and for a new segment.
func TestWaitWakesUp(t *testing.T) {
	dir := t.TempDir()
	opts := TailerOptions{Spin: -1, Yield: -1, MinSleep: time.Microsecond, MaxSleep: time.Millisecond}
	tailer, err := OpenTailerOptions(dir, 0, opts)
	must(t, err)
	defer tailer.Close()
	w := open(t, dir, Options{})
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
}

// rolled makes a queue of five sealed segments of ten records each.
func rolled(tb testing.TB, dir string) *Writer {
	tb.Helper()
	w := open(tb, dir, Options{ManualRoll: true})
	for i := 0; i < 50; i += 10 {
		add(tb, w, i, i+10)
		must(tb, w.Roll())
	}
	return w
}

func wantGone(tb testing.TB, t *Tailer, oldest uint64) {
	tb.Helper()
	for range lookAgain + 1 {
		_, ok, err := t.Next()
		var gone *GoneError
		if errors.As(err, &gone) && errors.Is(err, ErrGone) && gone.Oldest == oldest {
			return
		}
		if ok || err != nil {
			tb.Fatalf("record %v, error %v, want ErrGone with oldest %d", ok, err, oldest)
		}
	}
	tb.Fatalf("the tailer does not notice that its record is gone")
}

func TestRemoveOldest(t *testing.T) {
	dir := t.TempDir()
	w := rolled(t, dir)
	slow := tail(t, dir, 0)
	wantSeries(t, []Record{await(t, slow)}, 0, 1)
	removed, err := RemoveOldest(dir, 30)
	must(t, err)
	if len(removed) != 2 || removed[1].FirstSeq != 11 {
		t.Fatalf("removed %v, want segments 1 and 11", removed)
	}
	for i := 1; i < 10; i++ { // it has the removed segment open
		wantSeries(t, []Record{await(t, slow)}, i, i+1)
	}
	wantGone(t, slow, 21)
	wantGone(t, tail(t, dir, 15), 21)
	wantSeries(t, readAll(t, dir, 0), 20, 50)
	wantSeries(t, readAll(t, dir, 1), 20, 50)
	if removed, err = RemoveOldest(dir, 1000); err != nil || len(removed) != 2 {
		t.Errorf("removed %v, error %v; the newest segment must stay", removed, err)
	}
	if oldest, next, err := Bounds(dir); oldest != 41 || next != 51 || err != nil {
		t.Errorf("bounds %d to %d, error %v, want 41 to 51", oldest, next, err)
	}
	add(t, w, 50, 60)
	if removed, err = RemoveOldest(dir, 1000); err != nil || len(removed) != 1 {
		t.Errorf("removed %v, error %v, want the last sealed segment", removed, err)
	}
	if removed, err = RemoveOldest(dir, 1000); err != nil || len(removed) != 0 {
		t.Errorf("removed %v, error %v, want nothing: the rest is live", removed, err)
	}
}

// TestNumberingOutlivesTheSegments moves every segment away: the queue must not
// begin at 1 again, and tailers must say what is gone.
func TestNumberingOutlivesTheSegments(t *testing.T) {
	dir := t.TempDir()
	w := rolled(t, dir)
	behind := tail(t, dir, 45)
	files, err := ListSegments(dir)
	must(t, err)
	for _, f := range files {
		must(t, os.Remove(f.Path))
	}
	wantGone(t, behind, 51)
	if oldest, next, err := Bounds(dir); oldest != 51 || next != 51 || err != nil {
		t.Errorf("bounds %d to %d, error %v, want 51 to 51", oldest, next, err)
	}
	must(t, w.Close())
	w = open(t, dir, Options{})
	if w.NextSeq() != 51 {
		t.Fatalf("next sequence %d, want 51", w.NextSeq())
	}
	waiting := tail(t, dir, 51)
	none(t, waiting)
	add(t, w, 50, 60)
	wantSeries(t, readAll(t, dir, 0), 50, 60)
	wantSeries(t, []Record{await(t, waiting)}, 50, 51)
}

// TestTailerLeavesADiscardedSegment: the writer dies between making a segment
// and its first record; the next writer discards that segment, and a tailer that
// had it open must find the new one.
func TestTailerLeavesADiscardedSegment(t *testing.T) {
	dir := t.TempDir()
	w := rolled(t, dir)
	_, err := w.Reserve(8) // makes the segment
	must(t, err)
	tailer := tail(t, dir, 51)
	none(t, tailer)
	if tailer.seg == nil {
		t.Fatal("the tailer does not have the empty segment open")
	}
	must(t, w.Close())
	w = open(t, dir, Options{})
	if len(w.Recovery().Discarded) != 1 {
		t.Fatalf("recovery %+v, want one segment discarded", w.Recovery())
	}
	add(t, w, 50, 52)
	wantSeries(t, []Record{await(t, tailer), await(t, tailer)}, 50, 52)
}

func TestReadersSurviveSealAndMove(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{ManualRoll: true})
	add(t, w, 0, 2000)
	s, err := OpenSegment(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	defer s.Close()
	tailer := tail(t, dir, 0)
	wantSeries(t, []Record{await(t, tailer)}, 0, 1)
	add(t, w, 2000, 3000)
	must(t, w.Roll())
	must(t, os.Rename(filepath.Join(dir, SegmentName(1)), filepath.Join(t.TempDir(), "away.q")))
	c := s.Cursor()
	must(t, c.SeekSeq(1501))
	for i := 1500; i < 3000; i++ {
		r, err := c.Next()
		must(t, err)
		wantSeries(t, []Record{r}, i, i+1)
	}
	must(t, c.SeekKey(ByTime, 1000+2500))
	must(t, s.Refresh())
	if s.Info().LastSeq != 3000 {
		t.Errorf("last sequence %d after Refresh, want 3000", s.Info().LastSeq)
	}
	for i := 1; i < 3000; i++ {
		wantSeries(t, []Record{await(t, tailer)}, i, i+1)
	}
	none(t, tailer)
	add(t, w, 3000, 3001)
	wantSeries(t, []Record{await(t, tailer)}, 3000, 3001)
}
