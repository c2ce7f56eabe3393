package query

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"chronicle/store/blob"
	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// mover moves segments into the warm tier as a tier agent does.
type mover struct {
	t     tester
	root  string
	store *blob.Dir
	w     *manifest.Writer
}

func (r *root) mover() *mover {
	r.t.Helper()
	ctx := context.Background()
	m := &mover{t: r.t, root: r.dir, store: blob.NewDir(filepath.Join(r.dir, "archive"), TierWarm)}
	check(r.t, m.store.Create(ctx))
	w, err := manifest.OpenWriter(ctx, filepath.Join(r.dir, "manifest"), "host", manifest.WriterOptions{})
	check(r.t, err)
	m.w = w
	return m
}

// The steps of a move by copying, in order.
const (
	stepIntent = iota // announced
	stepCopied        // both copies are there
	stepAdded         // committed; the hot copy is a leftover
	stepDone          // and deleted
)

// move takes the first steps of moving a hot segment, up to and including last.
func (m *mover) move(f queue.SegmentFile, last int) {
	m.t.Helper()
	s, err := queue.OpenSegment(f.Path)
	check(m.t, err)
	row, err := manifest.Describe(s.Info(), manifest.Location{Tier: TierWarm, Key: "x/y"})
	check(m.t, err)
	check(m.t, s.Close())
	row.Key = row.ArchiveKey()
	ref := row.Ref()
	from := manifest.Location{Tier: manifest.Hot, Key: ref.HotKey()}
	m.commit(manifest.Op{Op: manifest.OpIntent, Segment: &row, From: &from})
	if last >= stepCopied {
		m.copy(f.Path, row.Key)
	}
	if last >= stepAdded {
		m.commit(manifest.Op{Op: manifest.OpAdd, Segment: &row, From: &from})
	}
	if last >= stepDone {
		m.finish(f)
	}
}

// finish deletes the hot copy of a segment that was moved up to stepAdded.
func (m *mover) finish(f queue.SegmentFile) {
	m.t.Helper()
	check(m.t, os.Remove(f.Path))
	for ref, left := range leftovers(m.w.State()) {
		if strings.HasSuffix(filepath.ToSlash(f.Path), left.Key) {
			m.commit(manifest.Op{Op: manifest.OpDelete, Of: &ref, At: &left})
		}
	}
}

func leftovers(s *manifest.State) map[manifest.Ref]manifest.Location {
	all := map[manifest.Ref]manifest.Location{}
	for _, l := range s.Leftovers() {
		all[l.Of] = l.At
	}
	return all
}

func (m *mover) copy(from, key string) {
	m.t.Helper()
	f, err := os.Open(from)
	check(m.t, err)
	defer f.Close()
	sum, err := blob.SumOf(f)
	check(m.t, err)
	_, err = f.Seek(0, 0)
	check(m.t, err)
	check(m.t, m.store.Put(context.Background(), key, f, sum))
}

func (m *mover) commit(op manifest.Op) {
	m.t.Helper()
	_, err := m.w.Commit(op)
	check(m.t, err)
}

func (m *mover) close() {
	m.t.Helper()
	check(m.t, m.w.Close())
}
