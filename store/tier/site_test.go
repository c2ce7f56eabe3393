package tier_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chronicle/market"
	"chronicle/store/blob"
	"chronicle/store/fsck"
	"chronicle/store/manifest"
	"chronicle/store/manifest/manifesttest"
	"chronicle/store/queue"
	"chronicle/store/tier"
)

// now is late enough for every segment of the fixtures to be due for warm, and
// too early for cold.
var now = time.Unix(0, manifesttest.Epoch).Add(24 * time.Hour)

// longAfter is late enough for cold.
var longAfter = now.Add(30 * 24 * time.Hour)

// site is a root with its tiers, and what must be found in it.
type site struct {
	manifesttest.Root
	warm, cold *blob.Dir
	want       map[manifest.Ref]string // hash by segment
	opts       tier.Options
}

// newSite makes a root of two streams: a book with a gap and a live segment, and
// trades. Tiers are at the places given.
func newSite(t testing.TB, root, warm, cold string) *site {
	t.Helper()
	s := &site{Root: manifesttest.NewRoot(t, root), warm: blob.NewDir(warm, "warm"), cold: blob.NewDir(cold, "cold"), want: map[manifest.Ref]string{}}
	s.opts = tier.Options{Clean: s.Clean, Manifest: s.Manifest, Tiers: []tier.Policy{
		{Tier: blob.Tier{Name: "warm", Store: s.warm}}, {Tier: blob.Tier{Name: "cold", Store: s.cold}},
	}}
	s.add(t, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: market.StreamBook, Segments: 3, GapIn: 2, Live: true})
	s.add(t, manifesttest.Stream{Venue: "sim", Symbol: "a_usd", Stream: market.StreamTrade, Segments: 2})
	return s
}

// add writes a stream and notes its sealed segments as wanted.
func (s *site) add(t testing.TB, stream manifesttest.Stream) {
	t.Helper()
	for _, row := range manifesttest.Rows(t, "warm", manifesttest.Write(t, s.Clean, stream)) {
		s.want[row.Ref()] = row.Hash
	}
}

// local makes a site on one file system, in memory if there is one: fsync is free
// there.
func local(t testing.TB) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "chronicle-test-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return newSite(t, dir, filepath.Join(dir, "archive"), filepath.Join(dir, "cold"))
}

// memory gives a folder on a file system other than t.TempDir's.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "chronicle-test-")
	if err != nil {
		t.Skip("no second file system at /dev/shm:", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if device(t, dir) == device(t, t.TempDir()) {
		t.Skipf("%s and the temporary folder are one file system", dir)
	}
	return dir
}

func device(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Dev
}

// layouts are the ways in which hot, warm and cold can lie on file systems.
var layouts = map[string]func(t testing.TB) *site{
	"one file system": local,
	"hot in memory":   hotInMemory,
	"cold elsewhere": func(t testing.TB) *site {
		dir := t.TempDir()
		return newSite(t, dir, filepath.Join(dir, "archive"), filepath.Join(memory(t), "cold"))
	},
	"all apart": allApart,
}

func hotInMemory(t testing.TB) *site {
	dir := t.TempDir()
	return newSite(t, memory(t), filepath.Join(dir, "archive"), filepath.Join(dir, "cold"))
}

func allApart(t testing.TB) *site {
	m := memory(t)
	return newSite(t, m, filepath.Join(t.TempDir(), "archive"), filepath.Join(m, "cold"))
}

// ways are the two ways in which segments are transferred.
var ways = map[string]func(t testing.TB) *site{"renamed": local, "copied": allApart}

func (s *site) open(t testing.TB, fault func(string) error) *tier.Agent {
	t.Helper()
	opts := s.opts
	opts.Fault = fault
	a, err := tier.Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// run does one run of a new agent and wants it to have no problem.
func (s *site) run(t testing.TB, at time.Time, opts tier.OnceOptions) *tier.Result {
	t.Helper()
	a := s.open(t, nil)
	r, err := a.Once(context.Background(), at, opts)
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Errorf("problem: %v", p)
	}
	return r
}

func (s *site) tiers() []blob.Tier {
	return []blob.Tier{{Name: "warm", Store: s.warm}, {Name: "cold", Store: s.cold}}
}

func (s *site) fsck(t testing.TB) *fsck.Report {
	t.Helper()
	r, err := fsck.Check(context.Background(), fsck.Options{Root: s.Dir, Tiers: s.tiers(), Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// clean wants fsck to find nothing at all.
func (s *site) clean(t testing.TB) {
	t.Helper()
	if r := s.fsck(t); !r.Clean() {
		t.Errorf("fsck:\n%v", r)
	}
}

// readable does what a reader does, and wants every segment to be found, whole,
// with no sequence twice: list the queues, then read the manifest, then try the
// places that the rows name.
func (s *site) readable(t testing.TB) {
	t.Helper()
	hot := map[manifest.Ref]string{}
	for _, id := range []manifest.StreamID{{Venue: "sim", Symbol: "a_usd", Stream: "book"}, {Venue: "sim", Symbol: "a_usd", Stream: "trade"}} {
		files, err := queue.ListSegments(filepath.Join(s.Clean, id.Venue, id.Symbol, id.Stream+".q"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			hot[manifest.Ref{Venue: id.Venue, Symbol: id.Symbol, Stream: id.Stream, FirstSeq: f.FirstSeq}] = f.Path
		}
	}
	f, err := manifest.Load(context.Background(), s.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	found := map[manifest.Ref]bool{}
	for _, row := range f.State().Find(manifest.Filter{}) {
		if found[row.Ref()] {
			t.Errorf("%v is listed twice", row.Ref())
		}
		found[row.Ref()] = true
		if path := hot[row.Ref()]; path != "" {
			continue
		}
		s.wantHash(t, row.Ref(), s.readRow(t, &row))
	}
	for ref, path := range hot {
		if s.want[ref] != "" {
			found[ref] = true
			s.wantHash(t, ref, readFile(t, path))
		}
	}
	if len(found) != len(s.want) {
		t.Errorf("%d of %d segments are found", len(found), len(s.want))
	}
}

func (s *site) wantHash(t testing.TB, ref manifest.Ref, hash string) {
	t.Helper()
	if s.want[ref] != hash {
		t.Errorf("%v reads as %q, want %q", ref, hash, s.want[ref])
	}
}

// readRow reads a segment at one of its places and gives its hash.
func (s *site) readRow(t testing.TB, row *manifest.Row) string {
	t.Helper()
	places := []manifest.Location{row.Location()}
	if row.Alt != nil {
		places = append(places, *row.Alt)
	}
	for _, at := range places {
		path := filepath.Join(s.Clean, at.Key)
		if at.Tier != manifest.Hot {
			i := slices.IndexFunc(s.tiers(), func(t blob.Tier) bool { return t.Name == at.Tier })
			path, _ = s.tiers()[i].Store.(*blob.Dir).LocalPath(at.Key)
		}
		if _, err := os.Stat(path); err == nil {
			return readFile(t, path)
		}
	}
	t.Errorf("%v is at none of %v", row.Ref(), places)
	return ""
}

// readFile verifies a segment file and gives its hash.
func readFile(t testing.TB, path string) string {
	t.Helper()
	seg, err := queue.OpenSegment(path)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer seg.Close()
	if err := seg.Verify(); err != nil {
		t.Error(err)
	}
	return seg.Info().Hash
}

// keys lists a tier.
func keys(t testing.TB, d *blob.Dir) []string {
	t.Helper()
	var all []string
	for info, err := range d.List(context.Background(), "") {
		if errors.Is(err, blob.ErrNoTier) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

// sealedHot counts the sealed segments that are still in the queues.
func (s *site) sealedHot(t testing.TB) int {
	t.Helper()
	n := 0
	for _, stream := range []string{"book", "trade"} {
		files, err := queue.ListSegments(filepath.Join(s.Clean, "sim", "a_usd", stream+".q"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Sealed {
				n++
			}
		}
	}
	return n
}
