package emit

import (
	"fmt"
	"path/filepath"
	"testing"

	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

// TestRepeat: in every segment of a live feed's queue an instrument's definition
// precedes its first message, and comes once.
func TestRepeat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "raw_main.q")
	w, err := queue.OpenWriter(dir, queue.Options{SegmentBytes: 16 << 10, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	e := New(w, &Counters{}, Options{Venue: "sim", Repeat: true})
	for i := range 3000 {
		if i%300 == 0 {
			e.Define(int64(i), 1, market.Definition{Symbol: fmt.Sprintf("s%d", i)})
		}
		id := uint32(1 + i*7%(1+i/300))
		e.Trade(id, int64(i), 1, &market.Trade{Price: 1, Size: 2, Side: market.Bid})
	}
	if e.Err() != nil {
		t.Fatal(e.Err())
	}
	files, err := queue.ListSegments(dir)
	if err != nil || len(files) < 5 {
		t.Fatalf("%d segments, %v: too few for a test", len(files), err)
	}
	defined := map[uint32]uint64{} // by id: the segment that defined it last
	queuetest.Each(t, dir, func(r *queue.Record) {
		segment := uint64(0)
		for _, f := range files {
			if f.FirstSeq <= r.Seq {
				segment = f.FirstSeq
			}
		}
		switch market.Kind(r.Kind) {
		case market.KindDefinition:
			if defined[r.Tag] == segment || !r.Key() {
				t.Errorf("record %d defines instrument %d twice in segment %d, or is no key", r.Seq, r.Tag, segment)
			}
			defined[r.Tag] = segment
		case market.KindTrade:
			if defined[r.Tag] != segment {
				t.Errorf("record %d: instrument %d is not defined in segment %d", r.Seq, r.Tag, segment)
			}
		}
	})
}
