package etl

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
)

// lossy is an ETL that was killed, and a raw queue that then lost its end.
type lossy struct {
	cfg    Config
	script *rawScript
	kept   map[string][]queue.Record // clean streams as they were when it was killed
}

// newLossy runs an ETL over a raw queue of 600 records: there is a checkpoint at
// record 200, and the raw queue keeps only the first 300.
func newLossy(t *testing.T, seed uint64) *lossy {
	t.Helper()
	dir := t.TempDir()
	l := &lossy{cfg: config(dir, dir), script: newScript(t, dir)}
	rng := rand.New(rand.NewPCG(seed, 1))
	randomRaw(l.script, rng, 250)
	before := filepath.Join(dir, "before.q")
	if err := os.CopyFS(before, os.DirFS(l.cfg.RawDir)); err != nil {
		t.Fatal(err)
	}
	l.script.define(4, "v", "late", market.L2, false) // first seen in what is lost
	for i := range int64(10) {
		l.script.delta(4, 0, 0, level(market.Bid, 100+i, 5))
	}
	randomEvents(l.script, rng, 300)
	e, err := Open(t.Context(), l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if n == 200 {
			if err := e.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		ok, err := e.step()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
	}
	if err := e.abandon(); err != nil {
		t.Fatal(err)
	}
	l.kept = l.streams(t)
	if err := l.script.w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(l.cfg.RawDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(before, l.cfg.RawDir); err != nil {
		t.Fatal(err)
	}
	if l.script.w, err = queue.OpenWriter(l.cfg.RawDir, queue.Options{SegmentBytes: 1 << 20, NoSync: true}); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lossy) streams(t *testing.T) map[string][]queue.Record {
	t.Helper()
	out := map[string][]queue.Record{}
	for _, symbol := range []string{"chained", "plain", "orders", "late"} {
		for _, stream := range streamNames {
			if _, err := os.Stat(StreamDir(l.cfg.CleanDir, "v", symbol, stream)); err == nil {
				out[symbol+"/"+stream] = records(t, l.cfg, "v", symbol, stream)
			}
		}
	}
	return out
}

// checkKept wants every record that was there, then the marker, and the book in
// doubt behind it; the state is restored from there at every later record.
func (l *lossy) checkKept(t *testing.T) {
	t.Helper()
	now := l.streams(t)
	marked := 0
	for name, kept := range l.kept {
		all := now[name]
		if len(all) < len(kept) {
			t.Fatalf("%s had %d records, now %d", name, len(kept), len(all))
		}
		for i, r := range kept {
			if got := all[i]; got.Time != r.Time || got.Kind != r.Kind || !bytes.Equal(got.Body, r.Body) {
				t.Fatalf("%s: record %d has changed", name, r.Seq)
			}
		}
		for _, r := range all[len(kept):] {
			if market.Kind(r.Kind) != market.KindGap {
				continue
			}
			if g, err := market.DecodeJSON[market.Gap](r.Body); err != nil || g.Cause != market.GapRawLost {
				t.Errorf("%s: the first marker behind what was kept is %+v, %v", name, g, err)
			}
			marked++
			break
		}
	}
	if marked < 4 {
		t.Errorf("%d streams have a marker", marked)
	}
}

// TestRawQueueLosesItsEnd has a machine lose power: the raw queue keeps less than
// was made of it. What was made stays.
func TestRawQueueLosesItsEnd(t *testing.T) {
	for seed := range uint64(5) {
		l := newLossy(t, seed)
		s := l.script
		s.now += 100 * second
		randomRaw(s, rand.New(rand.NewPCG(seed, 2)), 400)
		// Killed between the adoption and its checkpoint, or a little later.
		for _, stop := range []int{99, 150, 220} {
			e, err := Open(t.Context(), l.cfg)
			if err != nil {
				t.Fatal(err)
			}
			for range stop {
				if _, err := e.step(); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.abandon(); err != nil {
				t.Fatal(err)
			}
		}
		st := runAll(t, l.cfg)
		if st.RawSeq != s.w.NextSeq()-1 {
			t.Fatalf("at raw record %d of %d", st.RawSeq, s.w.NextSeq()-1)
		}
		l.checkKept(t)
	}
}

// TestRawQueueIsGone has the raw queue on a file system that did not survive.
func TestRawQueueIsGone(t *testing.T) {
	l := newLossy(t, 7)
	if err := l.script.w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(l.cfg.RawDir); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.script.w, err = queue.OpenWriter(l.cfg.RawDir, queue.Options{SegmentBytes: 1 << 20, NoSync: true}); err != nil {
		t.Fatal(err)
	}
	l.script.now += 100 * second
	randomRaw(l.script, rand.New(rand.NewPCG(7, 2)), 400)
	st := runAll(t, l.cfg)
	if st.RawSeq != l.script.w.NextSeq()-1 {
		t.Fatalf("at raw record %d of %d", st.RawSeq, l.script.w.NextSeq()-1)
	}
	l.checkKept(t)
}
