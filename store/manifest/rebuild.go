package manifest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"chronicle/internal/durable"
	"chronicle/internal/filelock"
	"chronicle/store/blob"
	"chronicle/store/queue"
)

// RebuildOptions are the options of Rebuild.
type RebuildOptions struct {
	// Now gives the time that the new commits carry. Default: time.Now.
	Now func() time.Time
	// Progress, if given, is called after each segment with their number so far.
	Progress func(segments int)
}

// Rebuilt tells what a rebuild has done.
type Rebuilt struct {
	Segments int
	Records  uint64
	Bytes    int64
	Gaps     int
	Replaced string // where the old logs are; empty if there were none
	// Problems are files of the tiers that are not in the new log: they cannot be
	// read as segments, or contradict another file. They were left as they are.
	Problems []error
}

// Rebuild makes a new log for a writer from what the tiers hold: the segments'
// own headers and footers. The old logs, of all writers, are moved to
// .replaced-<e>. No writer may be open (filelock.ErrLocked otherwise); a root's
// tiers must all be given, or their segments are not in the new log. Tiers are in
// order from warm to cold: of two copies of a segment the colder one is listed,
// and the other is left to the tier agent to delete.
//
// The new log is written below .building; a crash until then changes nothing.
// Renaming .building to .rebuild is the point of no return: readers answer
// ErrRebuilding until the folders have changed places, and the next Rebuild only
// finishes that.
func Rebuild(ctx context.Context, dir, writer string, tiers []blob.Tier, opts RebuildOptions) (*Rebuilt, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Progress == nil {
		opts.Progress = func(int) {}
	}
	locks, err := lockAll(dir, writer)
	defer func() {
		for _, l := range locks {
			_ = l.Release() // nothing was written through it
		}
	}()
	if err != nil {
		return nil, err
	}
	r := &rebuild{dir: dir, writer: writer, opts: opts, found: map[Ref]*copies{}}
	if !r.interrupted() {
		if err := r.build(ctx, tiers); err != nil {
			return nil, fmt.Errorf("rebuild manifest: %w", err)
		}
	}
	if err := r.swap(); err != nil {
		return nil, fmt.Errorf("rebuild manifest: %w", err)
	}
	return &r.result, nil
}

// lockAll takes the locks of all writers there are, and of the new log's.
func lockAll(dir, writer string) ([]*filelock.Lock, error) {
	if !writerName.MatchString(writer) {
		return nil, fmt.Errorf("rebuild manifest: %w", invalid("writer %q is not a lower-case word", writer))
	}
	names := map[string]bool{writer: true}
	for _, folder := range []string{dir, filepath.Join(dir, rebuildDir)} {
		there, err := visible(folder)
		if err != nil {
			return nil, fmt.Errorf("rebuild manifest: %w", err)
		}
		for _, name := range there {
			names[name] = writerName.MatchString(name)
		}
	}
	maps.DeleteFunc(names, func(_ string, isWriter bool) bool { return !isWriter })
	var locks []*filelock.Lock
	for _, name := range slices.Sorted(maps.Keys(names)) {
		lock, err := lockWriter(dir, name)
		if err != nil {
			return locks, err
		}
		locks = append(locks, lock)
	}
	return locks, nil
}

// rebuild is one run of Rebuild.
type rebuild struct {
	dir    string
	writer string
	opts   RebuildOptions
	found  map[Ref]*copies
	result Rebuilt
}

// copies are what the tiers hold of one segment, the coldest last.
type copies struct {
	rows []Segment
	gaps []Gap
}

// interrupted tells whether an earlier rebuild stopped in the middle of its swap.
func (r *rebuild) interrupted() bool {
	_, err := os.Stat(filepath.Join(r.dir, rebuildDir))
	return err == nil
}

// build writes the new log below .building and makes that final.
func (r *rebuild) build(ctx context.Context, tiers []blob.Tier) error {
	for _, tier := range tiers {
		if err := r.scan(ctx, tier); err != nil {
			return err
		}
	}
	building := filepath.Join(r.dir, buildingDir)
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Join(building, r.writer), 0o755); err != nil {
		return err
	}
	w, err := OpenWriter(ctx, building, r.writer, WriterOptions{Now: r.opts.Now})
	if err != nil {
		return err
	}
	if err := errors.Join(r.write(w), w.Close()); err != nil {
		return err
	}
	return durable.Rename(building, filepath.Join(r.dir, rebuildDir))
}

// scan takes in one tier.
func (r *rebuild) scan(ctx context.Context, tier blob.Tier) error {
	for info, err := range tier.Store.List(ctx, "") {
		if err != nil {
			return err
		}
		at := Location{Tier: tier.Name, Key: info.Key}
		row, gaps, err := readSegment(ctx, tier.Store, at)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.result.Problems = append(r.result.Problems, fmt.Errorf("%v: %w", at, err))
			continue
		}
		r.take(row, gaps)
		r.opts.Progress(len(r.found))
	}
	return nil
}

// take adds a copy of a segment to what was found.
func (r *rebuild) take(row Segment, gaps []Gap) {
	c := r.found[row.Ref()]
	if c == nil {
		r.found[row.Ref()] = &copies{rows: []Segment{row}, gaps: gaps}
		return
	}
	if first := &c.rows[0]; !first.SameContent(&row) {
		r.result.Problems = append(r.result.Problems, fmt.Errorf("%v: %v is another segment of that name", row.Location(), first.Location()))
		return
	}
	c.rows = append(c.rows, row)
}

// readSegment reads header and footer, and the gap records if there are any.
func readSegment(ctx context.Context, store blob.Store, at Location) (Segment, []Gap, error) {
	o, err := store.Open(ctx, at.Key)
	if err != nil {
		return Segment{}, nil, err
	}
	defer o.Close()
	seg, err := queue.OpenSegmentAt(o, o.Size(), at.Key)
	if err != nil {
		return Segment{}, nil, err
	}
	defer seg.Close()
	row, err := Describe(seg.Info(), at)
	if err == nil && row.Key != row.ArchiveKey() {
		err = invalid("segment %v belongs at %s", row.Ref(), row.ArchiveKey())
	}
	if err != nil {
		return Segment{}, nil, err
	}
	gaps, err := GapsOf(seg, &row)
	return row, gaps, err
}

// write commits what was found.
func (r *rebuild) write(w *Writer) error {
	var ops []Op
	flush := func(least int) error {
		if len(ops) < least {
			return nil
		}
		for _, chunk := range Chunks(ops) {
			if _, err := w.Commit(chunk...); err != nil {
				return err
			}
		}
		ops = ops[:0]
		return nil
	}
	for _, ref := range slices.SortedFunc(maps.Keys(r.found), compareRefs) {
		c := r.found[ref]
		for i := range c.gaps {
			ops = append(ops, Op{Op: OpGap, Gap: &c.gaps[i]})
		}
		ops = append(ops, c.add())
		r.count(c)
		if err := flush(MaxOps / 4); err != nil {
			return err
		}
	}
	if err := flush(1); err != nil {
		return err
	}
	r.result.Gaps = len(w.State().gaps)
	return nil
}

// add makes the operation that lists the coldest copy. A warmer one is left to
// be deleted; of more than two, the others are found by fsck.
func (c *copies) add() Op {
	last := len(c.rows) - 1
	op := Op{Op: OpAdd, Segment: &c.rows[last]}
	if last > 0 {
		from := c.rows[last-1].Location()
		op.From = &from
	}
	return op
}

func (r *rebuild) count(c *copies) {
	r.result.Segments++
	r.result.Records += c.rows[0].Records
	r.result.Bytes += c.rows[0].Bytes
}
