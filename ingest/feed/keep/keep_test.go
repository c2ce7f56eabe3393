package keep

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/store/queue"
)

// place is a raw queue with a clock and a file system of the test's.
type place struct {
	t     *testing.T
	dir   string
	w     *queue.Writer
	now   time.Time
	space Space
	log   strings.Builder
	*Keeper
}

func newPlace(t *testing.T, l Limits) *place {
	t.Helper()
	p := &place{t: t, dir: filepath.Join(t.TempDir(), "raw.q"), now: time.Unix(1_000_000, 0), space: Space{Free: 500, Total: 1000}}
	w, err := queue.OpenWriter(p.dir, queue.Options{ManualRoll: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	p.w = w
	p.Keeper = New(Options{
		Dir: p.dir, Limits: l, Now: func() time.Time { return p.now }, Space: func(string) (Space, error) { return p.space, nil },
		Log: slog.New(slog.NewTextHandler(&p.log, nil)),
	})
	return p
}

// segment appends a segment of ten records, one a second.
func (p *place) segment() {
	p.t.Helper()
	for range 10 {
		p.now = p.now.Add(time.Second)
		if _, err := p.w.Append(queue.Record{Time: p.now.UnixNano(), Body: make([]byte, 100)}); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.w.Roll(); err != nil {
		p.t.Fatal(err)
	}
}

// look looks, and checks which alarms are in force and what the log has of them.
func (p *place) look(raised, over int, want ...string) State {
	p.t.Helper()
	p.Look()
	s := p.State()
	var got []string
	for _, a := range s.Alarms {
		got = append(got, a.Reason)
	}
	if text := p.log.String(); !slices.Equal(got, want) || strings.Count(text, "level=ERROR") != raised || strings.Count(text, "alarm is over") != over {
		p.t.Fatalf("alarms %v, want %v; %d raised and %d over in\n%s", got, want, raised, over, text)
	}
	return s
}

func TestAlarmWhenSpaceRunsOut(t *testing.T) {
	p := newPlace(t, Limits{AlarmFree: 100})
	pass := func(d time.Duration, free int64) { p.now, p.space.Free = p.now.Add(d), free }
	if s := p.look(0, 0); s.Below != 100 || s.FullIn != 0 {
		t.Errorf("state %+v", s)
	}
	pass(time.Minute, 200)
	if s := p.look(0, 0); s.FullIn != 40*time.Second {
		t.Errorf("full in %v, want 40s: 300 were taken in a minute, 200 are left", s.FullIn)
	}
	pass(time.Second, 99)
	s := p.look(1, 0, FreeSpace)
	if a := s.Alarms[0]; !a.Since.Equal(p.now) || !strings.Contains(a.Detail, "99 bytes are free, the alarm begins below 100: full in") || !strings.Contains(p.log.String(), "99 bytes") {
		t.Errorf("alarm %+v", a)
	}
	pass(time.Second, 90)
	if s := p.look(1, 0, FreeSpace); !strings.Contains(s.Alarms[0].Detail, "90 bytes") || s.Alarms[0].Since.Equal(p.now) {
		t.Errorf("alarm %+v", s.Alarms[0])
	}
	pass(time.Second, 104) // not on and off
	p.look(1, 0, FreeSpace)
	pass(time.Second, 105)
	p.look(1, 1)
	pass(time.Second, 99)
	p.look(2, 1, FreeSpace)
	pass(time.Hour, 500)
	if s := p.look(2, 2); s.FullIn != 0 {
		t.Errorf("full in %v", s.FullIn)
	}
}

func TestAlarmBeginsBelow(t *testing.T) {
	for _, c := range []struct {
		l     Limits
		total int64
		want  int64
	}{
		{Limits{SegmentBytes: 10}, 1000, 50}, {Limits{SegmentBytes: 20}, 1000, 80}, {Limits{SegmentBytes: 20, AlarmFree: 1}, 1000, 1},
	} {
		if got := c.l.Below(c.total); got != c.want {
			t.Errorf("%+v: below %d, want %d", c.l, got, c.want)
		}
	}
}

// The size limit holds while the consumers keep up; when one does not there is an
// alarm, which names it.
func TestAlarmWhenAConsumerHoldsTheQueue(t *testing.T) {
	p := newPlace(t, Limits{Require: []string{"etl-a"}})
	p.segment()
	p.limit(2)
	p.segment()
	p.look(0, 0)
	p.segment()
	if s := p.look(1, 0, ConsumerBehind); !strings.Contains(s.Alarms[0].Detail, "nothing goes before these consumers have passed it: etl-a") || s.Segments != 3 {
		t.Errorf("state %+v", s)
	}
	c, err := queue.RegisterConsumer(p.dir, "etl-a")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s := p.look(1, 0, ConsumerBehind); !strings.Contains(s.Alarms[0].Detail, "passed it: etl-a") {
		t.Errorf("state %+v", s)
	}
	c.Passed(10)
	if s := p.look(1, 1); s.Segments != 2 || s.Removed != 1 || s.RemovedBytes == 0 {
		t.Errorf("state %+v", s)
	}
	if n := strings.Count(p.log.String(), "raw retention waits"); n != 2 {
		t.Errorf("the log has %d waits, want one for each reason:\n%s", n, p.log.String())
	}
}

// limit sets the size limit to what n segments take.
func (p *place) limit(n int64) {
	p.t.Helper()
	_, bytes, err := queue.Usage(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	p.opts.Limits.MaxBytes = n * bytes
}

func TestAlarmWhenRetentionFails(t *testing.T) {
	p := newPlace(t, Limits{MaxAge: time.Second})
	p.segment()
	if err := os.MkdirAll(filepath.Join(p.dir, "consumers"), 0o755); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(p.dir, "consumers", "etl")
	if err := os.WriteFile(damaged, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s := p.look(1, 0, Retention); !strings.Contains(s.Alarms[0].Detail, "etl") {
		t.Errorf("alarm %+v", s.Alarms[0])
	}
	if err := queue.RemoveConsumer(p.dir, "etl"); err != nil {
		t.Fatal(err)
	}
	p.look(1, 1)
}

func TestSpaceOf(t *testing.T) {
	s, err := SpaceOf(t.TempDir())
	if err != nil || s.Free <= 0 || s.Total < s.Free {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := SpaceOf(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a directory that is not there has space")
	}
}

func TestPaceForgetsAndBeginsAnew(t *testing.T) {
	var p pace
	at := time.Unix(0, 0)
	step := func(d time.Duration, free int64) time.Duration { at = at.Add(d); return p.add(at, free) }
	step(0, 10_000)
	step(time.Minute, 1_000)
	if d := step(11*time.Minute, 900); d != 0 {
		t.Errorf("%v after a pause longer than the window", d)
	}
	if d := step(time.Minute, 800); d != 8*time.Minute {
		t.Errorf("%v, want 8m", d)
	}
	if d := step(-time.Hour, 700); d != 0 {
		t.Errorf("%v after the clock was set back", d)
	}
	if d := step(time.Minute, 600); d != 6*time.Minute {
		t.Errorf("%v, want 6m", d)
	}
}
