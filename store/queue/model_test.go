package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// machine drives a queue and a slice of records side by side. A crash is a copy
// of the directory as it is at that moment: what a killed process leaves.
type machine struct {
	tb      *rapid.T
	root    string
	dir     string
	crashes int
	options Options
	w       *Writer
	tail    *Tailer
	tailed  int // records that the tailer has given
	model   []Record
}

func (m *machine) check(err error) {
	m.tb.Helper()
	if err != nil {
		m.tb.Fatal(err)
	}
}

func drawRecord(t *rapid.T) Record {
	r := Record{
		Time:      rapid.Int64Range(0, 200).Draw(t, "time"),
		EventTime: rapid.OneOf(rapid.Just(NoTime), rapid.Int64Range(-50, 150)).Draw(t, "event"),
		Kind:      rapid.Uint16Range(1, 4).Draw(t, "kind"),
		Tag:       rapid.Uint32().Draw(t, "tag"),
	}
	if rapid.IntRange(0, 9).Draw(t, "key") == 0 {
		r.Flags = FlagKey
	}
	n := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 3000), rapid.Just(20000)).Draw(t, "size")
	r.Body = body(rapid.IntRange(0, 1000).Draw(t, "body"), n)
	return r
}

func (m *machine) open() {
	w, err := OpenWriter(m.dir, m.options)
	m.check(err)
	m.w = w
	if got := w.NextSeq(); got != uint64(len(m.model)+1) {
		m.tb.Fatalf("next sequence %d after opening, want %d", got, len(m.model)+1)
	}
	if w.Recovery().LostRecords != 0 {
		m.tb.Fatalf("recovery lost records: %+v", w.Recovery())
	}
	m.tail, err = OpenTailer(m.dir, uint64(m.tailed+1))
	m.check(err)
}

func (m *machine) Append(t *rapid.T) {
	for range rapid.IntRange(1, 40).Draw(t, "n") {
		r := drawRecord(t)
		seq, err := m.w.Append(r)
		m.check(err)
		r.Seq = seq
		m.model = append(m.model, r)
	}
}

func (m *machine) ReserveCommit(t *rapid.T) {
	r := drawRecord(t)
	b, err := m.w.Reserve(len(r.Body) + rapid.IntRange(0, 100).Draw(t, "more"))
	m.check(err)
	fill(b, 0xAB)
	copy(b, r.Body)
	if rapid.Bool().Draw(t, "give up") {
		return
	}
	r.Seq, err = m.w.Commit(r, len(r.Body))
	m.check(err)
	m.model = append(m.model, r)
}

func (m *machine) Roll(*rapid.T) {
	m.check(m.w.Roll())
	if m.w.SegmentRecords() != 0 {
		m.tb.Fatal("records in the current segment after Roll")
	}
}

func (m *machine) Tail(t *rapid.T) {
	for range rapid.IntRange(0, 60).Draw(t, "n") {
		r, ok, err := m.tail.Next()
		m.check(err)
		if !ok {
			if m.tailed != len(m.model) {
				m.tb.Fatalf("the tailer stops at %d of %d", m.tailed, len(m.model))
			}
			return
		}
		if !same(r, m.model[m.tailed]) {
			m.tb.Fatalf("the tailer gives %v, want %v", r, m.model[m.tailed])
		}
		m.tailed++
	}
}

func (m *machine) close() {
	m.check(errors.Join(m.tail.Close(), m.w.Close()))
}

func (m *machine) Reopen(*rapid.T) {
	m.close()
	m.open()
}

func (m *machine) Crash(t *rapid.T) {
	m.crashes++
	crashed := filepath.Join(m.root, fmt.Sprint("crash", m.crashes))
	if m.w.helper != nil {
		m.check(m.w.Sync()) // a copy of what is being sealed would be of no single moment
	}
	m.check(copyDir(m.dir, crashed))
	m.close()
	m.dir = crashed
	m.options.SegmentBytes = rapid.Int64Range(minSegmentBytes, 8*minSegmentBytes).Draw(t, "segment bytes")
	m.open()
}

// copyDir copies the files of a directory, leaving out those that go meanwhile.
func copyDir(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Seek compares the seeks of every segment with a search in the model.
func (m *machine) Seek(t *rapid.T) {
	files, err := ListSegments(m.dir)
	m.check(err)
	if len(files) == 0 {
		return
	}
	file := rapid.SampledFrom(files).Draw(t, "segment")
	s, err := OpenSegment(file.Path)
	m.check(err)
	defer s.Close()
	info := s.Info()
	records := m.model[info.FirstSeq-1 : info.LastSeq]
	clock := rapid.SampledFrom([]Clock{ByTime, ByEventTime}).Draw(t, "clock")
	at := rapid.Int64Range(-60, 210).Draw(t, "at")
	seq := rapid.Uint64Range(0, info.LastSeq+3).Draw(t, "seq")
	c := s.Cursor()
	m.check(c.SeekTime(clock, at))
	m.wantAt(c, records, naiveTime(records, clock, at), "SeekTime")
	m.check(c.SeekKey(clock, at))
	m.wantAt(c, records, naiveKey(records, clock, at), "SeekKey")
	m.check(c.SeekSeq(seq))
	m.wantAt(c, records, int(max(seq, info.FirstSeq)-info.FirstSeq), "SeekSeq")
}

// wantAt checks that the cursor gives records from want on.
func (m *machine) wantAt(c *Cursor, records []Record, want int, what string) {
	for i := want; i < min(want+3, len(records)+1); i++ {
		r, err := c.Next()
		if i >= len(records) {
			if err == nil {
				m.tb.Fatalf("%s: got record %d after the last", what, r.Seq)
			}
			return
		}
		m.check(err)
		if !same(r, records[i]) {
			m.tb.Fatalf("%s: got record %d, want %d", what, r.Seq, records[i].Seq)
		}
	}
}

func clockOf(r Record, clock Clock) int64 {
	if clock == ByEventTime {
		return r.EventTime
	}
	return r.Time
}

// naiveTime is SeekTime by its definition.
func naiveTime(records []Record, clock Clock, t int64) int {
	run := NoTime
	for i, r := range records {
		if run = max(run, clockOf(r, clock)); run >= t {
			return i
		}
	}
	return len(records)
}

// naiveKey is SeekKey by its definition.
func naiveKey(records []Record, clock Clock, t int64) int {
	run, found := NoTime, 0
	for i, r := range records {
		if run = max(run, clockOf(r, clock)); run <= t && r.Key() {
			found = i
		}
	}
	return found
}

func TestAgainstModel(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				root := fastDir(t)
				defer os.RemoveAll(root)
				o.NoSync = true
				m := &machine{tb: rt, root: root, dir: filepath.Join(root, "q"), options: o}
				m.open()
				defer func() { m.w.Close(); m.tail.Close() }()
				rt.Repeat(rapid.StateMachineActions(m))
				m.finish()
			})
		})
	}
}

// Check runs after every action.
func (m *machine) Check(*rapid.T) {
	if got := m.w.NextSeq(); got != uint64(len(m.model)+1) {
		m.tb.Fatalf("next sequence %d, want %d", got, len(m.model)+1)
	}
}

// finish reads everything back, segment by segment and as one stream.
func (m *machine) finish() {
	m.check(m.w.Roll())
	m.check(m.w.Sync())
	files, err := ListSegments(m.dir)
	m.check(err)
	var all []Record
	for _, f := range files {
		s, err := OpenSegment(f.Path)
		m.check(err)
		m.check(s.Verify())
		if !s.Info().Sealed && s.Info().Records > 0 {
			m.tb.Fatalf("%s is not sealed after Roll", f.Path)
		}
		for c := s.Cursor(); ; {
			r, err := c.Next()
			if err != nil {
				break
			}
			r.Body = bytes.Clone(r.Body)
			all = append(all, r)
		}
		m.check(s.Close())
	}
	if len(all) != len(m.model) {
		m.tb.Fatalf("%d records in the segments, want %d", len(all), len(m.model))
	}
	for i := range all {
		if !same(all[i], m.model[i]) {
			m.tb.Fatalf("record %v, want %v", all[i], m.model[i])
		}
	}
}
