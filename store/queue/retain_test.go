package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/internal/faultfs"
)

func register(tb testing.TB, dir, name string) *Consumer {
	tb.Helper()
	c, err := RegisterConsumer(dir, name)
	must(tb, err)
	tb.Cleanup(func() { c.Close() })
	return c
}

// firsts gives the first sequences of the segments that are there.
func firsts(tb testing.TB, dir string) []uint64 {
	tb.Helper()
	files, err := segmentFiles(dir)
	must(tb, err)
	var out []uint64
	for _, f := range files {
		out = append(out, f.FirstSeq)
	}
	return out
}

// retain calls Retain and checks what is left.
func retain(t *testing.T, dir string, r Retention, left ...uint64) RetainResult {
	t.Helper()
	before := firsts(t, dir)
	result, err := Retain(dir, r)
	must(t, err)
	if got := firsts(t, dir); !slices.Equal(got, left) {
		t.Fatalf("%+v left segments %v, want %v; result %+v", r, got, left, result)
	}
	if len(result.Removed) != len(before)-len(left) {
		t.Fatalf("result %+v: %d segments are gone", result, len(before)-len(left))
	}
	return result
}

// at is the moment at which the series' record i is of that age.
func at(i int, age time.Duration) time.Time { return time.Unix(0, int64(1000+i)).Add(age) }

func TestRetainByAge(t *testing.T) {
	dir := t.TempDir()
	w := rolled(t, dir) // segments 1, 11, 21, 31, 41, sealed; times 1000 to 1049
	retain(t, dir, Retention{}, 1, 11, 21, 31, 41)
	hour := Retention{MaxAge: time.Hour}
	hour.Now = at(9, time.Hour)
	retain(t, dir, hour, 1, 11, 21, 31, 41) // the last record of the first is not older than an hour
	hour.Now = at(10, time.Hour)
	if r := retain(t, dir, hour, 11, 21, 31, 41); r.Bytes != r.Removed[0].Size || !r.Removed[0].Sealed {
		t.Errorf("result %+v", r)
	}
	hour.Now = at(1000, time.Hour)
	retain(t, dir, hour, 41) // the newest stays
	add(t, w, 50, 60)
	retain(t, dir, hour, 51)
	hour.Now = at(1000, 100*time.Hour)
	retain(t, dir, hour, 51) // it is live
	if _, err := Retain(dir, Retention{MaxAge: 1}); err == nil || !strings.Contains(err.Error(), "Now") {
		t.Errorf("MaxAge without Now: %v", err)
	}
	if _, err := Retain(dir, Retention{MaxBytes: -1}); err == nil {
		t.Error("negative MaxBytes accepted")
	}
}

func TestRetainBySize(t *testing.T) {
	dir := t.TempDir()
	rolled(t, dir)
	files, err := ListSegments(dir)
	must(t, err)
	total := int64(0)
	for _, f := range files {
		total += f.Size
	}
	retain(t, dir, Retention{MaxBytes: total}, 1, 11, 21, 31, 41)
	retain(t, dir, Retention{MaxBytes: total - 1}, 11, 21, 31, 41)
	retain(t, dir, Retention{MaxBytes: files[3].Size + files[4].Size}, 31, 41)
	retain(t, dir, Retention{MaxBytes: 1}, 41)
}

// TestRetainWaitsForConsumers: no segment goes that one of them has not passed, and
// none at all without those that are required.
func TestRetainWaitsForConsumers(t *testing.T) {
	dir := t.TempDir()
	rolled(t, dir)
	all := Retention{MaxBytes: 1, Require: []string{"etl", "audit"}}
	if r := retain(t, dir, all, 1, 11, 21, 31, 41); !slices.Equal(r.Missing, all.Require) {
		t.Errorf("result %+v, want both missing", r)
	}
	etl, audit := register(t, dir, "etl"), register(t, dir, "audit")
	if r := retain(t, dir, all, 1, 11, 21, 31, 41); len(r.Missing) != 0 || r.Held != 4 || !slices.Equal(r.HeldBy, []string{"audit", "etl"}) {
		t.Errorf("result %+v, want 4 segments held by both", r)
	}
	etl.Passed(50)
	audit.Passed(9)
	retain(t, dir, all, 1, 11, 21, 31, 41)
	audit.Passed(10)
	if r := retain(t, dir, all, 11, 21, 31, 41); r.Held != 3 || !slices.Equal(r.HeldBy, []string{"audit"}) {
		t.Errorf("result %+v, want 3 held by audit", r)
	}
	audit.Passed(5) // never back by itself
	audit.Passed(30)
	retain(t, dir, all, 31, 41)
	audit.Rewind(12) // it needs them again: what is here still stays
	etl.Passed(math.MaxUint64)
	retain(t, dir, all, 31, 41)
	must(t, audit.Close())
	audit.Passed(1000) // of no effect now
	audit.Rewind(1)
	must(t, RemoveConsumer(dir, "audit"))
	all.Require = nil
	retain(t, dir, all, 41)
}

func TestConsumerIsRemembered(t *testing.T) {
	dir := t.TempDir()
	if _, err := RegisterConsumer(filepath.Join(dir, "nowhere"), "etl"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("consumer of no queue: %v", err)
	}
	for _, name := range []string{"", ".x", "a/b", "ETL", "..", strings.Repeat("x", 65)} {
		if _, err := RegisterConsumer(dir, name); err == nil {
			t.Errorf("consumer name %q accepted", name)
		}
		if err := RemoveConsumer(dir, name); err == nil {
			t.Errorf("consumer name %q removed", name)
		}
	}
	if err := RemoveConsumer(dir, "etl"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove of nobody: %v", err)
	}
	c := register(t, dir, "etl")
	if c.Next() != 1 || c.Name() != "etl" {
		t.Errorf("a new consumer needs %d", c.Next())
	}
	c.Passed(41)
	_, err := RegisterConsumer(dir, "etl")
	var locked *LockedError
	if !errors.As(err, &locked) || !errors.Is(err, ErrLocked) || locked.PID != os.Getpid() || !strings.Contains(err.Error(), "consumer etl") {
		t.Errorf("registered twice: %v", err)
	}
	if err := RemoveConsumer(dir, "etl"); !errors.Is(err, ErrLocked) {
		t.Errorf("removed while held: %v", err)
	}
	must(t, c.Close())
	must(t, c.Close())
	register(t, dir, "b")
	again := register(t, dir, "etl")
	if again.Next() != 42 {
		t.Errorf("taken up again it needs %d, want 42", again.Next())
	}
	infos, err := Consumers(dir)
	must(t, err)
	if want := []ConsumerInfo{{Name: "b", Next: 1, PID: os.Getpid()}, {Name: "etl", Next: 42, PID: os.Getpid()}}; !slices.Equal(infos, want) {
		t.Errorf("consumers %v, want %v", infos, want)
	}
	if n := testing.AllocsPerRun(1000, func() { again.Passed(again.Next()) }); n != 0 {
		t.Errorf("%v allocations per Passed", n)
	}
}

// TestConsumerProgress: how far a consumer is with processing can be seen from outside.
// Nothing goes by it, and one that does not tell is as before.
func TestConsumerProgress(t *testing.T) {
	dir := rolled(t, t.TempDir()).dir
	begin := time.Now().UnixNano()
	c, quiet := register(t, dir, "etl"), register(t, dir, "quiet")
	c.Progress(37, -5)
	infos, err := Consumers(dir)
	must(t, err)
	if i := infos[0]; i.Seen != 37 || i.SeenTime != -5 || i.Updated < begin || i.Updated > time.Now().UnixNano() || i.Next != 1 {
		t.Errorf("%+v", i)
	}
	if i := infos[1]; i.Seen != 0 || i.SeenTime != 0 || i.Updated != 0 {
		t.Errorf("%+v of one that has not told", i)
	}
	quiet.Passed(50)
	if r, err := Retain(dir, Retention{MaxBytes: 1}); err != nil || len(r.Removed) != 0 || !slices.Equal(r.HeldBy, []string{"etl"}) {
		t.Errorf("retention goes by what was processed: %+v, %v", r, err)
	}
	must(t, c.Close())
	c.Progress(40, 0)
	again := register(t, dir, "etl")
	if infos, _ := Consumers(dir); infos[0].Seen != 37 {
		t.Errorf("taken up again: %+v", infos[0])
	}
	if n := testing.AllocsPerRun(1000, func() { again.Progress(41, 1) }); n != 0 {
		t.Errorf("%v allocations per Progress", n)
	}
}

// TestDamagedConsumer: what a consumer's file says must never be taken for more
// than it was; if it says nothing, nothing is removed.
func TestDamagedConsumer(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(b []byte) []byte
		next  uint64 // 0: it is damaged
	}{
		"whole":           {func(b []byte) []byte { return b }, 21},
		"between stores":  {func(b []byte) []byte { le.PutUint64(b[16:], 41); return b }, 21},
		"first too low":   {func(b []byte) []byte { le.PutUint64(b[16:], 11); return b }, 11},
		"check too low":   {func(b []byte) []byte { le.PutUint64(b[24:], ^uint64(11)); return b }, 11},
		"position of 0":   {func(b []byte) []byte { putPosition(b, 0); return b }, 1},
		"empty":           {func([]byte) []byte { return nil }, 0},
		"zeros":           {func(b []byte) []byte { clear(b); return b }, 0},
		"cut in position": {func(b []byte) []byte { return b[:20] }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			rolled(t, dir)
			consumer := register(t, dir, "etl")
			consumer.Passed(20)
			must(t, consumer.Close())
			path := consumerPath(dir, "etl")
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, c.spoil(b), 0o644))
			result, err := Retain(dir, Retention{MaxBytes: 1})
			if c.next == 0 {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "etl") || len(firsts(t, dir)) != 5 {
					t.Fatalf("retain: %v, segments left %v", err, firsts(t, dir))
				}
				if _, err := RegisterConsumer(dir, "etl"); !errors.Is(err, ErrCorrupt) {
					t.Errorf("register: %v", err)
				}
				must(t, RemoveConsumer(dir, "etl"))
				c.next = 1
			} else if must(t, err); len(result.Removed) != int(c.next-1)/10 {
				t.Errorf("removed %v with position %d", result.Removed, c.next)
			}
			if again := register(t, dir, "etl"); again.Next() != c.next {
				t.Errorf("position %d, want %d", again.Next(), c.next)
			}
		})
	}
}

// TestConsumerAheadOfTheQueue: the machine crashes, and the raw queue loses records
// that a consumer had passed. The numbers are given out again, so it needs them.
func TestConsumerAheadOfTheQueue(t *testing.T) {
	dir := queueOf(t, map[uint64][]byte{1: unsealed(t, 0, 30, false)})
	ahead, behind := register(t, dir, "ahead"), register(t, dir, "behind")
	ahead.Passed(45)
	behind.Passed(20)
	must(t, ahead.Close())
	must(t, os.WriteFile(consumerPath(dir, "damaged"), nil, 0o644)) // is no reason not to write
	w := open(t, dir, Options{})
	if r := w.Recovery(); !slices.Equal(r.Lowered, []string{"ahead"}) {
		t.Errorf("recovery %+v, want ahead lowered", r)
	}
	must(t, RemoveConsumer(dir, "damaged"))
	infos, err := Consumers(dir)
	must(t, err)
	if infos[0].Next != 31 || infos[1].Next != 21 {
		t.Errorf("consumers %v, want 31 and 21", infos)
	}
}

// TestConsumerAfterPowerLoss: a position is never higher than what was passed, and
// a registration that has returned is there.
func TestConsumerAfterPowerLoss(t *testing.T) {
	root := fastDir(t)
	f := faultfs.New(t, root)
	dir := filepath.Join(root, "q")
	w, err := OpenWriter(dir, Options{})
	must(t, err)
	must(t, w.Sync())
	c := register(t, dir, "etl")
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 40 {
		c.Passed(uint64(10 * n))
		if n%5 == 0 {
			must(t, f.Writeback(rng))
		}
		image := filepath.Join(fastDir(t), "image")
		must(t, f.Crash(image, rng, faultfs.Mode{Sectors: n%2 == 0}))
		infos, err := Consumers(filepath.Join(image, "q"))
		if err != nil || len(infos) != 1 || infos[0].Next > uint64(10*n+1) || infos[0].Next%10 != 1 {
			t.Fatalf("passed %d: after a crash %v, %v", 10*n, infos, err)
		}
	}
	must(t, w.Close())
}

// TestRetainBesideEverything removes segments while the writer writes and rolls,
// and consumers read and pass: each of them gets every record.
func TestRetainBesideEverything(t *testing.T) {
	dir := fastDir(t)
	w := open(t, dir, Options{SegmentBytes: minSegmentBytes, Precreate: true})
	const n = 20000
	done := make(chan error, 4)
	for i := range 2 {
		c := register(t, dir, fmt.Sprint("consumer-", i))
		go func() { done <- follow(dir, c, n) }()
	}
	go func() {
		for i := range n {
			if _, err := w.Append(sample(i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	removed := 0
	for left := 3; left > 0; {
		select {
		case err := <-done:
			must(t, err)
			left--
		default:
			r, err := Retain(dir, Retention{MaxBytes: 1, Require: []string{"consumer-0", "consumer-1"}})
			must(t, err)
			removed += len(r.Removed)
		}
	}
	must(t, w.Roll())
	must(t, w.Sync())
	r, err := Retain(dir, Retention{MaxBytes: 1})
	must(t, err)
	if removed += len(r.Removed); removed < 10 || len(firsts(t, dir)) != 1 {
		t.Errorf("%d segments removed, %v left", removed, firsts(t, dir))
	}
	table, ok, err := ReadTable(dir)
	must(t, err)
	if add(t, w, n, n+1); !ok || table.NextSeq != n+1 || len(table.Segments) > 200 {
		t.Errorf("table of %d segments, next %d", len(table.Segments), table.NextSeq)
	}
	must(t, w.Roll())
	must(t, w.Sync())
	if table, _, _ = ReadTable(dir); len(table.Segments) > 3 {
		t.Errorf("the table still has %d segments, of which %v are there", len(table.Segments), firsts(t, dir))
	}
}

// follow reads the first n records of the series as a consumer.
func follow(dir string, c *Consumer, n int) error {
	t, err := OpenTailer(dir, c.Next())
	if err != nil {
		return err
	}
	defer t.Close()
	ctx, cancel := timeout()
	defer cancel()
	for i := 0; i < n; {
		r, ok, err := t.Next()
		if err == nil && !ok {
			err = t.Wait(ctx)
		}
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if want := sample(i); r.Seq != uint64(i+1) || r.Time != want.Time {
			return fmt.Errorf("record %d where %d belongs", r.Seq, i+1)
		}
		i++
		c.Passed(r.Seq)
	}
	return nil
}
