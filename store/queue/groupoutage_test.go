package queue

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"chronicle/internal/durable"
	"chronicle/internal/faultfs"
)

// groupOutage is a group through several power failures: an outage per queue, and the
// group that writes them. The file system, the moment of the failure and what fails
// before it are the first outage's.
type groupOutage struct {
	*outage
	g      *Group
	o      GroupOptions
	whole  int
	queues []*groupQueue
}

// groupQueue is the outage of one queue: its w is the member's.
type groupQueue struct {
	*outage
	m *Member
}

// live opens the queues, works until the power fails, and has what is on the disk then
// in the image.
func (o *groupOutage) live() {
	o.life++
	o.fs = faultfs.New(o.t, o.root)
	defer o.fs.Close()
	o.failed, o.ops, o.bad, o.deaf, o.torn = false, o.rng.IntN(400), nil, false, false
	o.image = filepath.Join(filepath.Dir(o.root), fmt.Sprint("life", o.life))
	for i, q := range o.queues {
		q.root, q.image, q.life = filepath.Join(o.root, fmt.Sprint(i)), filepath.Join(o.image, fmt.Sprint(i)), o.life
	}
	o.fs.Watch(func(durable.Op) { o.tick() })
	o.open()
	for range 120 {
		if o.down() {
			break
		}
		o.act()
	}
	o.mu.Lock()
	o.ops = 0
	o.mu.Unlock()
	o.tick()
	o.fs.Watch(nil)
	o.repair()
	o.passes(o.g.Close())
}

// tick comes before each operation on the file system.
func (o *groupOutage) tick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ops--; o.ops >= 0 || o.failed {
		return
	}
	o.failed = true
	for _, q := range o.queues {
		q.mu.Lock()
		q.owed = q.now
		q.mu.Unlock()
	}
	if err := o.fs.Crash(o.image, o.disk, o.mode); err != nil {
		o.t.Error(err)
	}
}

// open makes a group and opens the queues; errors that were injected do not last.
func (o *groupOutage) open() {
	o.g = NewGroup(o.o)
	o.g.whole = o.whole
	for _, q := range o.queues {
		for q.m = nil; q.m == nil; {
			m, err := o.g.Open(q.dir(), Options{ManualRoll: true, Meta: bytes.Repeat([]byte("m"), o.rng.IntN(MaxMeta))})
			if o.passes(err) {
				q.m = m
			} else {
				o.repair()
			}
		}
	}
}

// passes tells whether err is none; otherwise it must be of a kind that was injected in
// this life, for what fails in a sealer is told later.
func (o *groupOutage) passes(err error) bool {
	o.t.Helper()
	if err != nil && (o.bad == nil || !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC)) {
		o.t.Fatalf("life %d: %v", o.life, err)
	}
	return err == nil
}

func (o *groupOutage) any() *groupQueue { return o.queues[o.rng.IntN(len(o.queues))] }

// act does one thing at random.
func (o *groupOutage) act() {
	switch n := o.rng.IntN(24); {
	case n < 10:
		q := o.any()
		for range o.rng.IntN(15) {
			o.append(q)
		}
	case n < 11:
		if b, err := o.any().m.Reserve(o.rng.IntN(2000)); o.passes(err) {
			fill(b[:len(b)/2], 0xEE)
		}
	case n < 13:
		must(o.t, o.fs.Writeback(rand.New(rand.NewPCG(o.rng.Uint64(), 0))))
	case n < 17:
		o.passes(o.any().m.Roll())
	case n < 18:
		o.kill()
	case n < 19:
		o.disturb()
		if o.rng.IntN(3) == 0 {
			o.repair()
			o.deaf, o.torn = true, true
			o.bad = o.fs.Inject(faultfs.Fault{Kinds: []durable.Kind{durable.OpSyncFS}, Applied: o.rng.IntN(2) == 0})
		}
	case n < 21:
		o.seal()
	default:
		if o.passes(o.g.Sync()) {
			o.promise(false)
		}
	}
}

// seal hands over what may be sealed, and sometimes waits for it.
func (o *groupOutage) seal() {
	synced := o.rng.IntN(2) == 0 && o.passes(o.g.Sync())
	if synced {
		o.promise(false)
	}
	if o.passes(o.g.Seal()) && o.rng.IntN(3) > 0 && o.passes(o.g.Wait()) && synced {
		o.promise(true)
	}
}

// promise notes that everything is on disk, and if sealed that the sealers have done
// all that there was to do.
func (o *groupOutage) promise(sealed bool) {
	if sealed && o.g.Stats().Pending == 0 {
		o.torn = o.deaf
	}
	for _, q := range o.queues {
		files, err := ListSegments(q.dir())
		must(o.t, err)
		q.mu.Lock()
		q.now.records = len(q.model)
		for _, f := range files {
			if sealed && f.Sealed && f.FirstSeq >= q.doubt && !slices.Contains(q.now.sealed, f.FirstSeq) {
				q.now.sealed = append(q.now.sealed, f.FirstSeq)
			}
		}
		q.mu.Unlock()
	}
}

// append adds one record to a queue.
func (o *groupOutage) append(q *groupQueue) {
	i, size := len(q.model), o.rng.IntN(300)
	if o.rng.IntN(10) == 0 {
		size = o.rng.IntN(9000)
	}
	r := Record{Time: int64(1000 + i), EventTime: int64(i), Kind: 1, Tag: uint32(o.life), Flags: uint16(o.rng.IntN(2)), Body: body(o.life*1000+i, size)}
	seq, err := q.m.Append(r)
	if !o.passes(err) {
		if q.m.NextSeq() != uint64(i+1) {
			o.t.Fatalf("life %d: next sequence %d after an append that failed behind %d records", o.life, q.m.NextSeq(), i)
		}
		return
	}
	s := q.m.w.active
	at := s.pos - RecordSize(size)
	r.Seq = seq
	q.mu.Lock()
	defer q.mu.Unlock()
	q.model = append(q.model, written{r, s.first, at, bytes.Clone(s.mem[at:s.pos])})
}

// kill ends the group as a killed process would: nothing is synced or sealed any more.
func (o *groupOutage) kill() {
	if o.torn {
		return
	}
	q := &o.g.sealing
	q.mu.Lock()
	q.queue = nil
	q.mu.Unlock()
	q.end()
	for _, m := range o.g.open {
		if m != nil {
			must(o.t, m.w.release())
		}
	}
	o.repair()
	o.open()
	for _, q := range o.queues {
		r := q.m.Recovery()
		if q.doubt = q.m.NextSeq(); q.doubt != uint64(len(q.model)+1) || r.LostRecords != 0 {
			o.t.Fatalf("life %d: next %d after %d records and a kill, recovery %+v", o.life, q.doubt, len(q.model), r)
		}
	}
}

// check checks all queues as the disk has them. That a cut segment has survived is part
// of it: the records are there, and the recovery of a group leaves it as it is.
func (o *groupOutage) check() {
	o.root = o.image
	for _, q := range o.queues {
		q.check()
		copied := q.root + "-again"
		must(o.t, copyDir(q.dir(), copied))
		g := NewGroup(GroupOptions{NoSync: true})
		m, err := g.Open(copied, Options{ManualRoll: true})
		must(o.t, err)
		if r := m.Recovery(); int(m.NextSeq()) != q.now.records+1 || len(r.Sealed) != 0 {
			o.t.Fatalf("life %d: a writer finds %d records, a group %d; recovery %+v", o.life, q.now.records, m.NextSeq()-1, r)
		}
		must(o.t, errors.Join(g.Sync(), g.Seal(), g.Close()))
		verifyAll(o.t, copied)
	}
}

// TestGroupPowerLoss lets the power fail at random moments in the life of a group. What
// was synced is there afterwards, in every queue; what is there is the series.
func TestGroupPowerLoss(t *testing.T) {
	for name, whole := range map[string]int{"file by file": 1 << 30, "file system": 1} {
		t.Run(name, func(t *testing.T) {
			for seed := range 6 * soak() {
				groupPowerLoss(t, seed, whole)
			}
		})
	}
}

func groupPowerLoss(t *testing.T, seed, whole int) {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	rng, disk := rand.New(rand.NewPCG(uint64(seed), 17)), rand.New(rand.NewPCG(uint64(seed), 18))
	first := &outage{t: t, rng: rng, disk: disk, mode: faultfs.Mode{Ordered: seed%2 == 0, Sectors: seed%3 == 0}}
	o := &groupOutage{outage: first, whole: whole, o: GroupOptions{MaxOpen: 1 + rng.IntN(3), Sealers: 1 + rng.IntN(2)}}
	for range 4 {
		o.queues = append(o.queues, &groupQueue{outage: &outage{t: t}})
	}
	o.root = filepath.Join(fastDir(t), "life0")
	defer os.RemoveAll(filepath.Dir(o.root))
	must(t, os.Mkdir(o.root, 0o755))
	for range 3 {
		o.live()
		o.check()
	}
}
