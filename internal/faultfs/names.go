package faultfs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"chronicle/internal/durable"
)

// change is one change of names: one effect, or two for a rename.
type change struct {
	number  int
	effects []*effect
}

// effect is what a change does to one name of one directory.
type effect struct {
	dir  *node
	name string
	to   *node // nil: the name is gone
}

// record notes a change that has just been made.
func (f *FS) record(effects ...*effect) {
	f.changes++
	f.pending = append(f.pending, &change{number: f.changes, effects: effects})
	for _, e := range effects {
		e.apply(e.dir.now)
	}
}

func (e *effect) apply(names map[string]*node) {
	if e.to == nil {
		delete(names, e.name)
	} else {
		names[e.name] = e.to
	}
}

// effectOn prepares an effect on the name at path; nil outside the tree.
func (f *FS) effectOn(path string) (*effect, error) {
	if !f.has(filepath.Dir(path)) {
		return nil, nil
	}
	dir, err := f.see(filepath.Dir(path))
	if dir == nil || err != nil {
		return nil, err
	}
	return &effect{dir: dir, name: filepath.Base(path)}, nil
}

// prepare looks at what op is about to change, and gives what is to be done when
// it has been done.
func (f *FS) prepare(op *durable.Op) (done func() error, err error) {
	switch op.Kind {
	case durable.OpCreate, durable.OpMkdir:
		return func() error { return f.named(op.Path) }, nil
	case durable.OpLink:
		return func() error { return f.named(op.To) }, nil
	case durable.OpRename:
		return f.renamed(op.Path, op.To)
	case durable.OpUnlink:
		e, err := f.effectOn(op.Path)
		return func() error {
			if e != nil {
				f.record(e)
			}
			return nil
		}, err
	case durable.OpSyncDir:
		return f.dirSynced(op.Path)
	case durable.OpSyncFS:
		return f.allSynced()
	}
	n, err := f.see(op.Path)
	if n == nil || err != nil {
		return func() error { return nil }, err
	}
	switch op.Kind {
	case durable.OpSync, durable.OpSyncRange:
		data, err := n.read()
		return func() error { n.persist(data, op.Off+op.Len, op.Kind == durable.OpSync); return n.told() }, err
	default:
		return func() error { n.dirtied(op.Off, op.Len); return nil }, nil
	}
}

// named notes that there is something at path.
func (f *FS) named(path string) error {
	e, err := f.effectOn(path)
	if e == nil || err != nil {
		return err
	}
	if e.to, err = f.see(path); e.to != nil && e.dir.now[e.name] != e.to {
		f.record(e)
	}
	return err
}

// renamed prepares for a rename.
func (f *FS) renamed(from, to string) (func() error, error) {
	n, err := f.see(from)
	if err != nil {
		return nil, err
	}
	gone, err := f.effectOn(from)
	if err != nil {
		return nil, err
	}
	come, err := f.effectOn(to)
	return func() error {
		var effects []*effect
		if _, err := os.Lstat(from); gone != nil && err != nil { // two names of one file both stay
			effects = append(effects, gone)
		}
		if come != nil {
			come.to = n
			effects = append(effects, come)
		}
		f.record(effects...)
		return nil
	}, err
}

// dirSynced prepares for the sync of a directory: what has changed until now is
// on disk after it.
func (f *FS) dirSynced(path string) (func() error, error) {
	dir, err := f.see(path)
	if dir == nil || err != nil {
		return func() error { return nil }, err
	}
	if err := f.reconcile(dir); err != nil {
		return nil, err
	}
	until := f.changes
	return func() error {
		f.synced = until
		f.commit(func(c *change, e *effect) bool { return c.number <= until && e.dir == dir })
		return nil
	}, nil
}

// allSynced prepares for the sync of everything: what there is now is on disk after
// it, names and bytes.
func (f *FS) allSynced() (func() error, error) {
	if err := f.reconcileAll(f.top, map[*node]bool{}); err != nil {
		return nil, err
	}
	until, data := f.changes, map[*node][]byte{}
	for _, n := range f.nodes {
		if n.dir {
			continue
		}
		var err error
		if data[n], err = n.read(); err != nil {
			return nil, err
		}
	}
	return func() error {
		f.synced = until
		f.commit(func(c *change, _ *effect) bool { return c.number <= until })
		for n, b := range data {
			n.persist(b, 0, true)
		}
		return nil
	}, nil
}

// commit puts the effects that pass onto the disk.
func (f *FS) commit(pass func(*change, *effect) bool) {
	var pending []*change
	for _, c := range f.pending {
		var left []*effect
		for _, e := range c.effects {
			if pass(c, e) {
				e.apply(e.dir.names)
			} else {
				left = append(left, e)
			}
		}
		if c.effects = left; len(left) > 0 {
			pending = append(pending, c)
		}
	}
	f.pending = pending
}

// reconcile notes what has changed in a directory behind the back of package
// durable, as changes made just now.
func (f *FS) reconcile(dir *node) error {
	names, err := f.list(dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(dir.now)) {
		if names[name] == nil {
			f.record(&effect{dir: dir, name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if n := names[name]; dir.now[name] != n {
			f.record(&effect{dir: dir, name: name, to: n})
		}
	}
	return nil
}
