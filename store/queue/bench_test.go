package queue

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// BenchmarkAppend64 measures one append of a 64-byte record against its floor: a
// bare copy and atomic store of as many bytes into a warm mapping, without and
// with the checksum.
func BenchmarkAppend64(b *testing.B) {
	payload := body(1, 64)
	bare := func(b *testing.B, sum bool) {
		mem, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON|unix.MAP_POPULATE)
		must(b, err)
		defer unix.Munmap(mem)
		b.SetBytes(64)
		b.ResetTimer()
		at := 0
		for range b.N {
			if at+recordSize(64) > len(mem) {
				at = 0
			}
			copy(mem[at+recordHeader:], payload)
			if sum {
				le.PutUint32(mem[at+4:], crc32.Update(0, castagnoli, mem[at+8:at+recordHeader+64]))
			}
			storeWord(mem, at, 65)
			at += recordSize(64)
		}
	}
	b.Run("floor=copy+store", func(b *testing.B) { bare(b, false) })
	b.Run("floor=copy+crc+store", func(b *testing.B) { bare(b, true) })
	for _, o := range []Options{{Precreate: true}, {}} {
		b.Run(fmt.Sprintf("append/precreate=%v", o.Precreate), func(b *testing.B) {
			o.NoSync = true
			w, err := OpenWriter(benchDir(b), o)
			must(b, err)
			defer w.Close()
			b.SetBytes(64)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if _, err := w.Append(Record{Time: int64(i), EventTime: int64(i), Kind: 4, Body: payload}); err != nil {
					b.Fatal(err)
				}
				trim(b, w, i)
			}
		})
	}
}

// BenchmarkAppendLatency reports percentiles of single appends, clock included.
func BenchmarkAppendLatency(b *testing.B) {
	w, err := OpenWriter(benchDir(b), Options{Precreate: true, NoSync: true})
	must(b, err)
	defer w.Close()
	payload := body(1, 64)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
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
	b.Run("seal-and-roll-52MB", func(b *testing.B) {
		b.SetBytes(n * int64(recordSize(64)))
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
