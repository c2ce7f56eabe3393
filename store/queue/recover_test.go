package queue

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unsealed gives the bytes of a segment of the samples from..to-1 with its end
// word, as it is between Roll's end and the seal.
func unsealed(t *testing.T, from, to int, ended bool) []byte {
	t.Helper()
	dir := fastDir(t)
	m := &segmentMaker{dir: dir, options: &Options{SegmentBytes: defaultSegmentBytes, reserve: reserveBlocks}}
	s, err := m.create(defaultSegmentBytes, headerPage+endSize)
	must(t, err)
	must(t, m.publish(s, uint64(from+1), []byte(`{"from":"unsealed"}`)))
	for i := from; i < to; i++ {
		r := sample(i)
		must(t, s.grow(len(r.Body)))
		copy(s.mem[s.pos+recordHeader:], r.Body)
		must(t, s.commit(&r, uint64(i+1), len(r.Body)))
	}
	if ended {
		s.end()
	}
	b := bytes.Clone(s.mem[:s.size.Load()])
	must(t, s.discard())
	return b
}

// sealedBytes gives the bytes of a sealed segment of the samples from..to-1.
func sealedBytes(t *testing.T, from, to int) []byte {
	t.Helper()
	dir := queueOf(t, map[uint64][]byte{uint64(from + 1): unsealed(t, from, to, true)})
	must(t, open(t, dir, Options{}).Close())
	b, err := os.ReadFile(filepath.Join(dir, SegmentName(uint64(from+1))))
	must(t, err)
	return b
}

// TestRecoveryStates opens a queue in each state that a crash can leave.
func TestRecoveryStates(t *testing.T) {
	empty := func(from int) []byte { return unsealed(t, from, from, false) }
	sealed := sealedBytes(t, 0, 100)
	half := append(bytes.Clone(sealed[:len(sealed)-trailerSize]), make([]byte, trailerSize-1)...)
	for _, c := range []struct {
		name      string
		segs      map[uint64][]byte
		records   int // in the queue afterwards
		segment   int // of them, in the current segment
		sealed    int // segments sealed by recovery
		discarded int
	}{
		{name: "nothing", segs: nil},
		{name: "live", segs: map[uint64][]byte{1: unsealed(t, 0, 100, false)}, records: 100, segment: 100},
		{name: "empty", segs: map[uint64][]byte{1: empty(0)}, discarded: 1},
		{name: "ended, not sealed", segs: map[uint64][]byte{1: unsealed(t, 0, 100, true)}, records: 100, sealed: 1},
		{name: "footer half written", segs: map[uint64][]byte{1: half}, records: 100, sealed: 1},
		{name: "sealed", segs: map[uint64][]byte{1: sealed}, records: 100},
		{name: "sealed, then empty", segs: map[uint64][]byte{1: sealed, 101: empty(100)}, records: 100, discarded: 1},
		{name: "new segment before the end word", segs: map[uint64][]byte{1: unsealed(t, 0, 100, false), 101: empty(100)},
			records: 100, segment: 100, discarded: 1},
		{name: "end word, new segment empty", segs: map[uint64][]byte{1: unsealed(t, 0, 100, true), 101: empty(100)},
			records: 100, sealed: 1, discarded: 1},
		{name: "rolled, not sealed", segs: map[uint64][]byte{1: unsealed(t, 0, 100, true), 101: unsealed(t, 100, 130, false)},
			records: 130, segment: 30, sealed: 1},
		{name: "end word lost, next has records", segs: map[uint64][]byte{1: unsealed(t, 0, 100, false), 101: unsealed(t, 100, 130, false)},
			records: 130, segment: 30, sealed: 1},
		{name: "three to seal", segs: map[uint64][]byte{1: unsealed(t, 0, 100, true), 101: unsealed(t, 100, 130, true), 131: unsealed(t, 130, 150, true)},
			records: 150, sealed: 3},
		{name: "file without bytes", segs: map[uint64][]byte{1: sealed, 101: nil}, records: 100, discarded: 1},
		{name: "file of zeros", segs: map[uint64][]byte{1: sealed, 101: make([]byte, minStep)}, records: 100, discarded: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := queueOf(t, c.segs)
			must(t, os.WriteFile(filepath.Join(dir, "making-1.q.tmp"), []byte("x"), 0o644))
			must(t, os.WriteFile(filepath.Join(dir, "00000000000000000001.idx"), []byte("stale"), 0o644))
			w := open(t, dir, Options{ManualRoll: true})
			r := w.Recovery()
			if int(w.NextSeq()) != c.records+1 || int(w.SegmentRecords()) != c.segment || len(r.Sealed) != c.sealed ||
				len(r.Discarded) != c.discarded || r.LostRecords != 0 || r.Cut != "" || len(r.Removed) != 1 || r.LastSeq != uint64(c.records) {
				t.Errorf("next %d, in segment %d, recovery %+v", w.NextSeq(), w.SegmentRecords(), r)
			}
			wantSeries(t, readAll(t, dir, 0), 0, c.records)
			add(t, w, c.records, c.records+50)
			wantSeries(t, readAll(t, dir, 0), 0, c.records+50)
			must(t, w.Roll())
			verifyAll(t, dir)
		})
	}
}

// TestRecoveryRefuses opens a queue with damage that must not be cut away.
func TestRecoveryRefuses(t *testing.T) {
	sealed := sealedBytes(t, 0, 100)
	broken := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x10
		return b
	}
	live := unsealed(t, 0, 100, false)
	for name, segs := range map[string]map[uint64][]byte{
		"footer damaged":                      {1: broken(sealed, len(sealed)-trailerSize-20)},
		"header magic of live damaged":        {1: broken(live, 3)},
		"middle without predecessor":          {101: unsealed(t, 100, 110, false), 131: sealedBytes(t, 130, 140)},
		"header meta of live damaged":         {1: broken(live, headerMeta+2)},
		"wrong name":                          {7: live},
		"sealed under a wrong name":           {7: sealed},
		"earlier one stops, sealed later":     {1: unsealed(t, 0, 90, false), 101: sealedBytes(t, 100, 130)},
		"overlap":                             {1: sealed, 51: unsealed(t, 50, 130, false)},
		"earlier without bytes, sealed later": {1: nil, 101: sealedBytes(t, 100, 130), 131: unsealed(t, 130, 140, false)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := queueOf(t, segs)
			w, err := OpenWriter(dir, Options{NoSync: true})
			if !errors.Is(err, ErrCorrupt) {
				if err == nil {
					w.Close()
				}
				t.Fatalf("opened with %v, want ErrCorrupt", err)
			}
			for first, want := range segs {
				got, err := os.ReadFile(filepath.Join(dir, SegmentName(first)))
				must(t, err)
				if !bytes.Equal(got, want) {
					t.Errorf("segment %d was changed", first)
				}
			}
			if _, err := OpenWriter(dir, Options{NoSync: true}); errors.Is(err, ErrLocked) {
				t.Error("the failed open has kept the lock")
			}
		})
	}
}

// TestLossBeforeLaterSegments loses, in a crash of the machine, records that are
// followed by segments which were not sealed either. The queue goes on where its
// records stop; what was behind is kept aside.
func TestLossBeforeLaterSegments(t *testing.T) {
	sealed, live := sealedBytes(t, 0, 100), unsealed(t, 100, 130, false)
	torn := unsealed(t, 0, 100, true)
	clear(torn[2*headerPage : 3*headerPage]) // a page that was not written
	damaged := unsealed(t, 0, 100, false)
	damaged[headerPage+50] ^= 0x10 // in the second record
	for name, c := range map[string]struct {
		segs    map[uint64][]byte
		table   uint64 // next sequence that index.meta has, on disk
		records int    // that are left
		aside   int
		lost    uint64
	}{
		"stops too soon":   {map[uint64][]byte{1: unsealed(t, 0, 90, false), 101: live}, 1, 90, 1, 30},
		"damaged":          {map[uint64][]byte{1: damaged, 101: live}, 1, 1, 1, 128},
		"without bytes":    {map[uint64][]byte{1: nil, 101: live}, 1, 0, 1, 30},
		"torn":             {map[uint64][]byte{1: torn, 101: live, 131: unsealed(t, 130, 140, false)}, 1, 41, 2, 59},
		"all of one":       {map[uint64][]byte{1: sealed, 131: unsealed(t, 130, 140, false)}, 101, 100, 1, 10},
		"all of the first": {map[uint64][]byte{101: live}, 1, 0, 1, 30},
	} {
		t.Run(name, func(t *testing.T) {
			dir := queueOf(t, c.segs)
			writeTable(t, dir, c.table)
			w := open(t, dir, Options{})
			r := w.Recovery()
			if int(w.NextSeq()) != c.records+1 || len(r.SetAside) != c.aside || r.LostRecords != c.lost || len(r.SavedTo) < c.aside {
				t.Fatalf("next %d, recovery %+v", w.NextSeq(), r)
			}
			for i, path := range r.SetAside {
				first, _ := parseSegmentName(filepath.Base(path))
				if b, err := os.ReadFile(r.SavedTo[i]); err != nil || !bytes.Equal(b, c.segs[first]) {
					t.Errorf("%s is not kept in %s: %v", path, r.SavedTo[i], err)
				}
			}
			add(t, w, c.records, 140)
			wantSeries(t, readAll(t, dir, 0), 0, 140)
			must(t, w.Close())
			w = open(t, dir, Options{})
			if r := w.Recovery(); r.LostRecords != 0 || len(r.SetAside) != 0 || r.Cut != "" {
				t.Errorf("the second recovery finds losses: %+v", r)
			}
		})
	}
}

// writeTable writes an index.meta without entries.
func writeTable(t *testing.T, dir string, next uint64) {
	t.Helper()
	table := &table{dir: dir, reserve: reserveBlocks, next: next}
	must(t, table.rewrite())
}

// TestMovedAwayIsNoLoss: a hole behind sealed segments is what the archive has, if
// index.meta knows that it was sealed, or if there is no index.meta.
func TestMovedAwayIsNoLoss(t *testing.T) {
	for _, table := range []uint64{0, 131, 141} {
		dir := queueOf(t, map[uint64][]byte{1: sealedBytes(t, 0, 100), 131: unsealed(t, 130, 140, false)})
		if table > 0 {
			writeTable(t, dir, table)
		}
		w := open(t, dir, Options{})
		if r := w.Recovery(); w.NextSeq() != 141 || len(r.SetAside) != 0 {
			t.Errorf("table %d: next %d, recovery %+v", table, w.NextSeq(), r)
		}
	}
}

// TestDamageInSealedSegments flips every byte of a sealed segment in turn: no
// reader may take it for whole.
func TestDamageInSealedSegments(t *testing.T) {
	b := sealedBytes(t, 0, 30)
	for at := range b {
		bad := bytes.Clone(b)
		bad[at] ^= 0x04
		s, err := OpenSegmentAt(bytes.NewReader(bad), int64(len(bad)), "damaged")
		if err == nil {
			err = s.Verify()
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d flipped: %v, want ErrCorrupt", at, len(b), err)
		}
	}
	for size := range len(b) {
		if _, err := OpenSegmentAt(bytes.NewReader(b[:size]), int64(size), "cut"); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d of %d bytes: %v, want ErrCorrupt", size, len(b), err)
		}
	}
}

func TestHeaderIsRebuilt(t *testing.T) {
	b := unsealed(t, 0, 100, false)
	clear(b[:headerPage])
	dir := queueOf(t, map[uint64][]byte{1: b})
	w := open(t, dir, Options{Meta: []byte(`{"by":"options"}`)})
	if !w.Recovery().HeaderRebuilt || w.NextSeq() != 101 {
		t.Fatalf("recovery %+v, next %d", w.Recovery(), w.NextSeq())
	}
	must(t, w.Roll())
	if infos := verifyAll(t, dir); string(infos[0].Meta) != `{"by":"options"}` {
		t.Errorf("metadata %s", infos[0].Meta)
	}
}

// TestTableAheadOfTheSegments: index.meta knows of records that are not there.
func TestTableAheadOfTheSegments(t *testing.T) {
	dir := t.TempDir()
	w := rolled(t, dir)
	must(t, w.Close())
	must(t, os.Remove(filepath.Join(dir, SegmentName(41))))
	must(t, os.WriteFile(filepath.Join(dir, SegmentName(31)), unsealed(t, 30, 35, false), 0o644))
	if _, err := OpenWriter(dir, Options{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tableName) {
		t.Fatalf("opened with %v, want ErrCorrupt naming %s", err, tableName)
	}
	must(t, os.Remove(filepath.Join(dir, tableName)))
	if w = open(t, dir, Options{}); w.NextSeq() != 36 {
		t.Errorf("next sequence %d, want 36", w.NextSeq())
	}
}

// TestTableIsRebuilt: whatever is in index.meta, opening makes it right.
func TestTableIsRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"lost":    os.Remove,
		"zeros":   func(p string) error { return os.WriteFile(p, make([]byte, pageSize), 0o644) },
		"short":   func(p string) error { return os.WriteFile(p, []byte("x"), 0o644) },
		"garbage": func(p string) error { return os.WriteFile(p, body(1, pageSize), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, rolled(t, dir).Close())
			must(t, spoil(filepath.Join(dir, tableName)))
			wantSeries(t, readAll(t, dir, 12), 11, 50) // readers do without it
			w := open(t, dir, Options{})
			add(t, w, 50, 60)
			table, ok, err := ReadTable(dir)
			must(t, err)
			if !ok || table.NextSeq != 51 || len(table.Segments) != 6 || table.Segments[5].FirstSeq != 51 || table.Segments[5].LastSeq != 0 {
				t.Errorf("table %+v, there: %v", table, ok)
			}
			if s := table.Segments[1]; s.FirstSeq != 11 || s.LastSeq != 20 || s.FirstTime != 1010 || s.LastTime != 1019 || s.FirstEventTime != 910 {
				t.Errorf("entry %+v", s)
			}
		})
	}
}

// TestTableGrows has more segments than a page of the table has room for.
func TestTableGrows(t *testing.T) {
	for _, o := range []Options{{}, {Precreate: true, SegmentBytes: minSegmentBytes}} {
		dir := fastDir(t)
		w := open(t, dir, o)
		tailer := tail(t, dir, 0)
		for i := range 200 {
			add(t, w, i, i+1)
			must(t, w.Roll())
			wantSeries(t, []Record{await(t, tailer)}, i, i+1)
		}
		must(t, w.Sync())
		table, ok, err := ReadTable(dir)
		must(t, err)
		if !ok || len(table.Segments) != 200 || table.NextSeq != 201 || table.Segments[199].LastSeq != 200 {
			t.Errorf("table with %d segments, next %d", len(table.Segments), table.NextSeq)
		}
		must(t, w.Close())
	}
}
