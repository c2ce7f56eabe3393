// Package fsck checks an archive: manifest, tiers, queues and the segments
// themselves against each other. It is the oracle of every crash and fault test.
//
// # What must hold
//
//   - Every log replays: numbers without a hole, hashes that chain.
//   - Every listed segment is where its row says, has the size, the checksums, the
//     hash, the footer and the header that its row says, and lies where its header
//     says that it belongs.
//   - Every file in a tier is listed, and temporary files are not left over.
//   - Each stream's sequences, over all tiers and the hot queue together, begin at 1
//     and have neither hole nor overlap, deletions on record excepted.
//   - Every segment of a book begins with a snapshot, every other one with a record
//     that a reader can start at.
//   - Deep: every record decodes and belongs in its stream, raw sequences do not go
//     back, and each book stream is proved by package book/audit, across all segments
//     and tiers: its deltas make, at each synthetic snapshot, the very book that it
//     shows, and no book is called good without proof.
//
// # Concurrency
//
// Streams are checked side by side, as many as there are processors, each segment
// after segment; what is found is reported in the order of the streams all the same.
// Memory is what the largest book of each of them takes. A check writes nothing and takes no lock. It may run beside feed, ETL and tier
// agent: it lists the hot queues first and replays the manifest then, as readers
// do, and looks again before it calls something missing or unlisted. Moves that
// are under way are warnings.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"chronicle/store/blob"
	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// Options are the options of Check.
type Options struct {
	// Root is the archive's root folder.
	Root string
	// Clean, Manifest and Queues override places below the root. Defaults:
	// queues/clean, manifest, queues.
	Clean, Manifest, Queues string
	// Tiers are the archive's tiers. One that is not there is a finding if it
	// should hold anything.
	Tiers []blob.Tier
	// Quick leaves out what reads segments in full: footers and headers are
	// checked, checksums and hashes are not.
	Quick bool
	// Deep also decodes every record and proves the books.
	Deep bool
	// Progress, if given, is called after each segment, never twice at a time.
	Progress func(Progress)
}

// Progress tells how far a check is.
type Progress struct {
	Done, Total int    // segments
	What        string // the stream or queue at hand
}

func (o *Options) fill() error {
	if o.Root == "" && (o.Clean == "" || o.Manifest == "" || o.Queues == "") {
		return errors.New("fsck options: Root must be given")
	}
	if o.Quick && o.Deep {
		return errors.New("fsck options: Quick and Deep exclude each other")
	}
	for _, d := range []struct {
		dir *string
		def string
	}{{&o.Clean, filepath.Join("queues", "clean")}, {&o.Manifest, "manifest"}, {&o.Queues, "queues"}} {
		if *d.dir == "" {
			*d.dir = filepath.Join(o.Root, d.def)
		}
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return nil
}

// checker is one run of Check.
type checker struct {
	opts   Options
	report *Report               // not while streams are being checked: each has its own
	stores map[string]blob.Store // of the tiers that are there
	away   map[string]bool       // tiers that are not, already reported
	hot    map[manifest.StreamID][]queue.SegmentFile

	mu       sync.Mutex // guards what follows while streams are being checked
	follower *manifest.Follower
	state    *manifest.State
	progress Progress
}

// Check checks an archive. The error is one that ended the check; everything that
// is wrong with the archive is in the report.
func Check(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	c := &checker{opts: opts, report: &Report{}, stores: map[string]blob.Store{}, away: map[string]bool{}, hot: map[manifest.StreamID][]queue.SegmentFile{}}
	defer c.report.sort()
	raw, err := c.listQueues(ctx)
	if err != nil {
		return c.report, fmt.Errorf("check archive: %w", err)
	}
	c.replay(ctx)
	c.openTiers(ctx)
	c.progress.Total = c.state.Len() + len(raw)
	for _, files := range c.hot {
		c.progress.Total += len(files)
	}
	if err := c.checkStreams(ctx, c.streams()); err != nil {
		return c.report, err
	}
	if err := c.checkRaw(ctx, raw); err != nil {
		return c.report, fmt.Errorf("check raw queues: %w", err)
	}
	c.checkMoves()
	if err := c.checkPlaces(ctx); err != nil {
		return c.report, fmt.Errorf("check tiers: %w", err)
	}
	return c.report, nil
}

// replay reads the manifest as far as it goes.
func (c *checker) replay(ctx context.Context) {
	var wrong []error
	c.follower, wrong = manifest.Examine(ctx, c.opts.Manifest)
	c.state = c.follower.State()
	for _, err := range wrong {
		c.report.add(Error, ManifestCorrupt, c.opts.Manifest, "restore the file from a copy, or run `chronicle manifest rebuild`", "%v", err)
	}
	for _, n := range c.follower.Commits() {
		c.report.Checked.Commits += n
	}
	temps, err := manifest.Temps(c.opts.Manifest)
	if err != nil {
		return // reported above
	}
	for _, path := range temps {
		c.report.add(Warning, ManifestTemp, path, "delete it while no writer runs", "left over from a crash")
	}
}

// refresh takes in what was committed since; after damage it stays as it is.
func (c *checker) refresh(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.follower.Refresh(ctx); err == nil {
		c.state = c.follower.State()
	}
}

// openTiers finds out which tiers are there.
func (c *checker) openTiers(ctx context.Context) {
	configured := map[string]bool{}
	for _, t := range c.opts.Tiers {
		configured[t.Name] = true
		err := t.Store.Check(ctx)
		if err == nil {
			c.stores[t.Name] = t.Store
			continue
		}
		c.away[t.Name] = true
		if c.state.Knows(t.Name) {
			c.report.add(Error, TierMissing, t.Name, "mount it, or correct its path", "%v", err)
		}
	}
	for _, name := range c.state.Tiers() {
		if !configured[name] {
			c.away[name] = true
			c.report.add(Error, TierMissing, name, "name the tier in the configuration", "the manifest lists segments in it, but it is not configured")
		}
	}
}

// streams gives every stream that the archive or the queues have.
func (c *checker) streams() []manifest.StreamID {
	all := c.state.Streams()
	for id := range c.hot {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	slices.SortFunc(all, func(a, b manifest.StreamID) int {
		return slices.Compare([]string{a.Venue, a.Symbol, a.Stream}, []string{b.Venue, b.Symbol, b.Stream})
	})
	c.report.Checked.Streams = len(all)
	return all
}

// tick counts a segment as done.
func (c *checker) tick(r *Report, what string, records uint64, bytes int64) {
	r.Checked.Records += records
	r.Checked.Bytes += bytes
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Done++
	c.progress.What = what
	c.opts.Progress(c.progress)
}

// isNone tells whether an error says that there is nothing.
func isNone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, blob.ErrNotExist)
}
