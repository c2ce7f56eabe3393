package fsck_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"chronicle/market"
	"chronicle/store/blob"
	"chronicle/store/fsck"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/tier"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Unix(0, manifesttest.Epoch).Add(24 * time.Hour)

// site is an archive: a book of which three segments are in warm, two sealed ones
// and a live one hot; trades in warm alone; a raw queue.
type site struct {
	manifesttest.Root
	warm, cold *blob.Dir
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "chronicle-test-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{Root: manifesttest.NewRoot(t, dir)}
	s.warm, s.cold = blob.NewDir(s.Archive, "warm"), blob.NewDir(filepath.Join(dir, "cold"), "cold")
	manifesttest.Write(t, s.Clean, book(manifesttest.Epoch, 3))
	manifesttest.Write(t, s.Clean, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: market.StreamTrade, Segments: 2})
	s.move(t)
	later := book(now.UnixNano(), 2)
	later.Live = true
	manifesttest.Write(t, s.Clean, later)
	manifesttest.WriteRaw(t, s.Raw, 3)
	return s
}

func book(start int64, segments int) manifesttest.Stream {
	return manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: market.StreamBook, Segments: segments, GapIn: 2, Start: start}
}

// move runs the tier agent.
func (s *site) move(t testing.TB) {
	t.Helper()
	a, err := tier.Open(context.Background(), tier.Options{Clean: s.Clean, Manifest: s.Manifest, Tiers: []tier.Policy{
		{Tier: blob.Tier{Name: "warm", Store: s.warm}}, {Tier: blob.Tier{Name: "cold", Store: s.cold}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Once(context.Background(), now, tier.OnceOptions{})
	if err := errors.Join(err, a.Close()); err != nil || len(r.Problems) > 0 {
		t.Fatal(r, err)
	}
}

func (s *site) check(t testing.TB, change func(*fsck.Options)) *fsck.Report {
	t.Helper()
	opts := fsck.Options{Root: s.Dir, Tiers: []blob.Tier{{Name: "warm", Store: s.warm}, {Name: "cold", Store: s.cold}}, Deep: true}
	if change != nil {
		change(&opts)
	}
	r, err := fsck.Check(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	warmBook  = "sim/a_usd/book/2024-08-08/00000000000000000009.q"
	warmTrade = "sim/a_usd/trade/2024-08-08/00000000000000000009.q"
	hotBook   = "sim/a_usd/book.q/00000000000000000025.q"
	liveBook  = "sim/a_usd/book.q/00000000000000000041.q"
)

func (s *site) inWarm(key string) string { return filepath.Join(s.Archive, key) }
func (s *site) inHot(key string) string  { return filepath.Join(s.Clean, key) }

func TestCleanArchive(t *testing.T) {
	s := newSite(t)
	var last fsck.Progress
	r := s.check(t, func(o *fsck.Options) { o.Progress = func(p fsck.Progress) { last = p } })
	if !r.Clean() || !r.OK() {
		t.Errorf("findings:\n%v", r)
	}
	want := fsck.Counts{Commits: 2, Streams: 2, Segments: 5, HotSegments: 3, RawSegments: 3, Records: 8*8 + 15, Snapshots: 4, Bytes: r.Checked.Bytes}
	if r.Checked != want || r.Checked.Bytes < 8*4096 {
		t.Errorf("checked %+v, want %+v", r.Checked, want)
	}
	if last.Done != 11 || last.Total != 11 || last.What != s.Raw {
		t.Errorf("progress ends with %+v", last)
	}
	r = s.check(t, func(o *fsck.Options) { o.Deep, o.Quick = false, true })
	if !r.Clean() || r.Checked.Snapshots != 0 {
		t.Errorf("quick: %v", r)
	}
}

// TestNothingIsWritten compares the whole tree before and after.
func TestNothingIsWritten(t *testing.T) {
	s := newSite(t)
	before := tree(t, s.Dir)
	s.check(t, nil)
	if after := tree(t, s.Dir); !reflect.DeepEqual(after, before) {
		t.Errorf("before\n%v\nafter\n%v", before, after)
	}
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		all[path] = st.ModTime().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEmptyRoot(t *testing.T) {
	s := &site{Root: manifesttest.NewRoot(t, t.TempDir())}
	s.warm, s.cold = blob.NewDir(s.Archive, "warm"), blob.NewDir(filepath.Join(s.Dir, "cold"), "cold")
	if r := s.check(t, nil); !r.Clean() {
		t.Errorf("findings:\n%v", r)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// flip changes a bit of a file.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	must(t, os.Remove(path), os.WriteFile(path, b, 0o644))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o644))
}

// edit rewrites the log's rows as another hand would, with valid sums.
func edit(t *testing.T, s *site, change func(*manifest.Segment)) {
	t.Helper()
	path := filepath.Join(s.Manifest, "main", "000000000002.json")
	b, err := os.ReadFile(path)
	must(t, err)
	c, err := manifest.DecodeCommit(b)
	must(t, err)
	for i := range c.Ops {
		if c.Ops[i].Segment != nil && c.Ops[i].Segment.Ref() == (manifest.Ref{Venue: "sim", Symbol: "a_usd", Stream: "book", FirstSeq: 9}) {
			change(c.Ops[i].Segment)
		}
	}
	b, err = c.Encode()
	must(t, err, os.Remove(path), os.WriteFile(path, b, 0o644))
}

// TestQuickTrustsTheFooter: it finds what is missing, not what is damaged inside.
func TestQuickTrustsTheFooter(t *testing.T) {
	s := newSite(t)
	flip(t, s.inWarm(warmBook), 4096+1200)
	if r := s.check(t, func(o *fsck.Options) { o.Deep, o.Quick = false, true }); !r.OK() {
		t.Errorf("quick: %v", r)
	}
	if r := s.check(t, func(o *fsck.Options) { o.Deep = false }); r.OK() {
		t.Errorf("default: %v", r)
	}
}

// TestDeletedOnRecord: a hole is none if the log explains it.
func TestDeletedOnRecord(t *testing.T) {
	s := newSite(t)
	w, err := manifest.OpenWriter(t.Context(), s.Manifest, "main", manifest.WriterOptions{})
	must(t, err)
	for _, seq := range []uint64{1, 9} {
		ref := manifest.Ref{Venue: "sim", Symbol: "a_usd", Stream: "book", FirstSeq: seq}
		row, ok := w.State().Segment(ref)
		if !ok {
			t.Fatalf("%v is not there", ref)
		}
		at := row.Location()
		_, err := w.Commit(manifest.Op{Op: manifest.OpDelete, Of: &ref, At: &at})
		must(t, err, s.warm.Delete(t.Context(), at.Key))
	}
	must(t, w.Close())
	if r := s.check(t, nil); !r.Clean() {
		t.Errorf("findings:\n%v", r)
	}
}

// TestReport compares what people and machines see with golden files.
func TestReport(t *testing.T) {
	s := newSite(t)
	must(t, os.Remove(s.inWarm(warmBook)))
	must(t, os.WriteFile(s.inWarm("sim/a_usd/book/.1.q.tmp-5"), nil, 0o644))
	r := s.check(t, nil)
	if r.OK() || r.Clean() || r.Errors() != 1 {
		t.Errorf("%d errors", r.Errors())
	}
	machine, err := json.MarshalIndent(r, "", "  ")
	must(t, err)
	for name, got := range map[string]string{"report.txt": r.String(), "report.json": string(machine) + "\n"} {
		got = strings.ReplaceAll(got, s.Dir, "/root-of-the-archive")
		got = strings.ReplaceAll(got, fmt.Sprint(r.Checked.Bytes), "12345") // the size of segments is not the matter here
		golden := filepath.Join("testdata", name)
		if *update {
			must(t, os.MkdirAll("testdata", 0o755), os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		must(t, err)
		if got != string(want) {
			t.Errorf("%s is now\n%s", name, got)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []fsck.Options{{}, {Root: "x", Quick: true, Deep: true}} {
		if _, err := fsck.Check(t.Context(), o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

func TestCancelled(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fsck.Check(ctx, fsck.Options{Root: s.Dir, Tiers: []blob.Tier{{Name: "warm", Store: s.warm}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
