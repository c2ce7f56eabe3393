package proof

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chronicle/ingest/etl"
	"chronicle/ingest/sim"
	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
	"chronicle/market"
	"chronicle/store/queue"
	"chronicle/store/queue/queuetest"
)

// outage is a machine that loses power several times while a feed and an ETL work
// on it. Feed and ETL take turns; only the queues' own goroutines make two runs of a
// seed differ.
type outage struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	disk *rand.Rand // decides what the power failures leave
	mode faultfs.Mode
	wire *wire

	life   int
	site   site
	fs     *faultfs.FS
	raw    *queue.Writer
	etl    *etl.ETL
	early  bool                      // it was opened before the feed had recovered the raw queue
	kept   map[string][]queue.Record // clean records that the last power failure left
	beyond map[string]bool           // streams of them that hold what the raw queue has lost

	failing atomic.Bool // the power is about to fail

	mu     sync.Mutex
	ops    int // until the power fails
	failed bool
	image  string // what the disk has then
	now    owed
	owed   owed // when the power failed

	tally outages
}

// owed is what must be there after a power failure.
type owed struct {
	raw   uint64            // last record of the raw queue that a Sync has returned for
	clean map[string]uint64 // next sequence of each clean stream when a Checkpoint has returned; nil before
}

// outages counts what was tried.
type outages struct {
	failures int // of the power
	lossy    int // of them, with clean records kept whose raw records were lost
	gone     int // of them, with the raw queue gone altogether
	aside    int // streams set aside, because every header was lost
	refused  int // starts of an ETL before the feed had recovered the raw queue, and refused
	adopted  int // clean records kept whose raw records were lost
	books    tally
}

func (a *outages) add(b outages) {
	a.failures, a.lossy, a.gone = a.failures+b.failures, a.lossy+b.lossy, a.gone+b.gone
	a.refused, a.adopted, a.aside = a.refused+b.refused, a.adopted+b.adopted, a.aside+b.aside
	a.books.add(b.books)
}

// tick comes before each operation on the file system.
func (o *outage) tick() {
	if o.failing.Load() {
		return // an operation of favour
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ops--; o.ops >= 0 || o.failed {
		return
	}
	o.failed, o.owed = true, o.now
	o.failing.Store(true)
	defer o.failing.Store(false)
	if o.disk.IntN(3) == 0 {
		o.favour()
	}
	if err := o.fs.Crash(o.image, o.disk, o.mode); err != nil {
		o.t.Error(err)
	}
}

// favour has the kernel write back all of the clean streams just before the power
// fails, and nothing else.
func (o *outage) favour() {
	err := filepath.WalkDir(o.site.clean(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone already, or was never there
		}
		if d.IsDir() {
			return durable.SyncDir(path)
		}
		return durable.SyncFile(path)
	})
	if err == nil {
		err = durable.SyncDir(filepath.Dir(o.site.clean()))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.t.Error(err)
	}
}

func (o *outage) down() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// live runs feed and ETL until the power fails or, in the last life, to the end.
func (o *outage) live(last bool) {
	o.t.Helper()
	o.life++
	o.fs = faultfs.New(o.t, o.site.root)
	defer o.fs.Close()
	o.failed, o.ops, o.now = false, o.rng.IntN(40)*o.rng.IntN(40), owed{raw: o.now.raw}
	o.image = filepath.Join(filepath.Dir(o.site.root), fmt.Sprint("life", o.life))
	until := o.wire.now + o.rng.Int64N(o.wire.length()/2)
	if last {
		o.ops, until = 1<<60, o.wire.now+3*o.wire.length()
	}
	o.fs.Watch(func(durable.Op) { o.tick() })
	o.start()
	o.wire.each = o.turn
	o.wire.listen(o.raw, until)
	o.wire.each = func() {}
	o.catchUp()
	if at, last := o.etl.Stats().RawSeq, o.raw.NextSeq()-1; at < last {
		o.t.Fatalf("seed %d, life %d: the ETL stands still at raw record %d of %d, opened before the feed had recovered the raw queue: %v",
			o.seed, o.life, at, last, o.early)
	}
	if !last {
		o.mu.Lock()
		o.ops = 0
		o.mu.Unlock()
		o.tick()
	}
	o.fs.Watch(nil)
	o.wantKept()
	must(o.t, o.etl.Close())
	must(o.t, o.raw.Close())
}

// start opens the raw queue and the ETL, in either order, as processes of their own
// would. An ETL that comes first takes in what there is; it may find the raw queue
// damaged, which is for the feed to put right, and then comes again.
func (o *outage) start() {
	o.t.Helper()
	cfg := o.site.crashConfig()
	cfg.CheckpointEvery = 100 + uint64(o.rng.IntN(600))
	o.early = false
	if _, err := os.Stat(o.site.raw()); err == nil && o.rng.IntN(2) == 0 {
		o.early = o.openETL(cfg, true)
	}
	o.raw = o.site.openRaw(o.t, queue.Options{SegmentBytes: 32 << 10, Precreate: o.rng.IntN(2) == 0})
	if last := o.raw.NextSeq() - 1; last < o.now.raw {
		o.t.Fatalf("seed %d, life %d: the raw queue ends with record %d, %d were durable: %+v", o.seed, o.life, last, o.now.raw, o.raw.Recovery())
	}
	if !o.early {
		o.openETL(cfg, false)
	}
}

// openETL opens the ETL and takes in what the raw queue has. It is false when the
// raw queue has to be recovered first.
func (o *outage) openETL(cfg etl.Config, early bool) bool {
	o.t.Helper()
	e, err := etl.Open(o.t.Context(), cfg)
	if err == nil {
		if err = e.CatchUp(o.t.Context()); err == nil {
			o.etl = e
			return true
		}
		must(o.t, e.Close())
	}
	if !early || !errors.Is(err, queue.ErrCorrupt) || !strings.Contains(err.Error(), o.site.raw()) {
		o.t.Fatalf("seed %d, life %d, before the feed %v: %v", o.seed, o.life, early, err)
	}
	o.tally.refused++
	return false
}

func (o *outage) catchUp() {
	o.t.Helper()
	if err := o.etl.CatchUp(o.t.Context()); err != nil {
		o.t.Fatalf("seed %d, life %d: %v", o.seed, o.life, err)
	}
}

// turn is what happens between two packets.
func (o *outage) turn() {
	if o.down() {
		o.wire.stop = o.wire.now
		return
	}
	switch n := o.rng.IntN(240); {
	case n < 24:
		o.catchUp()
	case n < 26:
		must(o.t, o.raw.Sync())
		o.mu.Lock()
		o.now.raw = o.raw.NextSeq() - 1
		o.mu.Unlock()
	case n < 29:
		must(o.t, o.fs.Writeback(rand.New(rand.NewPCG(o.rng.Uint64(), 0))))
	case n < 30:
		must(o.t, o.etl.Checkpoint())
		clean := o.site.ends(o.t)
		o.mu.Lock()
		o.now.clean = clean
		o.mu.Unlock()
	}
}

// ends gives the next sequence of each clean stream.
func (s site) ends(t testing.TB) map[string]uint64 {
	t.Helper()
	ends := map[string]uint64{}
	dirs, err := filepath.Glob(filepath.Join(s.clean(), "*", "*", "*.q"))
	must(t, err)
	for _, dir := range dirs {
		if _, next, err := queue.Bounds(dir); err == nil { // else nobody has recovered it yet
			rel, _ := filepath.Rel(s.clean(), dir)
			ends[strings.TrimSuffix(rel, ".q")] = next
		}
	}
	return ends
}

// fail puts the machine where the power failure has left it, and looks at what is there.
func (o *outage) fail() {
	o.t.Helper()
	o.tally.failures++
	o.site, o.now = site{o.image}, o.owed
	if o.rng.IntN(6) == 0 { // it was on tmpfs
		must(o.t, os.RemoveAll(o.site.raw()))
		o.now.raw = 0
		o.tally.gone++
	}
	copied := site{o.image + "-copy"}
	must(o.t, os.CopyFS(copied.root, os.DirFS(o.image)))
	defer os.RemoveAll(copied.root)
	o.recover(copied)
	o.kept, o.beyond = copied.streams(o.t), map[string]bool{}
	if _, err := os.Stat(filepath.Join(o.site.state(), "checkpoint")); err != nil && o.owed.clean != nil {
		o.t.Fatalf("seed %d, life %d: the checkpoint is gone: %v", o.seed, o.life, err)
	}
	for stream, next := range o.owed.clean {
		if got := uint64(len(o.kept[stream])); got+1 < next {
			o.t.Fatalf("seed %d, life %d: %s has %d records, %d were durable", o.seed, o.life, stream, got, next-1)
		}
	}
	last := o.rawLast(copied)
	for stream, records := range o.kept {
		for i := range slices.Backward(records) {
			if causeOf(o.t, &records[i]) == market.GapRawLost {
				break // what is before it may be of a raw queue that is gone
			}
			if from := rawSeqOf(o.t, &records[i]); from > last {
				o.beyond[stream] = true
				o.tally.adopted++
			}
		}
	}
	if len(o.beyond) > 0 {
		o.tally.lossy++
	}
	o.wire.skip(o.wire.now + 1 + o.rng.Int64N(second))
}

// recover opens every clean queue, as the next writer does.
func (o *outage) recover(s site) {
	o.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.clean(), "*", "*", "*.q"))
	must(o.t, err)
	for _, dir := range dirs {
		w, err := queue.OpenWriter(dir, queue.Options{ManualRoll: true, NoSync: true})
		if err != nil {
			o.t.Fatalf("seed %d, life %d: %v", o.seed, o.life, err)
		}
		must(o.t, w.Close())
	}
}

// rawLast gives the last record that the raw queue still has.
func (o *outage) rawLast(s site) uint64 {
	o.t.Helper()
	if _, err := os.Stat(s.raw()); err != nil {
		return 0
	}
	w := s.openRaw(o.t, queue.Options{NoSync: true})
	defer w.Close()
	return w.NextSeq() - 1
}

// rawSeqOf gives the raw record that a clean one was made from; 0 when it does not tell.
func rawSeqOf(t testing.TB, r *queue.Record) uint64 {
	t.Helper()
	switch market.Kind(r.Kind) {
	case market.KindBook, market.KindSnapshot, market.KindTrade, market.KindQuote, market.KindStatus:
		return binary.LittleEndian.Uint64(r.Body)
	case market.KindGap:
		g, err := market.DecodeJSON[market.Gap](r.Body)
		must(t, err)
		return g.RawSeq
	}
	return 0
}

// wantKept checks, at the end of a life, that what the last power failure left of
// the clean streams is still there, and that what followed what the raw queue had
// lost was marked.
func (o *outage) wantKept() {
	o.t.Helper()
	if !o.restarted() {
		return // nor does anybody know yet that something is missing
	}
	o.site.wantSound(o.t, fmt.Sprintf("seed %d, life %d", o.seed, o.life))
	streams := o.site.streams(o.t)
	for stream, kept := range o.kept {
		got := streams[stream]
		if o.setAside(stream, kept) {
			o.tally.aside++
			continue
		}
		for i := range kept {
			if i >= len(got) || !same(&got[i], &kept[i]) {
				o.t.Fatalf("seed %d, life %d: %s record %d of %d was there after the power failure, and is not any more", o.seed, o.life, stream, i+1, len(kept))
			}
		}
		if o.beyond[stream] && !slices.ContainsFunc(got[len(kept):], func(r queue.Record) bool { return causeOf(o.t, &r) == market.GapRawLost }) {
			o.t.Fatalf("seed %d, life %d: %s was kept beyond the end of the raw queue, and no marker says so", o.seed, o.life, stream)
		}
	}
}

// setAside tells whether a stream was put out of the way, all of it, because the
// power failure had taken every header that told what its numbers mean.
func (o *outage) setAside(stream string, kept []queue.Record) bool {
	o.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(o.site.clean(), stream+".q.lost-*"))
	must(o.t, err)
	for _, dir := range dirs {
		var there []queue.Record
		queuetest.Each(o.t, dir, func(r *queue.Record) { there = append(there, clone(r)) })
		if len(there) == len(kept) && (len(kept) == 0 || same(&there[len(kept)-1], &kept[len(kept)-1])) {
			return true
		}
	}
	return false
}

// restarted tells whether the feed has begun to write in this life.
func (o *outage) restarted() bool {
	found := false
	for _, r := range o.site.rawRecords(o.t) {
		if market.Kind(r.Kind) == market.KindSession && r.Seq >= o.raw.Recovery().LastSeq+1 {
			found = true
		}
	}
	return found
}

func causeOf(t testing.TB, r *queue.Record) market.GapCause {
	t.Helper()
	if market.Kind(r.Kind) != market.KindGap {
		return ""
	}
	g, err := market.DecodeJSON[market.Gap](r.Body)
	must(t, err)
	return g.Cause
}

// TestPowerLoss lets the power fail at random operations of feed and ETL, on disks
// of several kinds, several times in a day; only what was synced and a random part
// of the rest is there afterwards, at times the whole raw queue is gone. Feed and
// ETL start again. What was durable is there; clean streams go on exactly once;
// what they hold of lost raw records stays and is marked; nothing is refused, and no
// wrong book is called good.
func TestPowerLoss(t *testing.T) {
	var all outages
	seeds := rounds(12, 300)
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { all.add(powerLoss(t, seed)) })
	}
	t.Logf("%d power failures, %d left clean records whose raw records were lost (%d records), %d took the raw queue, %d streams had no header left, %d times the ETL had to wait for the feed; %v",
		all.failures, all.lossy, all.adopted, all.gone, all.aside, all.refused, &all.books)
	if all.failures < 2*seeds || all.books.share() < 0.1 || seeds >= 12 && (all.lossy*10 < all.failures || all.adopted == 0 || all.gone == 0) {
		t.Error("that is too little to prove anything")
	}
}

func powerLoss(t *testing.T, seed uint64) outages {
	wd := drawWorld(seed)
	wd.Faults.Loss, wd.Faults.Burst = 0.0005, 0
	wd.Series.Sessions, wd.Series.Least, wd.Series.Most = 3, 700, 1100
	wd.Series.Ends = []sim.Ending{sim.EndOrderly, sim.EndBreak}
	o := &outage{
		t: t, seed: seed, wire: newWire(t, wd), rng: rand.New(rand.NewPCG(seed, 21)), disk: rand.New(rand.NewPCG(seed, 22)),
		mode: faultfs.Mode{Ordered: seed%2 == 0, Sectors: seed%3 == 0},
	}
	o.site = site{filepath.Join(fastDir(t), "life0")}
	defer os.RemoveAll(filepath.Dir(o.site.root))
	must(t, os.Mkdir(o.site.root, 0o755))
	lossy := false
	for lives := 2 + o.rng.IntN(3); lives > 0; lives-- {
		o.live(false)
		o.fail()
		lossy = lossy || len(o.beyond) > 0 || o.now.raw == 0
	}
	o.live(true)
	o.finish(lossy)
	return o.tally
}

// finish audits the clean streams of all lives.
func (o *outage) finish(lossy bool) {
	o.t.Helper()
	what := fmt.Sprintf("seed %d", o.seed)
	o.site.wantSound(o.t, what)
	streams, raw := o.site.streams(o.t), o.site.rawRecords(o.t)
	o.tally.books = auditBooks(o.t, o.wire, streams)
	auditOnce(o.t, o.seed, raw, streams)
	if lossy {
		return
	}
	fresh := site{filepath.Join(filepath.Dir(o.site.root), "fresh")}
	cfg := fresh.crashConfig()
	cfg.RawDir, cfg.Consumer = o.site.raw(), "fresh"
	refine(o.t, cfg)
	wantSame(o.t, what+", against an ETL that had the whole raw queue at once", streams, fresh.streams(o.t))
}
