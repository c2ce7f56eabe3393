package tier

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// plan is what a run has to do.
type plan struct {
	moves     []Move
	redundant []Move // hot files of segments that the archive has: From is to go
}

// badFile remembers a file that did not verify, so that it is reported again but
// not read again.
type badFile struct {
	size    int64
	modTime time.Time
	err     error
}

// plan finds the segments that are due: first those that leave the hot queues,
// stream by stream, then those that go on to a colder tier.
func (a *Agent) plan(ctx context.Context, opts OnceOptions, r *Result) (plan, error) {
	var p plan
	seen := make(map[string]manifest.Segment, len(a.seen))
	for dir, err := range queueDirs(a.opts.Clean) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return p, fmt.Errorf("look for sealed segments: %w", err)
		}
		if err := a.planQueue(&p, dir, seen, opts, r); err != nil {
			r.problem(dir, err)
		}
	}
	a.seen = seen
	maps.DeleteFunc(a.bad, func(path string, _ badFile) bool { _, there := seen[path]; return !there })
	a.planArchive(&p, r)
	return p, nil
}

// queueDirs gives the folders of the clean queues: <clean>/<venue>/<symbol>/<stream>.q
func queueDirs(clean string) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		var walk func(dir string, depth int) bool
		walk = func(dir string, depth int) bool {
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return yield("", err)
			}
			for _, e := range entries {
				path := filepath.Join(dir, e.Name())
				switch {
				case !e.IsDir() || strings.HasPrefix(e.Name(), "."):
				case depth < 2:
					if !walk(path, depth+1) {
						return false
					}
				case strings.HasSuffix(e.Name(), ".q"):
					if !yield(path, nil) {
						return false
					}
				}
			}
			return true
		}
		walk(clean, 0)
	}
}

// planQueue looks at the sealed segments of one queue.
func (a *Agent) planQueue(p *plan, dir string, seen map[string]manifest.Segment, opts OnceOptions, r *Result) error {
	files, err := queue.ListSegments(dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if !file.Sealed {
			continue
		}
		row, known := a.seen[file.Path]
		if !known {
			if row, err = a.inspect(file.Path); err != nil {
				r.problem(file.Path, err)
				continue
			}
		}
		seen[file.Path] = row
		a.planHot(p, row, opts, r)
	}
	return nil
}

// inspect makes the row of a hot segment and checks that it lies where it belongs.
func (a *Agent) inspect(path string) (manifest.Segment, error) {
	seg, err := queue.OpenSegment(path)
	if err != nil {
		return manifest.Segment{}, err
	}
	defer seg.Close()
	row, err := manifest.Describe(seg.Info(), manifest.Location{Tier: "none", Key: "none"})
	if err != nil {
		return row, err
	}
	if want := a.hotPath(row.Ref()); want != path {
		return row, fmt.Errorf("its header says that it is %v, which belongs at %s", row.Ref(), want)
	}
	return row, nil
}

// hotPath gives the place of a segment in the queues.
func (a *Agent) hotPath(ref manifest.Ref) string {
	return filepath.Join(a.opts.Clean, filepath.FromSlash(ref.HotKey()))
}

// planHot decides about one sealed hot segment.
func (a *Agent) planHot(p *plan, row manifest.Segment, opts OnceOptions, r *Result) {
	from := manifest.Location{Tier: manifest.Hot, Key: row.Ref().HotKey()}
	archived, ok := a.writer.State().Segment(row.Ref())
	switch {
	case a.busy(row.Ref()):
		return
	case ok && archived.Writer != a.opts.Writer:
		r.problem(row.Ref().String(), fmt.Errorf("writer %s has a segment of that name in the archive: two writers must not share a stream", archived.Writer))
	case ok && !archived.SameContent(&row):
		r.problem(row.Ref().String(), fmt.Errorf("the archive has another segment of that name at %v (%s), the queue has %s", archived.Location(), archived.Hash, row.Hash))
	case ok:
		p.redundant = append(p.redundant, Move{Segment: archived.Segment, From: from})
	default:
		to := a.target(a.age(&row), opts)
		if to < 0 {
			r.Waiting++
			return
		}
		if other := a.overlapped(&row); other != nil {
			r.problem(row.Ref().String(), fmt.Errorf("its records up to %d overlap those of %v in the archive: the queue's numbering was lost", row.LastSeq, other.Ref()))
			return
		}
		p.moves = append(p.moves, a.move(row, to, from))
	}
}

// overlapped gives a segment of the archive that has sequences of the row.
func (a *Agent) overlapped(row *manifest.Segment) *manifest.Row {
	found := a.writer.State().Find(manifest.Filter{
		Venue: row.Venue, Symbol: row.Symbol, Stream: row.Stream, FromSeq: row.FirstSeq, ToSeq: row.LastSeq,
	})
	if len(found) == 0 {
		return nil
	}
	return &found[0]
}

// busy tells whether a move of the segment is not over yet.
func (a *Agent) busy(ref manifest.Ref) bool {
	state := a.writer.State()
	return state.IsMoving(ref) || state.HasLeftover(ref)
}

func (a *Agent) age(row *manifest.Segment) time.Duration {
	return a.now.Sub(time.Unix(0, row.LastTime))
}

// move makes the move of a row to a tier.
func (a *Agent) move(row manifest.Segment, to int, from manifest.Location) Move {
	row.Tier, row.Key = a.opts.Tiers[to].Name, row.ArchiveKey()
	return Move{Segment: row, From: from}
}

// target gives the tier for a hot segment: the coldest one that its age allows,
// so that old recordings go there at once. -1 is none yet.
func (a *Agent) target(age time.Duration, opts OnceOptions) int {
	to := -1
	for i, t := range a.opts.Tiers {
		if age >= t.After || i == 0 && opts.MinAge > 0 && age >= opts.MinAge {
			to = i
		}
	}
	if opts.All {
		return max(to, 0)
	}
	if age < opts.MinAge {
		return -1
	}
	return to
}

// planArchive finds the segments that are due for a colder tier.
func (a *Agent) planArchive(p *plan, r *Result) {
	for from := range len(a.opts.Tiers) - 1 {
		// The tiers colder than this one all ask for at least the next one's age.
		end := a.now.Add(-a.opts.Tiers[from+1].After).UnixNano()
		for _, row := range a.writer.State().Find(manifest.Filter{End: end + 1}) {
			to := a.target(a.age(&row.Segment), OnceOptions{})
			if !row.Committed || row.Tier != a.opts.Tiers[from].Name || to <= from || a.busy(row.Ref()) {
				continue
			}
			if row.Writer != a.opts.Writer {
				r.Foreign++
				continue
			}
			p.moves = append(p.moves, a.move(row.Segment, to, row.Location()))
		}
	}
}

// gapsAndRow reads a source in full: it verifies it, compares it with the row
// that was planned, and gives the gaps for the ledger.
func gapsAndRow(seg *queue.Segment, row *manifest.Segment) ([]manifest.Gap, error) {
	if err := seg.Verify(); err != nil {
		return nil, err
	}
	now, err := manifest.Describe(seg.Info(), row.Location())
	if err != nil {
		return nil, err
	}
	if !now.SameContent(row) || now.Definition != row.Definition {
		return nil, fmt.Errorf("holds %v %s, expected %v %s: %w", now.Ref(), now.Hash, row.Ref(), row.Hash, errOther)
	}
	return manifest.GapsOf(seg, row)
}

var errOther = errors.New("another segment")
