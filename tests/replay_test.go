package tests

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/market"
	"chronicle/query"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

// bookStreams gives the book queues below a root, by "venue:symbol".
func bookStreams(t *testing.T, root string) map[string]string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root, "queues/clean/*/*/book.q"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no book streams below %s (%v)", root, err)
	}
	out := map[string]string{}
	for _, dir := range dirs {
		symbol := filepath.Base(filepath.Dir(dir))
		venue := filepath.Base(filepath.Dir(filepath.Dir(dir)))
		out[venue+":"+symbol] = dir
	}
	return out
}

// digestsFromStart replays a book stream from its very first record, passing over
// the snapshots that the ETL made, and gives the book's digest at each moment.
func digestsFromStart(t *testing.T, dir string, bt market.BookType, moments []int64) []string {
	t.Helper()
	b := book.New(bt)
	out := make([]string, 0, len(moments))
	var ev market.BookEvent
	queuetest.Each(t, dir, func(r *queue.Record) {
		for len(out) < len(moments) && r.Time > moments[len(out)] {
			out = append(out, fmt.Sprintf("%016x", b.Digest()))
		}
		kind := market.Kind(r.Kind)
		if kind == market.KindGap {
			return
		}
		if err := ev.Decode(r.Body, kind); err != nil {
			t.Fatal(err)
		}
		if kind == market.KindSnapshot && ev.Attr&market.AttrSynthetic != 0 {
			return
		}
		b.Apply(&ev, kind)
	})
	for len(out) < len(moments) {
		out = append(out, fmt.Sprintf("%016x", b.Digest()))
	}
	return out
}

// TestBookAtEqualsReplayFromStart asks for books at 1,000 random moments per
// recording; each must be the one that a replay from the very start gives.
func TestBookAtEqualsReplayFromStart(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.source, func(t *testing.T) {
			root := t.TempDir()
			roll := "1m"
			if rec.source == itch.source {
				roll = "1h" // it is a whole day
			}
			rec.replay(t, root, "--roll-interval", roll, "--snapshot-interval", "5s", "--replay-budget", "700")
			streams := bookStreams(t, root)
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			moments, want := map[string][]int64{}, map[string][]string{}
			for symbol, dir := range streams {
				moments[symbol] = randomMoments(t, rng, dir, 1000/len(streams)+1)
				want[symbol] = digestsFromStart(t, dir, bookType(rec), moments[symbol])
			}
			run(t, exec.Command(chronicle, "tier", "--once", "--root", root, "--log-level", "warn"))
			a, err := query.Open(t.Context(), query.Config{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			for symbol := range streams {
				for i, at := range moments[symbol] {
					got, err := a.BookAt(t.Context(), query.BookRequest{Symbol: symbol, At: at, Depth: 10, Clock: "recv"})
					if err != nil {
						t.Fatalf("%s at %d: %v", symbol, at, err)
					}
					if got.Proof.Digest != want[symbol][i] {
						t.Fatalf("%s at %d: digest %s, from the start %s", symbol, at, got.Proof.Digest, want[symbol][i])
					}
				}
			}
		})
	}
}

func bookType(r recording) market.BookType {
	if r.source == "itch" {
		return market.L3
	}
	return market.L2
}

func randomMoments(t *testing.T, rng *rand.Rand, dir string, n int) []int64 {
	t.Helper()
	var times []int64
	queuetest.Each(t, dir, func(r *queue.Record) { times = append(times, r.Time) })
	first, last := times[0], times[len(times)-1]
	out := make([]int64, n)
	for i := range out {
		switch rng.IntN(3) {
		case 0: // exactly at a record
			out[i] = times[rng.IntN(len(times))]
		case 1: // just before one
			out[i] = max(first, times[rng.IntN(len(times))]-1)
		default:
			out[i] = first + rng.Int64N(last-first+1)
		}
	}
	slices.Sort(out)
	return out
}

// TestKillAndRestart kills the replay of each recording at random moments, starts
// it again until it is through, and wants the clean streams of an uninterrupted run.
func TestKillAndRestart(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.source, func(t *testing.T) {
			flags := []string{"--roll-interval", "2m", "--checkpoint-every", "2000"}
			if rec.source == itch.source {
				flags[1] = "1h" // it is a whole day
			}
			whole := t.TempDir()
			rec.replay(t, whole, flags...)
			began := time.Now()
			rec.replay(t, t.TempDir(), flags...)
			k := killer{rec: rec, flags: flags, took: time.Since(began), want: cleanRecords(t, whole)}
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d, an uninterrupted run takes %v", seed, k.took)
			k.rng = rand.New(rand.NewPCG(seed, 0))
			for range envCount(t, 20) {
				k.round(t)
			}
			if k.killed == 0 {
				t.Error("nothing was killed")
			}
		})
	}
}

// killer replays one recording again and again, never in peace.
type killer struct {
	rec    recording
	flags  []string
	took   time.Duration // an uninterrupted run
	want   map[string][]string
	rng    *rand.Rand
	killed int
}

func (k *killer) round(t *testing.T) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	for range 1 + k.rng.IntN(3) {
		cmd := k.rec.command(t, root, k.flags...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(k.rng.Int64N(int64(k.took)))) // the kill is meant to be at random
		if cmd.Process.Kill() == nil {
			k.killed++
		}
		_ = cmd.Wait() // it was killed
	}
	k.rec.replay(t, root, k.flags...)
	run(t, exec.Command(chronicle, "fsck", "--root", root))
	got := cleanRecords(t, root)
	for stream, w := range k.want {
		if !slices.Equal(got[stream], w) {
			t.Fatalf("%s has %d records, in an uninterrupted run %d, and they differ", stream, len(got[stream]), len(w))
		}
	}
	if len(got) != len(k.want) {
		t.Fatalf("%d streams, want %d", len(got), len(k.want))
	}
}

// cleanRecords gives every record of every clean stream as text.
func cleanRecords(t *testing.T, root string) map[string][]string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root, "queues/clean/*/*/*.q"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no clean streams (%v)", err)
	}
	out := map[string][]string{}
	for _, dir := range dirs {
		rel, _ := filepath.Rel(root, dir)
		queuetest.Each(t, dir, func(r *queue.Record) {
			out[rel] = append(out[rel], fmt.Sprintf("%d %d %d %d %d %x", r.Seq, r.Time, r.EventTime, r.Kind, r.Flags, r.Body))
		})
	}
	return out
}

// TestSecondReplayChangesNothing: a recording that the archive holds is not read twice.
func TestSecondReplayChangesNothing(t *testing.T) {
	root := t.TempDir()
	first := okx.replay(t, root)
	before := cleanRecords(t, root)
	second := okx.replay(t, root)
	if first.Records == 0 || second.Records != 0 || second.ETL.Written != 0 {
		t.Errorf("first %+v, second %+v", first, second)
	}
	if after := cleanRecords(t, root); len(after) != len(before) {
		t.Errorf("%d streams, %d before", len(after), len(before))
	}
}
