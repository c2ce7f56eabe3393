package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// index.meta, the table of a queue's segments, little endian:
//
//	 0 8 bytes  magic "CHRQTBL1"
//	 8 u64      generation: odd while the rest is being changed
//	16 u64      next sequence that no ended segment holds
//	24 u64      first sequence of the newest segment, 0 = none yet
//	32 u64      entries
//	40 16 bytes identity of the queue, 0 = it has none (identity.go)
//	56 8 bytes  zero
//	64          entries, 48 bytes each, ascending:
//	            0 u64 first seq   16 i64 min time   32 i64 min event time
//	            8 u64 last seq    24 i64 max time   40 i64 max event time
//	            (last seq 0: the segment was live when the entry was written)
//
// Readers use it to find a segment, and to see a new one, without a directory
// scan; where it disagrees with the files, the files are right. The next sequence
// keeps the numbering going when every segment has been moved away.
const (
	tableMagic  = "CHRQTBL1"
	tableHeader = 64
	tableEntry  = 48

	tableGeneration = 8
	tableNext       = 16
	tableNewest     = 24
	tableCount      = 32
	tableID         = 40
)

// IndexedSegment is one entry of a queue's table.
type IndexedSegment struct {
	FirstSeq, LastSeq             uint64 // LastSeq is 0 for the live segment
	FirstTime, LastTime           int64  // nanoseconds; of an ended segment only
	FirstEventTime, LastEventTime int64  // nanoseconds or NoTime; of an ended segment only
}

// table is the writer's side.
type table struct {
	dir     string
	reserve reserver
	keep    bool // stay mapped; otherwise many streams would take a mapping each
	lazy    bool // keep no entries either: they are in the file, which nobody else changes

	mu         sync.Mutex // the sealing goroutine and the writer both change it
	mem        []byte
	size       int64 // of the file in bytes
	next       uint64
	id         identity
	generation uint64 // of the file, after the latest change
	count      int    // entries
	entries    []IndexedSegment
}

func (t *table) path() string { return filepath.Join(t.dir, tableName) }

// room makes sure that the file has space for one more segment.
func (t *table) room() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tableSize(t.count+1) <= t.size {
		return nil
	}
	if err := t.open(tableSize(t.count + 1)); err != nil {
		return err
	}
	return t.release()
}

// begin notes a new segment, for which there is room. It is called right after
// the segment got its name; calling it again is no change.
func (t *table) begin(first uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		return err
	}
	if n := len(t.entries); n == 0 || t.entries[n-1].FirstSeq != first {
		t.entries = append(t.entries, IndexedSegment{FirstSeq: first})
	}
	return t.update(len(t.entries) - 1)
}

// end notes what an ended segment holds. It is called before the segment is
// sealed, thus before anyone may move it away.
func (t *table) end(s *summary) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		return err
	}
	t.next = max(t.next, s.last+1)
	pruned := t.prune()
	at := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].FirstSeq >= s.first })
	if at == len(t.entries) || t.entries[at].FirstSeq != s.first {
		t.entries = slices.Insert(t.entries, at, IndexedSegment{})
		t.entries[at] = tableRow(s)
		return t.rewrite()
	}
	t.entries[at] = tableRow(s)
	if pruned {
		return t.rewrite()
	}
	return t.update(at)
}

// prune forgets segments that have been removed or moved away, oldest first, so
// that the table does not grow for ever. The newest of those stays: by its times a
// reader knows whether what it looks for was before the oldest that is here.
func (t *table) prune() bool {
	n := 0
	for n+2 < len(t.entries) && t.gone(n) && t.gone(n+1) {
		n++
	}
	t.entries = slices.Delete(t.entries, 0, n)
	return n > 0
}

func (t *table) gone(at int) bool {
	_, err := os.Lstat(segmentPath(t.dir, t.entries[at].FirstSeq))
	return errors.Is(err, fs.ErrNotExist)
}

func tableRow(s *summary) IndexedSegment {
	return IndexedSegment{
		FirstSeq: s.first, LastSeq: s.last, FirstTime: s.minTime, LastTime: s.maxTime,
		FirstEventTime: s.minEvent, LastEventTime: s.maxEvent,
	}
}

// load gets the entries of a lazy table from its file.
func (t *table) load() error {
	if !t.lazy || t.count == 0 || t.entries != nil {
		return nil
	}
	if err := t.open(tableSize(t.count)); err != nil {
		return err
	}
	if loadCount(t.mem, tableGeneration) != t.generation {
		return errors.Join(fmt.Errorf("%s: %w", t.path(), ErrChanged), t.close())
	}
	v := tableView{mem: t.mem}
	for i := range t.count {
		t.entries = append(t.entries, v.entry(i))
	}
	return nil
}

// update brings the file up to date after a change of entry at.
func (t *table) update(at int) error {
	if err := t.open(tableSize(len(t.entries))); err != nil {
		return err
	}
	t.change(func() { t.put(at) })
	return t.release()
}

// rewrite writes the whole table.
func (t *table) rewrite() error {
	if err := t.open(tableSize(len(t.entries))); err != nil {
		return err
	}
	t.change(func() {
		copy(t.mem, tableMagic)
		copy(t.mem[tableID:], t.id[:])
		for i := range t.entries {
			t.put(i)
		}
	})
	return t.release()
}

// change runs put between two generations, so that a reader of a half-changed
// table reads again, and one of a table that a crash left so does without it.
func (t *table) change(put func()) {
	generation := loadCount(t.mem, tableGeneration) | 1
	storeCount(t.mem, tableGeneration, generation)
	put()
	newest := uint64(0)
	if n := len(t.entries); n > 0 {
		newest = t.entries[n-1].FirstSeq
	}
	storeCount(t.mem, tableNext, t.next)
	storeCount(t.mem, tableCount, uint64(len(t.entries)))
	storeCount(t.mem, tableNewest, newest)
	storeCount(t.mem, tableGeneration, generation+1)
	t.generation, t.count = generation+1, len(t.entries)
}

func (t *table) put(at int) {
	e := &t.entries[at]
	for i, v := range e.words() {
		storeCount(t.mem, tableHeader+at*tableEntry+8*i, v)
	}
}

func (e *IndexedSegment) words() [tableEntry / 8]uint64 {
	return [...]uint64{e.FirstSeq, e.LastSeq, uint64(e.FirstTime), uint64(e.LastTime), uint64(e.FirstEventTime), uint64(e.LastEventTime)}
}

// tableSize gives the size of a table of n entries in bytes.
func tableSize(n int) int64 { return alignUp(tableHeader+int64(n)*tableEntry, pageSize) }

// open maps the file, making it and extending it to size bytes as needed.
func (t *table) open(size int64) error {
	if int64(len(t.mem)) >= size {
		return nil
	}
	if err := t.close(); err != nil {
		return err
	}
	f, err := durable.OpenFile(t.path(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("open queue table: %w", asFull(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size = max(size, info.Size()/pageSize*pageSize); size > info.Size() {
		if err := t.reserve(f, info.Size(), size); err != nil {
			return fmt.Errorf("extend %s: %w", t.path(), err)
		}
	}
	if t.mem, err = mapFile(f, size, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("open %s: %w", t.path(), err)
	}
	t.size = size
	return nil
}

// release takes the mapping down unless it is to be kept, and forgets the entries if
// they are not.
func (t *table) release() error {
	if t.keep {
		return nil
	}
	if t.lazy {
		t.entries = nil
	}
	return t.close()
}

func (t *table) close() error {
	mem := t.mem
	t.mem = nil
	if mem == nil {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}

// sync makes the table durable, and with it the next sequence. If it fails, the
// next change writes the page with both anew, as it changes the generation.
func (t *table) sync() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return durable.SyncFile(t.path())
}
