package queue

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// BenchmarkMemberAppend measures records of 100 bytes, reserved and committed in turn in
// 20 queues that grow: members of a group, and as many writers. On tmpfs and on disk.
func BenchmarkMemberAppend(b *testing.B) {
	const queues = 20
	type appender interface {
		Reserve(int) ([]byte, error)
		Commit(Record, int) (uint64, error)
	}
	for place, dir := range map[string]func(*testing.B) string{"tmpfs": benchDir, "disk": func(b *testing.B) string { return b.TempDir() }} {
		run := func(b *testing.B, open func(i int) appender) {
			var all [queues]appender
			for i := range all {
				all[i] = open(i)
			}
			payload := body(1, 100)
			b.SetBytes(100)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				a := all[i%queues]
				p, err := a.Reserve(len(payload))
				if err != nil {
					b.Fatal(err)
				}
				copy(p, payload)
				if _, err := a.Commit(Record{Time: int64(i), EventTime: int64(i), Kind: 4}, len(p)); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
		}
		b.Run(place+"/writer", func(b *testing.B) {
			root := dir(b)
			run(b, func(i int) appender {
				w, err := OpenWriter(filepath.Join(root, fmt.Sprint(i)), Options{ManualRoll: true, NoSync: true})
				must(b, err)
				b.Cleanup(func() { w.Close() })
				return w
			})
		})
		b.Run(place+"/member", func(b *testing.B) {
			root, g := dir(b), group(b, GroupOptions{NoSync: true})
			run(b, func(i int) appender { return member(b, g, filepath.Join(root, fmt.Sprint(i))) })
		})
	}
}

// BenchmarkMemberWarm measures an append where all of the segment is in memory: what is
// left is the append itself.
func BenchmarkMemberWarm(b *testing.B) {
	payload := body(1, 100)
	warm := func(b *testing.B, w *Writer) {
		must(b, w.active.ensure(int64(b.N+10)*int64(RecordSize(100))+headerPage))
		must(b, w.active.populate())
		w.active.setLimit()
		b.ReportAllocs()
		b.ResetTimer()
	}
	b.Run("writer", func(b *testing.B) {
		w, err := OpenWriter(benchDir(b), Options{ManualRoll: true, NoSync: true})
		must(b, err)
		defer w.Close()
		add(b, w, 0, 1)
		warm(b, w)
		for i := range b.N {
			p, err := w.Reserve(len(payload))
			if err != nil {
				b.Fatal(err)
			}
			copy(p, payload)
			if _, err := w.Commit(Record{Time: int64(i), EventTime: int64(i), Kind: 4}, len(p)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("member", func(b *testing.B) {
		m := member(b, group(b, GroupOptions{NoSync: true}), benchDir(b))
		put(b, m, 0, 1)
		warm(b, &m.w)
		for i := range b.N {
			p, err := m.Reserve(len(payload))
			if err != nil {
				b.Fatal(err)
			}
			copy(p, payload)
			if _, err := m.Commit(Record{Time: int64(i), EventTime: int64(i), Kind: 4}, len(p)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// mappings counts what the process has mapped.
func mappings(tb testing.TB) int {
	tb.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	must(tb, err)
	return bytes.Count(b, []byte("\n"))
}

// heap gives the bytes that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkManyMembers opens 10,000 queues with a few records each, and reports what
// each takes, while it is open and while it is closed for another.
func BenchmarkManyMembers(b *testing.B) {
	const queues = 10000
	meta := bytes.Repeat([]byte("m"), 400)
	for name, open := range map[string]int{"open": queues, "closed": 10} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				root, g := benchDir(b), NewGroup(GroupOptions{MaxOpen: open})
				heap0, maps0, fds0, begin := heap(), mappings(b), descriptors(b), time.Now()
				members := make([]*Member, queues)
				for i := range members {
					m, err := g.Open(filepath.Join(root, fmt.Sprint(i), "book.q"), Options{ManualRoll: true, Meta: bytes.Clone(meta)})
					must(b, err)
					put(b, m, 0, 3)
					members[i] = m
				}
				b.ReportMetric(float64(time.Since(begin).Microseconds())/queues, "µs/open")
				b.ReportMetric(float64(heap()-heap0)/queues, "heap-B/queue")
				b.ReportMetric(float64(mappings(b)-maps0)/queues, "maps/queue")
				b.ReportMetric(float64(descriptors(b)-fds0), "fds")
				begin = time.Now()
				for _, m := range members {
					put(b, m, 3, 4)
				}
				b.ReportMetric(float64(time.Since(begin).Microseconds())/queues, "µs/next-record")
				must(b, g.Close())
				runtime.KeepAlive(members)
			}
		})
	}
}

// BenchmarkMidnight cuts 20,000 queues on disk, syncs them and seals them.
func BenchmarkMidnight(b *testing.B) {
	const queues = 20000
	for range b.N {
		root, g := b.TempDir(), NewGroup(GroupOptions{})
		step := func(name string, f func()) {
			begin := time.Now()
			f()
			b.ReportMetric(float64(time.Since(begin).Milliseconds()), name)
		}
		members := make([]*Member, queues)
		step("ms-open", func() {
			for i := range members {
				members[i] = member(b, g, filepath.Join(root, fmt.Sprint(i), "book.q"))
				put(b, members[i], 0, 3)
			}
		})
		step("ms-sync", func() { must(b, g.Sync()) })
		step("ms-append", func() {
			for _, m := range members {
				put(b, m, 3, 6)
			}
		})
		step("ms-sync-again", func() { must(b, g.Sync()) })
		step("ms-cut", func() {
			for _, m := range members {
				must(b, m.Roll())
			}
		})
		b.ReportMetric(float64(mappings(b)), "maps-when-cut")
		step("ms-sync-cut", func() { must(b, g.Sync()) })
		step("ms-seal", func() { must(b, g.Seal()); must(b, g.Wait()) })
		must(b, g.Close())
		g = NewGroup(GroupOptions{})
		step("ms-open-again", func() {
			for i := range members {
				members[i] = member(b, g, filepath.Join(root, fmt.Sprint(i), "book.q"))
			}
		})
		must(b, g.Close())
	}
}
