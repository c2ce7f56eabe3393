package query

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chronicle/book"
	"chronicle/market"
)

// wantError checks an error's code and field, and that its text contains text.
func wantError(t tester, err error, code Code, field, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || !strings.Contains(err.Error(), text) {
		t.Fatalf("got error %v, want %s of field %q with %q in it", err, code, field, text)
	}
}

// TestDamageIsNeverAnAnswer: whatever byte of whatever segment is changed, or
// wherever one is cut, an answer is an error or what it was before.
func TestDamageIsNeverAnAnswer(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	f := newFlow(s, 21)
	f.run(120, 30)
	s.roll()
	s.close()
	m := r.mover()
	m.move(s.sealed()[0], stepDone)
	m.close()
	req := RangeRequest{Schema: "mbp-3", Symbols: []string{"sim:abc"}, End: 1 << 62, Clock: ClockRecv, PriceType: PriceFixed}
	want := naiveRange(req, []*stream{s})
	rng, refused := rand.New(rand.NewPCG(5, 6)), 0
	var files []string
	check(t, filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".q") && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	const rounds = 400
	for i := range rounds {
		path := files[rng.IntN(len(files))]
		whole, err := os.ReadFile(path)
		check(t, err)
		st, err := os.Stat(path)
		check(t, err)
		damage(t, path, whole, rng, i%10 == 0)
		if !undamaged(t, r, req, want, s, s.records[rng.IntN(len(s.records))].time) {
			refused++
		}
		check(t, os.WriteFile(path, whole, 0o644))
		check(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
	}
	if refused < rounds/2 {
		t.Fatalf("only %d of %d damaged archives were noticed", refused, rounds)
	}
}

// damage changes one byte of a file, or cuts it.
func damage(t *testing.T, path string, whole []byte, rng *rand.Rand, cut bool) {
	t.Helper()
	b := slices.Clone(whole)
	if cut {
		b = b[:rng.IntN(len(b))]
	} else {
		for at := rng.IntN(len(b)); ; at = rng.IntN(len(b)) {
			if at < 512 || at >= 4096 { // most of the header page is padding
				b[at] ^= byte(1 + rng.IntN(255))
				break
			}
		}
	}
	check(t, os.WriteFile(path, b, 0o644))
}

// undamaged asks for a range and a book. It tells whether both were answered, and
// fails if one of them was, wrongly.
func undamaged(t *testing.T, r *root, req RangeRequest, want []string, s *stream, at int64) bool {
	t.Helper()
	a := r.open()
	defer a.Close()
	rows, err := tryCollect(a, req)
	if err == nil && !slices.Equal(rows, want) {
		t.Fatalf("a wrong range of %d rows instead of %d", len(rows), len(want))
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Code != DataLoss && e.Code != Unavailable {
			t.Fatalf("unexpected error %v", err)
		}
	}
	if _, bookErr := a.BookAt(context.Background(), BookRequest{Symbol: "sim:abc", At: at, Depth: 5}); bookErr == nil {
		checkBookAt(t, a, s, at, ClockRecv)
	} else if err == nil {
		t.Fatalf("the range is whole but the book is not: %v", bookErr)
	}
	return err == nil
}

// TestSnapshotThatDiffers: a snapshot made by the ETL that is not the book that
// the records before it make is refused by every range that passes it.
func TestSnapshotThatDiffers(t *testing.T) {
	r := newRoot(t, tempDir(t))
	s := r.stream(bookID("sim", "abc"), l2Def)
	bid := func(price, size int64) market.Entry {
		return market.Entry{Side: market.Bid, Price: price, Size: size, Action: market.Modify}
	}
	s.event(market.KindBook, 10, 10, bid(100, 1))
	s.event(market.KindBook, 20, 20, bid(101, 1))
	s.book = book.New(market.L2) // the writer forgets what it had
	s.inject(30, 30)
	s.event(market.KindBook, 40, 40, bid(102, 1))
	s.close()
	a := r.open()
	defer a.Close()
	_, err := tryCollect(a, RangeRequest{Schema: "mbp-1", Symbols: []string{"sim:abc"}})
	wantError(t, err, DataLoss, "", "record 4: the snapshot differs from the book")
}

// TestForeignSegment: a segment of another stream in a stream's folder is refused.
func TestForeignSegment(t *testing.T) {
	r := newRoot(t, tempDir(t))
	def := r.stream(bookID("sim", "def"), l2Def)
	def.event(market.KindBook, 10, 10)
	def.roll()
	def.close()
	abc := filepath.Join(r.dir, "queues", "clean", "sim", "abc", "book.q")
	check(t, os.MkdirAll(abc, 0o755))
	check(t, os.Rename(def.sealed()[0].Path, filepath.Join(abc, "00000000000000000001.q")))
	a := r.open()
	defer a.Close()
	_, err := a.BookAt(context.Background(), BookRequest{Symbol: "sim:abc", At: 10, Depth: 1})
	wantError(t, err, DataLoss, "", "sim:def book")
}
