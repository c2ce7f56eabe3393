package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// benchDir gives a directory on tmpfs where there is one, as a hot queue has.
func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp("/dev/shm", "queue-bench-")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// trim keeps a benchmark's space bounded.
func trim(b *testing.B, w *Writer, i int) {
	if i%(4<<20) == 0 && i > 0 {
		b.StopTimer()
		if _, err := RemoveOldest(w.dir, w.NextSeq()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// benchSegment is larger than any cache, as a live segment is.
const benchSegment = 512 << 20

// BenchmarkAppend64 measures one append of a 64-byte record against its floor: a
// bare copy and atomic store of as many bytes into a warm mapping, without and
// with the checksum.
func BenchmarkAppend64(b *testing.B) {
	payload := body(1, 64)
	bare := func(b *testing.B, sum bool) {
		g, err := createRegion(filepath.Join(benchDir(b), "floor"), benchSegment, 0, growth{reserve: reserveBlocks})
		must(b, err)
		defer g.close()
		must(b, g.populate())
		mem := g.mem
		b.SetBytes(64)
		b.ResetTimer()
		at := 0
		for range b.N {
			if at+RecordSize(64) > len(mem) {
				at = 0
			}
			copy(mem[at+recordHeader:], payload)
			if sum {
				le.PutUint32(mem[at+4:], recordSum(mem[at+8:at+recordHeader+64]))
			}
			storeWord(mem, at, 65)
			at += RecordSize(64)
		}
	}
	b.Run("floor=copy+store", func(b *testing.B) { bare(b, false) })
	b.Run("floor=copy+sum+store", func(b *testing.B) { bare(b, true) })
	b.Run("append/prepared", func(b *testing.B) { benchAppend(b, Options{Precreate: true, SegmentBytes: benchSegment}, true) })
	b.Run("append/precreate", func(b *testing.B) { benchAppend(b, Options{Precreate: true}, false) })
	b.Run("append/inline", func(b *testing.B) { benchAppend(b, Options{}, false) })
}

// benchAppend appends as fast as it goes. With wait, the clock stands still while
// the helper works: what is left is the append itself, as a feed sees it whose
// rate leaves the helper time.
func benchAppend(b *testing.B, o Options, wait bool) {
	o.NoSync = true
	w, err := OpenWriter(benchDir(b), o)
	must(b, err)
	defer w.Close()
	payload := body(1, 64)
	b.SetBytes(64)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if s := w.active; wait && (s == nil || s.pos+RecordSize(64) > s.limit) {
			b.StopTimer()
			_, err := w.Append(Record{Body: payload}) // takes the segment that is ready
			must(b, err)
			awaitHelper(b, w)
			b.StartTimer()
		}
		if _, err := w.Append(Record{Time: int64(i), EventTime: int64(i), Kind: 4, Body: payload}); err != nil {
			b.Fatal(err)
		}
		if !wait {
			trim(b, w, i)
		}
	}
}

// awaitHelper waits until nothing is left to seal and a segment is ready.
func awaitHelper(b *testing.B, w *Writer) {
	must(b, w.Sync())
	_, err := RemoveOldest(w.dir, w.NextSeq())
	must(b, err)
	for ready := false; !ready; runtime.Gosched() {
		w.helper.mu.Lock()
		ready = w.helper.ready != nil
		w.helper.mu.Unlock()
	}
}

// BenchmarkAppendLatency reports percentiles of single appends, the clock's own
// cost included, at a rate of a million records a second in bursts of a hundred.
func BenchmarkAppendLatency(b *testing.B) {
	w, err := OpenWriter(benchDir(b), Options{Precreate: true, NoSync: true})
	must(b, err)
	defer w.Close()
	payload := body(1, 64)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	due := time.Now()
	for i := range b.N {
		if i%100 == 0 {
			for due = due.Add(100 * time.Microsecond); time.Now().Before(due); {
			}
		}
		begin := time.Now()
		if _, err := w.Append(Record{Time: int64(i), Body: payload}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
		trim(b, w, i)
	}
	b.StopTimer()
	slices.Sort(took)
	for name, p := range map[string]float64{"p50-ns": .5, "p99-ns": .99, "p99.9-ns": .999, "p99.99-ns": .9999} {
		b.ReportMetric(float64(took[int(p*float64(len(took)-1))]), name)
	}
}

// BenchmarkRead64 measures reading 64-byte records, live (mapped) and sealed (read).
func BenchmarkRead64(b *testing.B) {
	w, err := OpenWriter(benchDir(b), Options{NoSync: true})
	must(b, err)
	defer w.Close()
	const n = 500000
	for i := range n {
		if _, err := w.Append(Record{Time: int64(i), Body: body(1, 64)}); err != nil {
			b.Fatal(err)
		}
	}
	path := filepath.Join(w.dir, SegmentName(1))
	run := func(b *testing.B) {
		s, err := OpenSegment(path)
		must(b, err)
		defer s.Close()
		b.SetBytes(64)
		b.ReportAllocs()
		b.ResetTimer()
		c := s.Cursor()
		for range b.N {
			if _, err := c.Next(); err != nil {
				c.rewind()
			}
		}
	}
	b.Run("live", run)
	must(b, w.Roll())
	b.Run("sealed", run)
	b.Run("verify-52MB", func(b *testing.B) {
		b.SetBytes(n * int64(RecordSize(64)))
		for range b.N {
			s, err := OpenSegment(path)
			must(b, err)
			must(b, s.Verify())
			must(b, s.Close())
		}
	})
}

// BenchmarkManyStreams opens as many small streams as b.N says, with one record each.
func BenchmarkManyStreams(b *testing.B) {
	root := b.TempDir()
	writers := make([]*Writer, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		w, err := OpenWriter(filepath.Join(root, fmt.Sprint(i)), Options{ManualRoll: true, NoSync: true})
		must(b, err)
		_, err = w.Append(sample(i))
		must(b, err)
		writers = append(writers, w)
	}
	b.StopTimer()
	for _, w := range writers {
		must(b, w.Close())
	}
}

// BenchmarkRollSmall seals streams of one record, durably.
func BenchmarkRollSmall(b *testing.B) {
	for _, noSync := range []bool{false, true} {
		b.Run(fmt.Sprintf("noSync=%v", noSync), func(b *testing.B) {
			w, err := OpenWriter(b.TempDir(), Options{ManualRoll: true, NoSync: noSync})
			must(b, err)
			defer w.Close()
			for i := range b.N {
				_, err := w.Append(sample(i))
				must(b, err)
				must(b, w.Roll())
			}
		})
	}
}
