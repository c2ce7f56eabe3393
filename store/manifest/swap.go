package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"chronicle/internal/durable"
)

// swap puts the old logs aside and the new one in their place. Every step may
// have been done by an earlier run. Removing .rebuild is the commit point.
func (r *rebuild) swap() error {
	fresh, err := visible(filepath.Join(r.dir, rebuildDir))
	if err != nil {
		return err
	}
	if len(fresh) == 0 {
		return r.finish()
	}
	if err := r.putAside(); err != nil {
		return err
	}
	for _, name := range fresh {
		if err := durable.Rename(filepath.Join(r.dir, rebuildDir, name), filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	return r.finish()
}

func (r *rebuild) finish() error {
	if err := os.RemoveAll(filepath.Join(r.dir, rebuildDir)); err != nil {
		return err
	}
	return durable.SyncDir(r.dir)
}

// putAside moves the old logs, and whatever else is in the folder, to the next
// free .replaced-<e>. It makes that folder even if there is nothing to move: its
// number tells readers that the log is another one now.
func (r *rebuild) putAside() error {
	old, err := visible(r.dir)
	if err != nil {
		return err
	}
	epoch, err := lastEpoch(r.dir)
	if err != nil {
		return err
	}
	aside := filepath.Join(r.dir, replacedPrefix+strconv.Itoa(epoch+1))
	if err := durable.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	for _, name := range old {
		r.result.Replaced = aside
		if err := durable.Rename(filepath.Join(r.dir, name), filepath.Join(aside, name)); err != nil {
			return err
		}
	}
	return nil
}

// visible lists the names in a folder that do not begin with a dot.
func visible(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// lastEpoch gives the number of the last rebuild, 0 if there was none.
func lastEpoch(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	epoch := 0
	for _, e := range entries {
		epoch = max(epoch, epochOf(e.Name()))
	}
	return epoch, nil
}
