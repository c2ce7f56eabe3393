package tier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronicle/store/blob"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/queue"
	"chronicle/store/tier"
)

var errFault = errors.New("stopped by the test")

// steps runs an agent to the end and gives the fault points it passed.
func steps(t *testing.T, s *site, at time.Time) []string {
	t.Helper()
	var passed []string
	a := s.open(t, func(step string) error {
		passed = append(passed, step)
		return nil
	})
	if _, err := a.Once(t.Context(), at, tier.OnceOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return passed
}

// journeys are the moves that are stopped at every step: hot to warm and warm to
// cold.
var journeys = map[string]struct {
	before func(t *testing.T, s *site) // what has happened already
	at     time.Time
}{
	"to warm": {func(*testing.T, *site) {}, now},
	"to cold": {func(t *testing.T, s *site) { s.run(t, now, tier.OnceOptions{}) }, longAfter},
}

// TestStopAtEveryStep stops an agent at each fault point in turn, before the step
// and after it (it failed, but it was applied). At that instant readers must find
// everything and fsck nothing worse than an open move. Then either a new agent is
// started, or the same one goes on, and all must be well.
func TestStopAtEveryStep(t *testing.T) {
	for layout, make := range ways {
		for journey, j := range journeys {
			for _, restart := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/restart=%v", layout, journey, restart), func(t *testing.T) {
					t.Parallel()
					first := make(t)
					j.before(t, first)
					all := steps(t, first, j.at)
					for i, step := range all {
						s := make(t)
						j.before(t, s)
						stopAt(t, s, j.at, i, fmt.Sprintf("%d (%s)", i, step), restart)
						if t.Failed() {
							t.Fatalf("stopped at step %d of %q", i, all)
						}
					}
				})
			}
		}
	}
}

// stopAt stops a run at its i-th fault point and sees to it that the next one
// brings everything in order.
func stopAt(t *testing.T, s *site, at time.Time, i int, name string, restart bool) {
	t.Helper()
	passed := 0
	a := s.open(t, func(string) error {
		if passed++; passed != i+1 {
			return nil
		}
		s.readable(t)
		return errFault
	})
	if _, err := a.Once(t.Context(), at, tier.OnceOptions{}); err != nil && !errors.Is(err, errFault) {
		t.Errorf("step %s: error is %v", name, err)
	}
	s.readable(t)
	if r := s.fsck(t); !r.OK() {
		t.Errorf("step %s: fsck after the stop:\n%v", name, r)
	}
	if restart {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		s.run(t, at, tier.OnceOptions{})
	} else if r, err := a.Once(t.Context(), at, tier.OnceOptions{}); err != nil || len(r.Problems) != 0 {
		t.Errorf("step %s: the next run: %+v, %v", name, r, err)
	}
	s.settled(t, at)
}

// settled wants every segment to be where it belongs at a time, and nowhere else.
func (s *site) settled(t *testing.T, at time.Time) {
	t.Helper()
	warm, cold := 5, 0
	if at.Equal(longAfter) {
		warm, cold = 0, 5
	}
	if s.sealedHot(t) != 0 || len(keys(t, s.warm)) != warm || len(keys(t, s.cold)) != cold {
		t.Errorf("hot %d, warm %v, cold %v", s.sealedHot(t), keys(t, s.warm), keys(t, s.cold))
	}
	s.readable(t)
	s.clean(t)
}

// faultyStore fails one call, before or after it has been applied.
type faultyStore struct {
	*blob.Dir
	call    string
	applied bool
	armed   bool
}

func (f *faultyStore) do(call string, do func() error) error {
	if !f.armed || f.call != call {
		return do()
	}
	f.armed = false
	if f.applied {
		return errors.Join(do(), errFault)
	}
	return errFault
}

func (f *faultyStore) Put(ctx context.Context, key string, r io.Reader, want blob.Sum) error {
	return f.do("put", func() error { return f.Dir.Put(ctx, key, r, want) })
}

func (f *faultyStore) MoveIn(ctx context.Context, path, key string) error {
	return f.do("movein", func() error { return f.Dir.MoveIn(ctx, path, key) })
}

func (f *faultyStore) Delete(ctx context.Context, key string) error {
	return f.do("delete", func() error { return f.Dir.Delete(ctx, key) })
}

func (f *faultyStore) Stat(ctx context.Context, key string) (i blob.Info, err error) {
	err = f.do("stat", func() error { i, err = f.Dir.Stat(ctx, key); return err })
	return i, err
}

// TestFailingStores: a store answers with an error, and did what it was asked or
// did not. One segment has a problem, the others go on, and a further run of the
// same agent brings all in order.
func TestFailingStores(t *testing.T) {
	for layout, make := range ways {
		for journey, j := range journeys {
			for _, call := range []string{"put", "movein", "delete", "stat"} {
				for _, applied := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%s/applied=%v", layout, journey, call, applied), func(t *testing.T) {
						t.Parallel()
						s := make(t)
						j.before(t, s)
						warm := &faultyStore{Dir: s.warm, call: call, applied: applied, armed: true}
						cold := &faultyStore{Dir: s.cold, call: call, applied: applied, armed: true}
						s.opts.Tiers = []tier.Policy{{Tier: blob.Tier{Name: "warm", Store: warm}}, {Tier: blob.Tier{Name: "cold", Store: cold}}}
						a := s.open(t, nil)
						r, err := a.Once(t.Context(), j.at, tier.OnceOptions{})
						if err != nil {
							t.Fatal(err)
						}
						for _, p := range r.Problems {
							if !errors.Is(p, errFault) {
								t.Errorf("problem: %v", p)
							}
						}
						s.readable(t)
						if r := s.fsck(t); !r.OK() {
							t.Errorf("fsck:\n%v", r)
						}
						if r, err := a.Once(t.Context(), j.at, tier.OnceOptions{}); err != nil || len(r.Problems) != 0 {
							t.Errorf("second run: %+v, %v", r, err)
						}
						s.settled(t, j.at)
					})
				}
			}
		}
	}
}

// interrupted leaves the first segment in the middle of its move: the intent is
// in the log, and nothing else has happened.
func interrupted(t *testing.T, s *site) *manifest.Move {
	t.Helper()
	a := s.open(t, func(step string) error {
		if step == "transfer" {
			return errFault
		}
		return nil
	})
	if _, err := a.Once(t.Context(), now, tier.OnceOptions{}); !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	moves := loadState(t, s).Moves()
	if err := a.Close(); err != nil || len(moves) == 0 {
		t.Fatal(len(moves), err)
	}
	return &moves[0]
}

func loadState(t *testing.T, s *site) *manifest.State {
	t.Helper()
	f, err := manifest.Load(t.Context(), s.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return f.State()
}

func putText(t *testing.T, d *blob.Dir, key, text string) {
	t.Helper()
	sum, err := blob.SumOf(strings.NewReader(text))
	if err := errors.Join(err, d.Put(t.Context(), key, strings.NewReader(text), sum)); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedTarget: rubbish at the place that an interrupted move goes to is
// deleted, because the source is whole.
func TestDamagedTarget(t *testing.T) {
	s := local(t)
	m := interrupted(t, s)
	putText(t, s.warm, m.Segment.Key, "rubbish")
	if r := s.run(t, now, tier.OnceOptions{}); r.Undone != 5 || len(r.Moved) != 5 {
		t.Errorf("%+v", r)
	}
	s.settled(t, now)
}

// TestDamagedTargetAndSource: nothing is deleted when neither is whole.
func TestDamagedTargetAndSource(t *testing.T) {
	s := local(t)
	m := interrupted(t, s)
	putText(t, s.warm, m.Segment.Key, "rubbish")
	source := filepath.Join(s.Clean, m.From.Key)
	flip(t, source, 4096+60)
	a := s.open(t, nil)
	r, err := a.Once(t.Context(), now, tier.OnceOptions{})
	if err != nil || len(r.Problems) == 0 || !strings.Contains(r.Problems[0].Error(), "nothing was deleted") || len(r.Moved) != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(source); err != nil {
		t.Error(err)
	}
	if !slices.Contains(keys(t, s.warm), m.Segment.Key) {
		t.Error("the target was deleted")
	}
	// The operator restores the source: the next run goes on.
	flip(t, source, 4096+60)
	if r, err := a.Once(t.Context(), now, tier.OnceOptions{}); err != nil || len(r.Problems) != 0 || len(r.Moved) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	s.settled(t, now)
}

// TestLostSegment: a segment that is nowhere stays on record as such.
func TestLostSegment(t *testing.T) {
	s := local(t)
	m := interrupted(t, s)
	source := filepath.Join(s.Clean, m.From.Key)
	b, err := os.ReadFile(source)
	if err := errors.Join(err, os.Remove(source)); err != nil {
		t.Fatal(err)
	}
	a := s.open(t, nil)
	for range 2 {
		r, err := a.Once(t.Context(), now, tier.OnceOptions{})
		if err != nil || len(r.Problems) == 0 || !strings.Contains(r.Problems[0].Error(), "at neither place") {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if r := s.fsck(t); r.OK() {
		t.Errorf("fsck finds nothing:\n%v", r)
	}
	if err := os.WriteFile(source, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := a.Once(t.Context(), now, tier.OnceOptions{}); err != nil || len(r.Problems) != 0 {
		t.Errorf("restored: %+v, %v", r, err)
	}
	s.settled(t, now)
}

// TestArchiveCopyDamagedInGrace: the source is kept when the copy has gone bad.
func TestArchiveCopyDamagedInGrace(t *testing.T) {
	s := hotInMemory(t)
	s.opts.Grace = time.Hour
	s.run(t, now, tier.OnceOptions{})
	path, _ := s.warm.LocalPath(keys(t, s.warm)[0])
	flip(t, path, 4096+60)
	r, err := s.open(t, nil).Once(t.Context(), now.Add(time.Hour), tier.OnceOptions{})
	if err != nil || len(r.Problems) != 1 || r.Deleted != 4 || s.sealedHot(t) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAgentProcess is another process: an agent that is killed at its n-th fault
// point, or, with n negative, while the -n-th copy is half done.
func TestAgentProcess(t *testing.T) {
	root := os.Getenv("CHRONICLE_TEST_ROOT")
	if root == "" {
		t.Skip("only as a helper of other tests")
	}
	n, err := strconv.Atoi(os.Getenv("CHRONICLE_TEST_KILL"))
	if err != nil {
		t.Fatal(err)
	}
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	archive := os.Getenv("CHRONICLE_TEST_ARCHIVE")
	store := &dyingStore{Dir: blob.NewDir(archive, "warm"), at: -n, die: die}
	a, err := tier.Open(t.Context(), tier.Options{
		Clean: filepath.Join(root, "queues", "clean"), Manifest: filepath.Join(root, "manifest"),
		Tiers: []tier.Policy{{Tier: blob.Tier{Name: "warm", Store: store}}},
		Fault: func(string) error {
			if n--; n == 0 {
				die()
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Once(t.Context(), now, tier.OnceOptions{}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("lived")
}

// dyingStore dies in the middle of its at-th Put.
type dyingStore struct {
	*blob.Dir
	at  int
	die func()
}

func (d *dyingStore) Put(ctx context.Context, key string, r io.Reader, want blob.Sum) error {
	if d.at--; d.at == 0 {
		r = io.MultiReader(io.LimitReader(r, want.Size/2), readerFunc(func([]byte) (int, error) { d.die(); return 0, io.EOF }))
	}
	return d.Dir.Put(ctx, key, r, want)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestKill kills agent processes with SIGKILL at each fault point and in the
// middle of copies, one after the other on one root, without ever finishing in
// between. A last one finishes.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	s := hotInMemory(t)
	kills := []int{2, 3, -1, 7, -3, 12, -1, 14, 16, 18, 1000}
	if os.Getenv("CHRONICLE_SOAK") != "" {
		kills = []int{1, 2, 3, -1, 5, 7, -3, 9, 11, 12, 13, 14, -1, 15, 16, 17, 18, 20, 22, 24, 26, 28, 1000}
	}
	for _, n := range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAgentProcess$")
		cmd.Env = append(os.Environ(), "CHRONICLE_TEST_ROOT="+s.Dir, "CHRONICLE_TEST_ARCHIVE="+s.warm.String(), "CHRONICLE_TEST_KILL="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("kill at %d: %v\n%s", n, err, out)
		}
		s.readable(t)
		if r := s.fsck(t); !r.OK() {
			t.Fatalf("kill at %d: fsck:\n%v", n, r)
		}
	}
	s.settled(t, now)
}

// TestBesideWriterAndReaders: a queue is written, archived and read at once. Each
// reader sees every sequence once, from 1 to the end, at every look.
func TestBesideWriterAndReaders(t *testing.T) {
	s := hotInMemory(t)
	burst := func(i int) manifesttest.Stream {
		return manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: "trade", Segments: 2, Start: now.UnixNano() + int64(i)*1e9, Step: time.Millisecond}
	}
	twin := t.TempDir() // the same segments where nobody moves them: what is wanted
	if err := os.CopyFS(twin, os.DirFS(s.Clean)); err != nil {
		t.Fatal(err)
	}
	for i := range 15 {
		for _, row := range manifesttest.Rows(t, "warm", manifesttest.Write(t, twin, burst(i))) {
			s.want[row.Ref()] = row.Hash
		}
	}
	a := s.open(t, nil)
	var wg sync.WaitGroup
	written := make(chan struct{})
	wg.Go(func() {
		defer close(written)
		for i := range 15 {
			manifesttest.Write(t, s.Clean, burst(i))
		}
	})
	look := func() {
		reader := manifest.NewFollower(s.Manifest)
		for ended := false; !ended; {
			select {
			case <-written:
				ended = true
			default:
			}
			contiguous(t, s, reader)
		}
	}
	wg.Go(look)
	wg.Go(look)
	for ended := false; !ended; {
		select {
		case <-written:
			ended = true
		default:
		}
		if r, err := a.Once(t.Context(), now, tier.OnceOptions{All: true}); err != nil || len(r.Problems) > 0 {
			t.Errorf("%+v, %v", r, err)
			break
		}
	}
	wg.Wait()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	s.run(t, now, tier.OnceOptions{All: true})
	s.readable(t)
	s.clean(t)
}

// contiguous looks at the trades as a reader does and wants no hole.
func contiguous(t *testing.T, s *site, reader *manifest.Follower) {
	id := manifest.StreamID{Venue: "sim", Symbol: "a_usd", Stream: "trade"}
	files, err := queue.ListSegments(filepath.Join(s.Clean, "sim", "a_usd", "trade.q"))
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := reader.Refresh(context.Background()); err != nil {
		t.Error(err)
		return
	}
	starts := map[uint64]bool{}
	for _, f := range files {
		starts[f.FirstSeq] = true
	}
	for _, row := range reader.State().Stream(id) {
		starts[row.FirstSeq] = true
	}
	for seq := uint64(1); len(starts) > 0; seq += 8 {
		if !starts[seq] {
			t.Errorf("no segment begins with %d", seq)
			return
		}
		delete(starts, seq)
	}
}
