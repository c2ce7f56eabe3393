package blob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"chronicle/internal/durable"
)

// Marker is the file in a folder tier's root that says which tier it is.
const Marker = ".chronicle-tier"

const markerFormat = 1

// marker is the content of the Marker file.
type marker struct {
	Format int    `json:"format"`
	Tier   string `json:"tier"`
}

// Dir is a Store in a folder, on a local disk or on NFS. Objects are plain files
// at <root>/<key>, read with pread and never mapped, so that a server that goes
// away is an error and not a SIGBUS.
//
// Objects are written under a temporary name beside their final one, fsynced,
// read back, and then linked to the final name, which fails if it is taken; last,
// the folder is fsynced. A crash leaves the object, or at most a temporary file.
// An open object stays readable after Delete (on NFS: on the host that deletes).
type Dir struct {
	root string
	tier string
}

var (
	_ Store     = (*Dir)(nil)
	_ Mover     = (*Dir)(nil)
	_ Local     = (*Dir)(nil)
	_ Creator   = (*Dir)(nil)
	_ Temporary = (*Dir)(nil)
)

// NewDir gives the tier of that name in a folder. It touches nothing: [Dir.Check]
// tells whether the tier is there and [Dir.Create] makes it.
func NewDir(root, tier string) *Dir {
	return &Dir{root: filepath.Clean(root), tier: tier}
}

// String gives the folder.
func (d *Dir) String() string { return d.root }

// Check reads the marker.
func (d *Dir) Check(context.Context) error {
	b, err := os.ReadFile(d.markerPath())
	if err != nil {
		return d.missing(err)
	}
	var m marker
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("tier %s: %s is damaged: %v: %w", d.tier, d.markerPath(), err, ErrNoTier)
	}
	if m.Format != markerFormat {
		return fmt.Errorf("tier %s: %s has format %d, this version knows %d: %w", d.tier, d.markerPath(), m.Format, markerFormat, ErrNoTier)
	}
	if m.Tier != d.tier {
		return fmt.Errorf("tier %s: %s holds tier %s: mount the right folder or correct the path: %w", d.tier, d.root, m.Tier, ErrNoTier)
	}
	return nil
}

// Create makes the folder and its marker. A folder that holds files but no
// marker is refused: it is something else's.
func (d *Dir) Create(ctx context.Context) error {
	if err := d.Check(ctx); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.MkdirAll(d.root, 0o755); err != nil {
		return fmt.Errorf("create tier %s: %w", d.tier, err)
	}
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return fmt.Errorf("create tier %s: %w", d.tier, err)
	}
	for _, e := range entries {
		if e.Name() != "lost+found" && !strings.HasPrefix(e.Name(), ".") {
			return fmt.Errorf("create tier %s: %s holds other files (%s): give an empty folder", d.tier, d.root, e.Name())
		}
	}
	b, err := json.Marshal(marker{Format: markerFormat, Tier: d.tier})
	if err != nil {
		return fmt.Errorf("create tier %s: %w", d.tier, err)
	}
	err = durable.Create(d.markerPath(), append(b, '\n'), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return d.Check(ctx) // another process was first
	}
	if err != nil {
		return fmt.Errorf("create tier %s: %w", d.tier, err)
	}
	return nil
}

func (d *Dir) markerPath() string { return filepath.Join(d.root, Marker) }

// present is the cheap form of Check, made before every change and whenever
// something was not found: the folder may have been unmounted meanwhile.
func (d *Dir) present() error {
	if _, err := os.Lstat(d.markerPath()); err != nil {
		return d.missing(err)
	}
	return nil
}

func (d *Dir) missing(err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("tier %s: %w: %w", d.tier, err, ErrNoTier)
	}
	if _, statErr := os.Stat(d.root); statErr != nil {
		return fmt.Errorf("tier %s: %s is not there: mount it or correct the path: %w: %w", d.tier, d.root, ErrNoTier, fs.ErrNotExist)
	}
	return fmt.Errorf("tier %s: %s has no %s, so that it is not this tier: mount it or correct the path: %w: %w",
		d.tier, d.root, Marker, ErrNoTier, fs.ErrNotExist)
}

// LocalPath gives the file of a key.
func (d *Dir) LocalPath(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	return filepath.Join(d.root, filepath.FromSlash(key)), nil
}

// file is an open object.
type file struct {
	*os.File
	size int64
}

// Size gives the size in bytes when the object was opened.
func (f *file) Size() int64 { return f.size }

// Open opens the file for pread.
func (d *Dir) Open(ctx context.Context, key string) (Object, error) {
	path, err := d.LocalPath(key)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, d.notFound(key, err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, ErrNotExist)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s of tier %s: %w", key, d.tier, err), f.Close())
	}
	return &file{File: f, size: st.Size()}, nil
}

// Stat gives the file's size.
func (d *Dir) Stat(ctx context.Context, key string) (Info, error) {
	path, err := d.LocalPath(key)
	if err != nil {
		return Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return Info{}, d.notFound(key, err)
	}
	if !st.Mode().IsRegular() {
		return Info{}, fmt.Errorf("%s in tier %s: not a file: %w", key, d.tier, ErrNotExist)
	}
	return Info{Key: key, Size: st.Size()}, nil
}

// notFound turns a failed open into ErrNotExist, or into ErrNoTier when the
// whole tier is away.
func (d *Dir) notFound(key string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s in tier %s: %w", key, d.tier, err)
	}
	if away := d.present(); away != nil {
		return away
	}
	return fmt.Errorf("%s in tier %s: %w", key, d.tier, ErrNotExist)
}

// List walks the folder.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := d.present(); err != nil {
			yield(Info{}, err)
			return
		}
		l := lister{ctx: ctx, root: d.root, prefix: prefix, visit: func(key string, e fs.DirEntry) bool {
			if strings.HasPrefix(e.Name(), ".") || !e.Type().IsRegular() || !strings.HasPrefix(key, prefix) {
				return true
			}
			st, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return true // deleted meanwhile
			}
			if err != nil {
				yield(Info{}, fmt.Errorf("list tier %s: %w", d.tier, err))
				return false
			}
			return yield(Info{Key: key, Size: st.Size()}, nil)
		}}
		if _, err := l.walk(""); err != nil {
			yield(Info{}, fmt.Errorf("list tier %s: %w", d.tier, err))
		}
	}
}
