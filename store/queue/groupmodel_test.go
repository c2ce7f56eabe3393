package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// modelled is one queue of a group, and what must be in it.
type modelled struct {
	m      *Member
	tail   *Tailer
	tailed int
	model  []Record
	begins []uint64 // first sequences of its segments
	cut    int      // of them, ended
	synced int      // of those, ended before the latest Sync
	handed int      // of those, handed on by Seal
	open   []byte   // a reservation that is outstanding
	want   Record   // what it is for
}

// groupMachine drives a group and a model of it side by side. Its queues are more than
// may be open at a time.
type groupMachine struct {
	tb      *rapid.T
	root    string
	crashes int
	o       GroupOptions
	whole   int
	g       *Group
	queues  []*modelled

	reserved int // the most reservations that were outstanding at a time
}

func (m *groupMachine) check(err error) {
	m.tb.Helper()
	if err != nil {
		m.tb.Fatal(err)
	}
}

func (m *groupMachine) dir(i int) string { return filepath.Join(m.root, fmt.Sprint(i), "book.q") }

// open makes a group, and opens all queues in it.
func (m *groupMachine) open() {
	m.g = NewGroup(m.o)
	m.g.whole = m.whole
	for i, q := range m.queues {
		var err error
		q.m, err = m.g.Open(m.dir(i), Options{ManualRoll: true, Meta: []byte("meta")})
		m.check(err)
		q.synced, q.open = q.handed, nil
		r := q.m.Recovery()
		if q.m.NextSeq() != uint64(len(q.model)+1) || r.LostRecords != 0 || len(r.Pending) != q.cut-q.handed || len(r.Sealed) != 0 || r.Cut != "" && r.CutBytes == 0 {
			m.tb.Fatalf("queue %d: next %d after %d records, %d cut, %d handed on; recovery %+v", i, q.m.NextSeq(), len(q.model), q.cut, q.handed, r)
		}
		q.tail, err = OpenTailer(m.dir(i), uint64(q.tailed+1))
		m.check(err)
	}
}

func (m *groupMachine) any(t *rapid.T) *modelled {
	return m.queues[rapid.IntRange(0, len(m.queues)-1).Draw(t, "queue")]
}

// added notes a record that has been committed.
func (q *modelled) added(r Record) {
	if len(q.begins) == q.cut {
		q.begins = append(q.begins, r.Seq)
	}
	q.model = append(q.model, r)
}

func (m *groupMachine) Append(t *rapid.T) {
	for range rapid.IntRange(1, 20).Draw(t, "n") {
		q, r := m.any(t), drawRecord(t)
		var err error
		r.Seq, err = q.m.Append(r)
		m.check(err)
		q.open = nil
		q.added(r)
	}
}

// Reserve takes a reservation, which may stay for long, while others are used.
func (m *groupMachine) Reserve(t *rapid.T) {
	q, r := m.any(t), drawRecord(t)
	b, err := q.m.Reserve(len(r.Body) + rapid.IntRange(0, 100).Draw(t, "more"))
	m.check(err)
	fill(b, 0xAB)
	q.open, q.want = b, r
}

func (m *groupMachine) Commit(t *rapid.T) {
	q := m.any(t)
	if q.open == nil {
		if _, err := q.m.Commit(Record{}, 0); err == nil {
			m.tb.Fatal("committed what was not reserved")
		}
		return
	}
	copy(q.open, q.want.Body)
	var err error
	q.want.Seq, err = q.m.Commit(q.want, len(q.want.Body))
	m.check(err)
	q.open = nil
	q.added(q.want)
}

func (m *groupMachine) Roll(t *rapid.T) {
	q := m.any(t)
	m.check(q.m.Roll())
	q.open, q.cut = nil, len(q.begins)
	if q.m.SegmentRecords() != 0 {
		m.tb.Fatal("records in the current segment after Roll")
	}
}

func (m *groupMachine) Sync(*rapid.T) {
	m.check(m.g.Sync())
	for _, q := range m.queues {
		q.synced = q.cut
	}
}

func (m *groupMachine) Seal(*rapid.T) {
	m.check(m.g.Seal())
	for _, q := range m.queues {
		q.handed = q.synced
	}
}

func (m *groupMachine) Wait(*rapid.T) { m.check(m.g.Wait()) }

func (m *groupMachine) Tail(t *rapid.T) {
	q := m.any(t)
	for range rapid.IntRange(0, 60).Draw(t, "n") {
		r, ok, err := q.tail.Next()
		m.check(err)
		if !ok {
			if q.tailed != len(q.model) {
				m.tb.Fatalf("the tailer stops at %d of %d", q.tailed, len(q.model))
			}
			return
		}
		if !same(r, q.model[q.tailed]) {
			m.tb.Fatalf("the tailer gives %v, want %v", r, q.model[q.tailed])
		}
		q.tailed++
	}
}

// Seek compares the seeks of a segment with a search in the model.
func (m *groupMachine) Seek(t *rapid.T) {
	i := rapid.IntRange(0, len(m.queues)-1).Draw(t, "queue")
	one := &machine{tb: m.tb, dir: m.dir(i), model: m.queues[i].model}
	one.Seek(t)
}

func (m *groupMachine) close() {
	m.check(m.g.Close())
	for _, q := range m.queues {
		m.check(q.tail.Close())
	}
}

// Reopen ends the group, which finishes what it was handed.
func (m *groupMachine) Reopen(*rapid.T) {
	m.close()
	m.open()
}

// Crash goes on with a copy of the directories, as a killed process leaves them.
func (m *groupMachine) Crash(*rapid.T) {
	m.check(m.g.Wait()) // a copy of what is being sealed would be of no single moment
	m.crashes++
	crashed := filepath.Join(filepath.Dir(m.root), fmt.Sprint("crash", m.crashes))
	for i := range m.queues {
		to := filepath.Join(crashed, fmt.Sprint(i), "book.q")
		m.check(copyDir(m.dir(i), to))
	}
	m.close()
	m.root = crashed
	m.open()
}

// Check runs after every action: what is open is bounded, and what was not handed on is
// not sealed.
func (m *groupMachine) Check(t *rapid.T) {
	reserved := 0
	for _, q := range m.queues {
		if q.open != nil {
			reserved++
		}
		if q.m.NextSeq() != uint64(len(q.model)+1) {
			m.tb.Fatalf("next sequence %d, want %d", q.m.NextSeq(), len(q.model)+1)
		}
	}
	m.reserved = max(m.reserved, reserved)
	if s := m.g.Stats(); s.Open > max(m.o.MaxOpen, m.reserved+1) || s.Members != len(m.queues) {
		m.tb.Fatalf("%+v with at most %d reservations so far", s, m.reserved)
	}
	i := rapid.IntRange(0, len(m.queues)-1).Draw(t, "look at")
	m.checkSealed(i, false)
}

// checkSealed checks which segments of a queue are sealed: none that was not handed on,
// and, when the sealers are done, all others.
func (m *groupMachine) checkSealed(i int, done bool) {
	q := m.queues[i]
	files, err := ListSegments(m.dir(i))
	m.check(err)
	if n := len(q.begins); len(files) == n+1 && q.cut == n && files[n].FirstSeq == q.m.NextSeq() {
		files = files[:n] // begun by a reservation
	}
	if len(files) != len(q.begins) {
		m.tb.Fatalf("queue %d has %d segments, want %d", i, len(files), len(q.begins))
	}
	for n, f := range files {
		if f.FirstSeq != q.begins[n] || f.Sealed && n >= q.handed || done && !f.Sealed && n < q.handed {
			m.tb.Fatalf("queue %d, segment %d of %d: %+v, but %d handed on (done: %v)", i, n, len(files), f, q.handed, done)
		}
	}
}

// finish reads everything back.
func (m *groupMachine) finish() {
	m.check(m.g.Wait())
	for i, q := range m.queues {
		m.checkSealed(i, true)
		for q.tailed < len(q.model) {
			r, ok, err := q.tail.Next()
			if m.check(err); !ok || !same(r, q.model[q.tailed]) {
				m.tb.Fatalf("queue %d: tailed %v, %v, want %v", i, r, ok, q.model[q.tailed])
			}
			q.tailed++
		}
	}
	for _, q := range m.queues {
		m.check(q.m.Roll())
		q.cut = len(q.begins)
	}
	m.Sync(nil)
	m.Seal(nil)
	m.check(m.g.Wait())
	for i, q := range m.queues {
		m.checkSealed(i, true)
		if s := m.g.Stats(); s.Pending != 0 {
			m.tb.Fatalf("all is sealed, but %+v", s)
		}
		infos := m.verify(i)
		if n := len(infos); n > 0 && infos[n-1].LastSeq != uint64(len(q.model)) {
			m.tb.Fatalf("queue %d ends at %d, want %d", i, infos[n-1].LastSeq, len(q.model))
		}
	}
}

func TestGroupAgainstModel(t *testing.T) {
	for name, whole := range map[string]int{"file by file": 1 << 30, "file system": 1} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				root := fastDir(t)
				defer os.RemoveAll(root)
				m := &groupMachine{tb: rt, root: filepath.Join(root, "crash0"), whole: whole, o: GroupOptions{
					MaxOpen: rapid.IntRange(1, 4).Draw(rt, "max open"), Sealers: rapid.IntRange(1, 3).Draw(rt, "sealers"),
				}}
				for range 6 {
					m.queues = append(m.queues, &modelled{})
				}
				m.open()
				defer func() {
					m.g.Close()
					for _, q := range m.queues {
						q.tail.Close()
					}
				}()
				rt.Repeat(rapid.StateMachineActions(m))
				m.finish()
			})
		})
	}
}

// verify verifies every segment of a queue.
func (m *groupMachine) verify(i int) (infos []SegmentInfo) {
	files, err := ListSegments(m.dir(i))
	m.check(err)
	for _, f := range files {
		s, err := OpenSegment(f.Path)
		m.check(err)
		m.check(s.Verify())
		infos = append(infos, s.Info())
		m.check(s.Close())
	}
	return infos
}
