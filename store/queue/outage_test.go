package queue

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
)

// written is a record as it was committed, and where.
type written struct {
	Record
	segment uint64
	offset  int
	raw     []byte // its bytes in the file; nil when they are not known
}

// outage is a queue through several power failures. The model is what was
// appended; owed of it is what was durable when the power failed.
type outage struct {
	t    *testing.T
	rng  *rand.Rand
	disk *rand.Rand // decides what a crash leaves
	mode faultfs.Mode
	size int // of every body, if not 0: old bytes then look like new ones
	root string
	life int
	w    *Writer
	fs   *faultfs.FS
	bad  *faultfs.Injected // nil while nothing fails
	deaf bool              // syncs may fail now
	torn bool              // a sync may have failed, and none has gone well since

	mu      sync.Mutex // the watcher may run on the writer's own goroutines
	model   []written
	now     promise
	owed    promise // when the power failed
	ops     int     // until the power fails
	failed  bool
	image   string // what the disk has then
	doubt   uint64 // segments before this one may have been killed between trailer and sync
	removed uint64 // records up to this one may have been removed
}

// promise is what a queue owes its owner after a crash.
type promise struct {
	records int      // this many at least
	sealed  []uint64 // these segments are sealed, unless they have been removed
}

func (o *outage) dir() string { return filepath.Join(o.root, "q") }

// live opens the queue, works until the power fails, and has what is on the disk
// then in o.image.
func (o *outage) live(options Options) {
	o.life++
	o.fs = faultfs.New(o.t, o.root)
	defer o.fs.Close()
	o.failed, o.ops, o.bad, o.deaf, o.torn = false, o.rng.IntN(150), nil, false, false
	o.image = filepath.Join(filepath.Dir(o.root), fmt.Sprint("life", o.life))
	o.fs.Watch(func(durable.Op) { o.tick() })
	o.open(options)
	for range 60 {
		if o.down() {
			break
		}
		o.act(options)
	}
	o.mu.Lock()
	o.ops = 0
	o.mu.Unlock()
	o.tick()
	o.fs.Watch(nil)
	o.repair()
	must(o.t, o.w.Close())
}

// open opens the queue; errors that were injected do not last.
func (o *outage) open(options Options) {
	for {
		w, err := OpenWriter(o.dir(), options)
		if o.passes(err) {
			o.w = w
			return
		}
		o.repair()
	}
}

// passes tells whether err is none; otherwise it must have been injected.
func (o *outage) passes(err error) bool {
	o.t.Helper()
	if err != nil && (o.bad == nil || !errors.Is(err, o.bad.Err)) {
		o.t.Fatalf("life %d: %v", o.life, err)
	}
	return err == nil
}

func (o *outage) down() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// tick comes before each operation on the file system.
func (o *outage) tick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ops--; o.ops >= 0 || o.failed {
		return
	}
	o.failed, o.owed = true, o.now
	if err := o.fs.Crash(o.image, o.disk, o.mode); err != nil {
		o.t.Error(err)
	}
}

// act does one thing at random.
func (o *outage) act(options Options) {
	switch n := o.rng.IntN(24); {
	case n < 12:
		for range o.rng.IntN(15) {
			o.append()
		}
	case n < 13:
		if b, err := o.w.Reserve(o.rng.IntN(2000)); o.passes(err) {
			fill(b[:len(b)/2], 0xEE)
		}
	case n < 15:
		must(o.t, o.fs.Writeback(rand.New(rand.NewPCG(o.rng.Uint64(), 0))))
	case n < 17:
		o.passes(o.w.Roll())
	case n < 18:
		o.remove()
	case n < 19:
		o.kill(options)
	case n < 20:
		o.disturb()
	default:
		if o.passes(o.w.Sync()) {
			o.promise()
		}
	}
}

// disturb makes something fail for some time.
func (o *outage) disturb() {
	o.repair()
	kinds := []durable.Kind{durable.OpCreate, durable.OpRename, durable.OpUnlink, durable.OpWrite, durable.OpAllocate,
		durable.OpTruncate, durable.OpSync, durable.OpSyncRange, durable.OpSyncDir}
	fault := faultfs.Fault{
		Kinds: []durable.Kind{kinds[o.rng.IntN(len(kinds))]}, Times: 1 + o.rng.IntN(3), Err: syscall.EIO,
		Applied: o.rng.IntN(2) == 0, Half: o.rng.IntN(2) == 0,
	}
	if o.rng.IntN(2) == 0 {
		fault.Err, fault.Times = syscall.ENOSPC, -1
	}
	o.deaf = fault.Kinds[0] == durable.OpSync || fault.Kinds[0] == durable.OpSyncRange
	o.torn = o.torn || o.deaf
	o.bad = o.fs.Inject(fault)
}

func (o *outage) repair() {
	if o.deaf = false; o.bad != nil {
		o.bad.Stop()
	}
}

// kill ends the writer as a killed process would: nothing is synced any more. That
// a sync had failed only the writer knew.
func (o *outage) kill(options Options) {
	if o.torn {
		return
	}
	o.w.closed = true
	if o.w.helper != nil {
		o.passes(o.w.helper.stop())
	}
	must(o.t, o.w.release())
	o.repair()
	o.open(options)
	o.doubt = o.w.NextSeq()
	if o.w.NextSeq() != uint64(len(o.model)+1) || o.w.Recovery().LostRecords != 0 {
		o.t.Fatalf("life %d: next %d after %d records and a kill, recovery %+v", o.life, o.w.NextSeq(), len(o.model), o.w.Recovery())
	}
}

// remove removes sealed segments, as retention does.
func (o *outage) remove() {
	keep := o.rng.IntN(len(o.model) + 1)
	o.mu.Lock()
	o.removed = max(o.removed, uint64(keep))
	o.mu.Unlock()
	_, err := RemoveOldest(o.dir(), uint64(keep+1))
	o.passes(err)
}

// promise notes that everything is on disk.
func (o *outage) promise() {
	files, err := ListSegments(o.dir())
	must(o.t, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.torn = o.deaf
	o.now.records, o.now.sealed = len(o.model), slices.DeleteFunc(slices.Clone(o.now.sealed), func(first uint64) bool { return first >= o.doubt })
	for _, f := range files {
		if f.Sealed && f.FirstSeq >= o.doubt {
			o.now.sealed = append(o.now.sealed, f.FirstSeq)
		}
	}
}

func (o *outage) append() {
	i, size := len(o.model), o.size
	if size == 0 {
		size = o.rng.IntN(300)
		if o.rng.IntN(10) == 0 {
			size = o.rng.IntN(9000)
		}
	}
	r := Record{Time: int64(1000 + i), EventTime: int64(i), Kind: 1, Tag: uint32(o.life), Flags: uint16(o.rng.IntN(2)), Body: body(o.life*1000+i, size)}
	seq, err := o.w.Append(r)
	if !o.passes(err) {
		if o.w.NextSeq() != uint64(i+1) {
			o.t.Fatalf("life %d: next sequence %d after an append that failed behind %d records", o.life, o.w.NextSeq(), i)
		}
		return
	}
	s := o.w.active
	at := s.pos - RecordSize(size)
	r.Seq = seq
	o.mu.Lock()
	defer o.mu.Unlock()
	o.model = append(o.model, written{r, s.first, at, bytes.Clone(s.mem[at:s.pos])})
}

// check opens a copy of the queue as the disk has it, and checks that it is the
// series, as long as it was owed, that Recovery tells what else was there, and that
// opening it again finds nothing more. The disk stays as it is.
func (o *outage) check() {
	o.t.Helper()
	o.root = o.image
	must(o.t, os.MkdirAll(o.dir(), 0o755))
	for _, first := range o.owed.sealed {
		if sealed, err := isSealed(segmentPath(o.dir(), first)); !sealed && (err == nil || first > o.removed) {
			o.t.Fatalf("life %d: segment %d was sealed and synced, and is not: %v", o.life, first, err)
		}
	}
	there := o.onDisk()
	copied := o.root + "-checked"
	must(o.t, copyDir(o.dir(), copied))
	w, err := OpenWriter(copied, Options{NoSync: true})
	if err != nil {
		o.t.Fatalf("life %d, %d of %d records owed: %v", o.life, o.owed.records, len(o.model), err)
	}
	recovery, last := w.Recovery(), int(w.NextSeq()-1)
	must(o.t, w.Close())
	o.checkSeries(copied, last, recovery)
	cut := uint64(0)
	for i := last; i < len(o.model); i++ {
		if there[i] {
			cut++
		}
	}
	if cut > recovery.LostRecords {
		o.t.Fatalf("life %d: %d whole records behind the %d were cut, recovery %+v", o.life, cut, last, recovery)
	}
	o.checkAgain(copied, last)
	o.now = promise{records: last, sealed: o.owed.sealed}
}

// checkSeries checks that the queue ends with record last, and takes the model
// back to there.
func (o *outage) checkSeries(dir string, last int, recovery Recovery) {
	o.t.Helper()
	if last < o.owed.records || last > len(o.model)+1 {
		o.t.Fatalf("life %d: ends at %d, %d of %d were owed; recovery %+v", o.life, last, o.owed.records, len(o.model), recovery)
	}
	got := readAll(o.t, dir, 0)
	if from := last - len(got); from > int(o.removed) {
		o.t.Fatalf("life %d: begins after %d, but only %d were removed; recovery %+v", o.life, from, o.removed, recovery)
	}
	for _, r := range got {
		if i := int(r.Seq - 1); i == len(o.model) { // committed, but Append had not returned
			o.model = append(o.model, written{Record: r})
		} else if !same(r, o.model[i].Record) {
			o.t.Fatalf("life %d: record %d is of life %d, want %v; recovery %+v", o.life, r.Seq, r.Tag, o.model[i].Record, recovery)
		}
	}
	verifyAll(o.t, dir)
	for len(o.model) < last { // the same, and removed
		o.model = append(o.model, written{})
	}
	defer func() { o.model = slices.Clone(o.model[:last]) }()
}

func (o *outage) checkAgain(dir string, last int) {
	o.t.Helper()
	w, err := OpenWriter(dir, Options{NoSync: true})
	must(o.t, err)
	again := w.Recovery()
	must(o.t, w.Close())
	if again.Cut != "" || again.LostRecords != 0 || len(again.Discarded)+len(again.Sealed)+len(again.SetAside)+len(again.Removed) != 0 || again.LastSeq != uint64(last) {
		o.t.Fatalf("life %d: the second recovery is %+v", o.life, again)
	}
}

// onDisk tells of which records of the model all bytes are there.
func (o *outage) onDisk() []bool {
	there, segments := make([]bool, len(o.model)), map[uint64][]byte{}
	for i, r := range o.model {
		b, ok := segments[r.segment]
		if !ok {
			b, _ = os.ReadFile(segmentPath(o.dir(), r.segment))
			segments[r.segment] = b
		}
		end := r.offset + recordHeader + len(r.Body)
		there[i] = r.raw != nil && end <= len(b) && bytes.Equal(b[r.offset:end], r.raw[:end-r.offset])
	}
	return there
}
