package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// body gives n bytes that depend on seed alone.
func body(seed, n int) []byte {
	b := make([]byte, n)
	x := uint64(seed)*0x9E3779B97F4A7C15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// sample gives the i-th record of a series used by many tests.
func sample(i int) Record {
	return Record{
		Time: int64(1000 + i), EventTime: int64(900 + i), Kind: uint16(i%5 + 1), Flags: uint16(i % 10 / 9),
		Tag: uint32(i % 3), Body: body(i, i*7%120),
	}
}

func open(tb testing.TB, dir string, o Options) *Writer {
	tb.Helper()
	o.NoSync = true
	w, err := OpenWriter(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.Close() })
	return w
}

// must fails the test on an error.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// add appends the samples from..to-1 of the series.
func add(tb testing.TB, w *Writer, from, to int) {
	tb.Helper()
	for i := from; i < to; i++ {
		if _, err := w.Append(sample(i)); err != nil {
			tb.Fatal(err)
		}
	}
}

// readAll reads the queue in dir from record from on, copying the bodies.
func readAll(tb testing.TB, dir string, from uint64) []Record {
	tb.Helper()
	t, err := OpenTailer(dir, from)
	must(tb, err)
	defer t.Close()
	var out []Record
	for {
		r, ok, err := t.Next()
		must(tb, err)
		if !ok {
			return out
		}
		r.Body = bytes.Clone(r.Body)
		out = append(out, r)
	}
}

// wantSeries checks that got is the series from..to-1, numbered from+1 on.
func wantSeries(tb testing.TB, got []Record, from, to int) {
	tb.Helper()
	if len(got) != to-from {
		tb.Fatalf("%d records, want %d", len(got), to-from)
	}
	for i, r := range got {
		want := sample(from + i)
		want.Seq = uint64(from + i + 1)
		if !same(r, want) {
			tb.Fatalf("record %d is %v, want %v", from+i, r, want)
		}
	}
}

func same(a, b Record) bool {
	return a.Seq == b.Seq && a.Time == b.Time && a.EventTime == b.EventTime && a.Kind == b.Kind &&
		a.Flags == b.Flags && a.Tag == b.Tag && bytes.Equal(a.Body, b.Body)
}

// modes are the ways a writer can be set up that must not differ in what is read.
var modes = map[string]Options{
	"plain":     {SegmentBytes: minSegmentBytes},
	"precreate": {SegmentBytes: minSegmentBytes, Precreate: true},
	"manual":    {SegmentBytes: minSegmentBytes, ManualRoll: true},
	"big":       {},
}

func TestWriteReopenRead(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "raw.q")
			w := open(t, dir, o)
			add(t, w, 0, 500)
			wantSeries(t, readAll(t, dir, 0), 0, 500)
			must(t, w.Close())
			w = open(t, dir, o)
			if w.NextSeq() != 501 {
				t.Errorf("next sequence %d, want 501", w.NextSeq())
			}
			add(t, w, 500, 1000)
			must(t, w.Roll())
			add(t, w, 1000, 1010)
			wantSeries(t, readAll(t, dir, 0), 0, 1010)
			wantSeries(t, readAll(t, dir, 778), 777, 1010)
			must(t, w.Close())
			must(t, w.Close())
			verifyAll(t, dir)
			if _, err := w.Append(sample(0)); !errors.Is(err, ErrClosed) {
				t.Errorf("append after close: %v, want ErrClosed", err)
			}
			if !errors.Is(w.Roll(), ErrClosed) || !errors.Is(w.Sync(), ErrClosed) {
				t.Error("roll or sync after close is no ErrClosed")
			}
		})
	}
}

// verifyAll verifies every segment and that they are neighbours.
func verifyAll(tb testing.TB, dir string) []SegmentInfo {
	tb.Helper()
	files, err := ListSegments(dir)
	must(tb, err)
	var infos []SegmentInfo
	next := uint64(0)
	for _, f := range files {
		s, err := OpenSegment(f.Path)
		must(tb, err)
		must(tb, s.Verify())
		info := s.Info()
		counted, err := s.Count()
		must(tb, err)
		info.Kinds = counted.Kinds
		if fmt.Sprint(info) != fmt.Sprint(counted) {
			tb.Errorf("%s: info %v, counted %v", f.Path, info, counted)
		}
		if next != 0 && info.FirstSeq != next {
			tb.Errorf("%s begins at %d, want %d", f.Path, info.FirstSeq, next)
		}
		next = info.LastSeq + 1
		infos = append(infos, info)
		must(tb, s.Close())
	}
	return infos
}

func TestRollCutsSegments(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{ManualRoll: true, SegmentBytes: minSegmentBytes, Meta: []byte(`{"n":1}`)})
	must(t, w.Roll()) // nothing yet: no segment
	if w.SegmentRecords() != 0 || w.SegmentBytes() != 0 {
		t.Error("an empty queue has a current segment")
	}
	add(t, w, 0, 300)
	if w.SegmentRecords() != 300 || w.SegmentBytes() < minSegmentBytes {
		t.Errorf("%d records, %d bytes in the segment", w.SegmentRecords(), w.SegmentBytes())
	}
	must(t, w.SetMeta([]byte(`{"n":2}`)))
	must(t, w.Roll())
	must(t, w.Roll())
	if w.SegmentRecords() != 0 {
		t.Error("records in the current segment after Roll")
	}
	add(t, w, 300, 301)
	must(t, w.Roll())
	infos := verifyAll(t, dir)
	if len(infos) != 2 || infos[0].Records != 300 || infos[1].Records != 1 {
		t.Fatalf("segments %v, want 300 and 1 records", infos)
	}
	if string(infos[0].Meta) != `{"n":1}` || string(infos[1].Meta) != `{"n":2}` {
		t.Errorf("metadata %s and %s", infos[0].Meta, infos[1].Meta)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*.idx"))
	if len(left) != 0 {
		t.Errorf("live indexes left after sealing: %v", left)
	}
}

func TestSealedInfo(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	for _, r := range []Record{
		{Time: 50, EventTime: NoTime, Kind: 7},
		{Time: 40, EventTime: 30, Kind: 2, Flags: FlagKey | 0x8000, Body: []byte("k")},
		{Time: 60, EventTime: -5, Kind: 2},
		{Time: 55, EventTime: 20, Kind: 300},
	} {
		if _, err := w.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	live, err := OpenSegment(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	defer live.Close()
	must(t, w.Roll())
	sealed, err := OpenSegment(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	defer sealed.Close()
	for name, i := range map[string]SegmentInfo{"live": live.Info(), "sealed": sealed.Info()} {
		if i.FirstSeq != 1 || i.LastSeq != 4 || i.Records != 4 || i.Keys != 1 || i.FirstTime != 40 || i.LastTime != 60 ||
			i.FirstEventTime != -5 || i.LastEventTime != 30 {
			t.Errorf("%s info %+v", name, i)
		}
	}
	i := sealed.Info()
	if fmt.Sprint(i.Kinds) != "map[2:2 7:1 300:1]" || !i.Sealed || len(i.Hash) != len("sha256:")+64 {
		t.Errorf("kinds %v, sealed %v, hash %q", i.Kinds, i.Sealed, i.Hash)
	}
	if st, _ := os.Stat(filepath.Join(dir, SegmentName(1))); st.Size() != i.Bytes {
		t.Errorf("Bytes %d, the file has %d", i.Bytes, st.Size())
	}
	if live.Info().Sealed || live.Info().Hash != "" {
		t.Error("a live segment says it is sealed")
	}
}

func TestReserveCommit(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{SegmentBytes: minSegmentBytes})
	if _, err := w.Commit(Record{}, 0); err == nil {
		t.Error("commit without reserve succeeded")
	}
	for i := range 400 {
		if i%3 == 0 { // a reservation that is given up leaves no trace
			b, err := w.Reserve(200)
			must(t, err)
			fill(b, 0xEE)
		}
		r := sample(i)
		if i%2 == 0 {
			_, err := w.Append(r)
			must(t, err)
			continue
		}
		b, err := w.Reserve(len(r.Body) + 50)
		must(t, err)
		fill(b, 0xFF)
		copy(b, r.Body)
		if _, err := w.Commit(r, len(b)+1); err == nil {
			t.Fatal("committed more than was reserved")
		}
		if _, err := w.Commit(r, len(r.Body)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(r, 0); err == nil {
			t.Fatal("committed a reservation twice")
		}
	}
	wantSeries(t, readAll(t, dir, 0), 0, 400)
	if _, err := w.Reserve(-1); err == nil {
		t.Error("reserved -1 bytes")
	}
	must(t, w.Close())
	w = open(t, dir, Options{SegmentBytes: minSegmentBytes})
	if c := w.Recovery(); c.LostRecords != 0 {
		t.Errorf("recovery after a clean close lost records: %+v", c)
	}
	verifyAll(t, dir)
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

func TestBigRecords(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{SegmentBytes: minSegmentBytes})
	for i, n := range []int{10, minSegmentBytes, 100, 3 << 20, 0, 0} {
		if _, err := w.Append(Record{Time: int64(i), Body: body(i, n)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Append(Record{Body: make([]byte, MaxBody+1)}); !errors.Is(err, ErrTooBig) {
		t.Errorf("body over the limit: %v, want ErrTooBig", err)
	}
	if _, err := w.Reserve(MaxBody + 1); !errors.Is(err, ErrTooBig) {
		t.Errorf("reservation over the limit: %v, want ErrTooBig", err)
	}
	got := readAll(t, dir, 0)
	if len(got) != 6 || len(got[3].Body) != 3<<20 || !bytes.Equal(got[3].Body, body(3, 3<<20)) {
		t.Fatalf("%d records", len(got))
	}
	must(t, w.Roll())
	verifyAll(t, dir)
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"small segment": {SegmentBytes: 100}, "huge segment": {SegmentBytes: 1 << 40},
		"negative interval": {SyncInterval: -1}, "big metadata": {Meta: make([]byte, MaxMeta+1)},
	} {
		if w, err := OpenWriter(t.TempDir(), o); err == nil {
			w.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	w := open(t, t.TempDir(), Options{Meta: make([]byte, MaxMeta)})
	if err := w.SetMeta(make([]byte, MaxMeta+1)); !errors.Is(err, ErrTooBig) {
		t.Errorf("big metadata: %v, want ErrTooBig", err)
	}
	if _, err := OpenTailerOptions(t.TempDir(), 0, TailerOptions{MinSleep: time.Second, MaxSleep: 1}); err == nil {
		t.Error("MinSleep above MaxSleep accepted")
	}
}

func TestBytesAreDeterministic(t *testing.T) {
	var first []byte
	for range 2 {
		dir := t.TempDir()
		w := open(t, dir, Options{Meta: []byte(`{"venue":"sim"}`)})
		add(t, w, 0, 2000)
		must(t, w.Roll())
		b, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
		must(t, err)
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Error("the same records gave different bytes")
		}
	}
}

func TestSyncAndBackgroundSync(t *testing.T) {
	w, err := OpenWriter(t.TempDir(), Options{SegmentBytes: minSegmentBytes, SyncInterval: time.Millisecond, Precreate: true})
	must(t, err)
	for i := range 2000 {
		if _, err := w.Append(sample(i)); err != nil {
			t.Fatal(err)
		}
		if i%400 == 0 {
			must(t, w.Sync())
		}
	}
	must(t, w.Close())
	wantSeries(t, readAll(t, w.dir, 0), 0, 2000)
}

func TestCursorOnSealedReader(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	add(t, w, 0, 5000)
	must(t, w.Roll())
	b, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
	must(t, err)
	s, err := OpenSegmentAt(bytes.NewReader(b), int64(len(b)), "memory")
	must(t, err)
	c := s.Cursor()
	var got []Record
	for {
		r, err := c.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		r.Body = bytes.Clone(r.Body)
		got = append(got, r)
	}
	wantSeries(t, got, 0, 5000)
	if !c.Ended() {
		t.Error("a sealed segment's end is not the end")
	}
	if binary.LittleEndian.Uint32(b[s.footer.end:]) != endWord {
		t.Error("no end word before the footer")
	}
	must(t, s.Verify())
	must(t, s.Close())
}
