package queue

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// fuzzSegment gives a small sealed segment as a seed.
func fuzzSegment(f *testing.F) []byte {
	dir := f.TempDir()
	w := open(f, dir, Options{Meta: []byte(`{}`)})
	add(f, w, 0, 25)
	must(f, w.Roll())
	b, err := os.ReadFile(filepath.Join(dir, SegmentName(1)))
	must(f, err)
	return b
}

// FuzzOpenSegmentAt opens arbitrary bytes as a sealed segment and reads all of
// it: an error or the end, never a panic, never more memory than the input has.
func FuzzOpenSegmentAt(f *testing.F) {
	seed := fuzzSegment(f)
	f.Add(seed)
	f.Add(seed[:len(seed)-1])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xFF}, minSealedSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := OpenSegmentAt(bytes.NewReader(b), int64(len(b)), "fuzz")
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v is no ErrCorrupt", err)
			}
			return
		}
		exercise(t, s)
	})
}

// FuzzFooter gives the fuzzer what checksums keep from it: it writes the footer's
// bytes, and the trailer is made to fit.
func FuzzFooter(f *testing.F) {
	seed := fuzzSegment(f)
	s, err := OpenSegmentAt(bytes.NewReader(seed), int64(len(seed)), "seed")
	must(f, err)
	at := int(s.footer.end) + endSize
	f.Add(seed[:at], seed[at:len(seed)-trailerSize])
	f.Fuzz(func(t *testing.T, front, foot []byte) {
		b := append(bytes.Clone(front), foot...)
		tr := trailer{offset: int64(len(front)), length: int64(len(foot)), crc: crc32.Checksum(foot, castagnoli)}
		b = append(b, make([]byte, trailerSize)...)
		tr.put(b[len(b)-trailerSize:])
		s, err := OpenSegmentAt(bytes.NewReader(b), int64(len(b)), "fuzz")
		if err != nil {
			return
		}
		exercise(t, s)
		if s.Verify() == nil && sha256.Sum256(b[:s.footer.end+endSize]) != s.footer.hash {
			t.Error("verified against a wrong hash")
		}
	})
}

// exercise reads, seeks and verifies; the segment may be nonsense.
func exercise(t *testing.T, s *Segment) {
	c := s.Cursor()
	for n := uint64(0); ; n++ {
		if _, err := c.Next(); err != nil {
			if err == io.EOF && n != s.Info().Records {
				t.Fatalf("%d records, Info says %d", n, s.Info().Records)
			}
			break
		}
	}
	for _, at := range []int64{NoTime, -1, 0, 1010, 1 << 62} {
		_ = c.SeekKey(ByTime, at)
		_, _ = c.Next()
		_ = c.SeekTime(ByEventTime, at)
		_, _ = c.Next()
		_ = c.SeekSeq(uint64(at))
		_, _ = c.Next()
	}
	_ = s.Verify()
	_, _ = s.Count()
}

// FuzzRecovery opens a queue whose last segment's records are arbitrary bytes.
// Whatever is there, opening succeeds or is ErrCorrupt, and what was appended to
// it afterwards is read back behind what was there.
func FuzzRecovery(f *testing.F) {
	b := fuzzSegment(f)
	f.Add(b[headerPage:], []byte{})
	f.Add(b[headerPage:headerPage+500], []byte("index"))
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF}, b[:200])
	head := b[:headerPage]
	f.Fuzz(func(t *testing.T, records, side []byte) {
		dir, err := os.MkdirTemp(fastDir(t), "q")
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, SegmentName(1)), append(bytes.Clone(head), records...), 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "00000000000000000001.idx"), side, 0o644))
		must(t, os.WriteFile(filepath.Join(dir, tableName), side, 0o644))
		if s, err := OpenSegment(filepath.Join(dir, SegmentName(1))); err == nil {
			exercise(t, s)
			must(t, s.Close())
		}
		w, err := OpenWriter(dir, Options{NoSync: true})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		defer w.Close()
		had := w.NextSeq() - 1
		_, err = w.Append(Record{Body: []byte("new")})
		must(t, err)
		from := uint64(0)
		if w.recovery.Cut == "" {
			from = had + 1 // it was sealed: damage in it is for readers to find
		}
		got := readAll(t, dir, from)
		if uint64(len(got)) > had+1 || string(got[len(got)-1].Body) != "new" || got[len(got)-1].Seq != had+1 {
			t.Fatalf("%d records, had %d", len(got), had)
		}
	})
}

// FuzzSidecar gives readers arbitrary bytes as a live index: a seek may fail or
// go astray, but never panic, and walking is not affected.
func FuzzSidecar(f *testing.F) {
	f.Add([]byte(sidecarMagic), int64(1010))
	dir := f.TempDir()
	w := open(f, dir, Options{ManualRoll: true})
	add(f, w, 0, 200)
	side := filepath.Join(dir, "00000000000000000001.idx")
	b, err := os.ReadFile(side)
	must(f, err)
	f.Add(b, int64(1100))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		must(t, os.WriteFile(side, b, 0o644))
		s, err := OpenSegment(filepath.Join(dir, SegmentName(1)))
		must(t, err)
		defer s.Close()
		exercise(t, s)
	})
}
