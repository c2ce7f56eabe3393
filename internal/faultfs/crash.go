package faultfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Mode says what kind of disk loses power.
type Mode struct {
	// Ordered disks keep name changes in the order in which they were made, as
	// journaling file systems do.
	Ordered bool
	// Sectors are written one by one, 512 bytes each, instead of pages of 4096.
	Sectors bool
}

// Crash makes, at the new directory to, a tree that the disk might hold if the
// power failed now. The same rng and history give the same tree. The tree being
// watched is not changed, and more crashes may follow.
func (f *FS) Crash(to string, rng *rand.Rand, mode Mode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reconcileAll(f.top, map[*node]bool{}); err != nil {
		return err
	}
	c := &crash{rng: rng, mode: mode, names: map[*node]map[string]*node{}, made: map[*node]string{}}
	c.choose(f.pending, f.changes, f.synced)
	return c.build(f.top, to)
}

// reconcileAll finds what has changed in any directory that has a name, now or on
// disk.
func (f *FS) reconcileAll(dir *node, seen map[*node]bool) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	if err := f.reconcile(dir); err != nil {
		return err
	}
	for _, names := range []map[string]*node{dir.now, dir.names} {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if n := names[name]; n.dir {
				if err := f.reconcileAll(n, seen); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// crash is one outcome in the making.
type crash struct {
	rng   *rand.Rand
	mode  Mode
	names map[*node]map[string]*node // of directories with name changes chosen
	made  map[*node]string           // files that have been written, for their further names
}

// odds gives a probability that is often 0 or 1: whole outcomes are as likely as
// mixed ones.
func odds(rng *rand.Rand) float64 {
	return []float64{0, 1, 0.1, 0.5, 0.9}[rng.IntN(5)]
}

// choose decides which name changes are on disk.
func (c *crash) choose(pending []*change, changes, synced int) {
	p, cut := odds(c.rng), synced+c.rng.IntN(changes-synced+1)
	for _, change := range pending {
		there := c.rng.Float64() < p
		if c.mode.Ordered {
			there = change.number <= cut
		}
		if !there {
			continue
		}
		for _, e := range change.effects {
			if c.names[e.dir] == nil {
				c.names[e.dir] = maps.Clone(e.dir.names)
			}
			e.apply(c.names[e.dir])
		}
	}
}

// build writes the outcome for n at path.
func (c *crash) build(n *node, path string) error {
	if !n.dir {
		return c.buildFile(n, path)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	names := c.names[n]
	if names == nil {
		names = n.names
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := c.build(names[name], filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *crash) buildFile(n *node, path string) error {
	if first, ok := c.made[n]; ok {
		return os.Link(first, path)
	}
	c.made[n] = path
	now, err := n.read()
	if err != nil {
		return err
	}
	info, err := n.file.Stat()
	if err != nil {
		return err
	}
	return os.WriteFile(path, c.mix(n.image, now), info.Mode().Perm())
}

// mix gives a file between two states.
func (c *crash) mix(old, now []byte) []byte {
	unit, p := pageSize, odds(c.rng)
	if c.mode.Sectors {
		unit = 512
	}
	out := make([]byte, c.length(len(old), len(now), unit))
	for at := 0; at < len(out); at += unit {
		from := old
		if c.rng.Float64() < p {
			from = now
		}
		if at < len(from) {
			copy(out[at:min(at+unit, len(out))], from[at:])
		}
	}
	return out
}

// length gives the length of a file between two states.
func (c *crash) length(old, now, unit int) int {
	switch c.rng.IntN(3) {
	case 0:
		return old
	case 1:
		if now > old {
			return min(old+c.rng.IntN(now-old+1)/unit*unit, now)
		}
	}
	return now
}

// Writeback puts some of what has changed onto the disk, as a kernel does from
// time to time: pages of files, and name changes, the oldest first.
func (f *FS) Writeback(rng *rand.Rand) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reconcileAll(f.top, map[*node]bool{}); err != nil {
		return err
	}
	for _, inode := range slices.Sorted(maps.Keys(f.nodes)) {
		if n := f.nodes[inode]; !n.dir {
			if err := n.writeback(rng); err != nil {
				return err
			}
		}
	}
	if n := len(f.pending); n > 0 {
		until := f.pending[0].number + rng.IntN(n+1) - 1
		f.commit(func(c *change, _ *effect) bool { return c.number <= until })
	}
	return nil
}

// writeback puts some of a file's changed pages onto the disk. Its length follows
// the pages as it grows.
func (n *node) writeback(rng *rand.Rand) error {
	now, err := n.read()
	if err != nil {
		return err
	}
	p := odds(rng)
	for at := int64(0); at < int64(len(now)); at += pageSize {
		page := pageOf(now, at)
		if rng.Float64() >= p || bytes.Equal(page, pageOf(n.image, at)) || bytes.Equal(page, n.clean[at/pageSize]) {
			continue
		}
		if end := at + int64(len(page)); end > int64(len(n.image)) {
			n.image = append(n.image, make([]byte, end-int64(len(n.image)))...)
		}
		copy(n.image[at:], page)
	}
	return nil
}
