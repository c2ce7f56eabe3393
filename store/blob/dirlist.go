package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"chronicle/internal/durable"
)

// lister walks a folder in the order of the keys, which is not the order of the
// names: "a-b/x" comes before "a/x", because '-' sorts before '/'.
type lister struct {
	ctx    context.Context
	root   string
	prefix string
	visit  func(key string, e fs.DirEntry) bool // false ends the walk
}

// walk visits what is below dir (a key, "" for the root). It answers false when
// visit has ended the walk.
func (l *lister) walk(dir string) (bool, error) {
	if err := l.ctx.Err(); err != nil {
		return false, err
	}
	entries, err := os.ReadDir(filepath.Join(l.root, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) && dir != "" {
		return true, nil // removed meanwhile
	}
	if err != nil {
		return false, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		key := path.Join(dir, e.Name())
		if !e.IsDir() {
			if !l.visit(key, e) {
				return false, nil
			}
			continue
		}
		if strings.HasPrefix(e.Name(), ".") || !l.mayHold(key+"/") {
			continue
		}
		if more, err := l.walk(key); err != nil || !more {
			return more, err
		}
	}
	return true, nil
}

// mayHold tells whether keys with the wanted prefix can be below dir.
func (l *lister) mayHold(dir string) bool {
	return strings.HasPrefix(dir, l.prefix) || strings.HasPrefix(l.prefix, dir)
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// Temps gives the paths of temporary files.
func (d *Dir) Temps(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := d.present(); err != nil {
			yield("", err)
			return
		}
		l := lister{ctx: ctx, root: d.root, visit: func(key string, e fs.DirEntry) bool {
			return !durable.IsTemp(e.Name()) || yield(filepath.Join(d.root, filepath.FromSlash(key)), nil)
		}}
		if _, err := l.walk(""); err != nil {
			yield("", fmt.Errorf("list tier %s: %w", d.tier, err))
		}
	}
}

// CleanTemps removes the temporary files of one key.
func (d *Dir) CleanTemps(ctx context.Context, key string) error {
	final, err := d.LocalPath(key)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(final))
	if errors.Is(err, fs.ErrNotExist) {
		return d.present()
	}
	if err != nil {
		return fmt.Errorf("clean tier %s: %w", d.tier, err)
	}
	for _, e := range entries {
		if !durable.IsTemp(e.Name()) || !strings.HasPrefix(e.Name(), tempPrefix(final)) {
			continue
		}
		if err := durable.Remove(filepath.Join(filepath.Dir(final), e.Name())); err != nil {
			return fmt.Errorf("clean tier %s: %w", d.tier, err)
		}
	}
	d.prune(filepath.Dir(final))
	return ctx.Err()
}
