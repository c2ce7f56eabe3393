package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"chronicle/internal/durable"
)

// folderTries bounds how often a folder is made anew because a concurrent Delete
// has just removed it as empty.
const folderTries = 100

// Put writes, fsyncs, reads back and links. Reading back goes past the page cache
// as far as the system lets us: the clean pages are dropped first.
func (d *Dir) Put(ctx context.Context, key string, r io.Reader, want Sum) error {
	final, err := d.LocalPath(key)
	if err != nil {
		return err
	}
	if _, err := d.Stat(ctx, key); err == nil {
		return fmt.Errorf("put %s into tier %s: %w", key, d.tier, ErrExist)
	} else if !errors.Is(err, ErrNotExist) {
		return err
	}
	temp, err := d.writeTemp(ctx, final, r, want)
	if err == nil {
		err = readBack(ctx, temp, want)
	}
	if err == nil {
		err = publish(temp, final)
	}
	if temp != "" {
		if removeErr := os.Remove(temp); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	if err != nil {
		d.prune(filepath.Dir(final))
		return fmt.Errorf("put %s into tier %s: %w", key, d.tier, err)
	}
	return d.syncUp(filepath.Dir(final))
}

// writeTemp copies r to a new temporary file beside final. The name is given
// even with an error, if the file was made.
func (d *Dir) writeTemp(ctx context.Context, final string, r io.Reader, want Sum) (string, error) {
	var f *os.File
	err := d.inFolder(filepath.Dir(final), func() (err error) {
		f, err = os.CreateTemp(filepath.Dir(final), tempPrefix(final)+"*")
		return err
	})
	if err != nil {
		return "", err
	}
	got, err := SumOf(io.TeeReader(&contextReader{ctx, r}, f))
	if err == nil && got != want {
		err = fmt.Errorf("the source gave %v, wanted %v: %w", got, want, ErrMismatch)
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close())
}

// tempPrefix is how temporary names for a file begin; it makes them temporary
// names of package durable.
func tempPrefix(final string) string { return "." + filepath.Base(final) + ".tmp-" }

// inFolder makes a folder and does something in it, again when the folder was
// removed in between. That it is there afterwards does not tell that it was there
// all the time, so what is missing for another reason is tried as often.
func (d *Dir) inFolder(dir string, do func() error) error {
	for try := 1; ; try++ {
		if err := d.present(); err != nil {
			return err
		}
		// Made and removed by others meanwhile, it may be "there" and then not.
		if err := durable.MkdirAll(dir, 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
		err := do()
		if !errors.Is(err, fs.ErrNotExist) || try == folderTries {
			return err
		}
	}
}

// readBack compares what the file system holds with what was wanted.
func readBack(ctx context.Context, path string, want Sum) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// Advice only: where it is not taken, the page cache answers for the medium.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	got, err := SumOf(&contextReader{ctx, f})
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if got != want {
		return fmt.Errorf("read back %v, wrote %v: %w", got, want, ErrMismatch)
	}
	return nil
}

// publish gives a finished temporary file its final name, if that is free. The
// commit point is one link(2), or one rename where there are no hard links.
func publish(temp, final string) error {
	err := os.Link(temp, final)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		err = unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE)
	}
	if errors.Is(err, fs.ErrExist) {
		return ErrExist
	}
	return err
}

// MoveIn renames. On file systems that cannot rename without replacing (NFS) it
// links and unlinks: a crash in between leaves both names of one file.
func (d *Dir) MoveIn(ctx context.Context, localPath, key string) error {
	final, err := d.LocalPath(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := os.Lstat(localPath); err != nil {
		return fmt.Errorf("move into tier %s: %w", d.tier, err)
	}
	err = d.inFolder(filepath.Dir(final), func() error { return renameIfAbsent(localPath, final) })
	if err != nil {
		d.prune(filepath.Dir(final))
		return fmt.Errorf("move %s into tier %s as %s: %w", localPath, d.tier, key, err)
	}
	return errors.Join(durable.SyncDir(filepath.Dir(final)), durable.SyncDir(filepath.Dir(localPath)))
}

func renameIfAbsent(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		if err = os.Link(from, to); err == nil {
			err = os.Remove(from)
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return ErrExist
	case errors.Is(err, unix.EXDEV):
		return ErrCrossDevice
	}
	return err
}

// Delete removes the file, and the folders above it that it leaves empty.
func (d *Dir) Delete(ctx context.Context, key string) error {
	path, err := d.LocalPath(key)
	if err != nil {
		return err
	}
	if err := errors.Join(ctx.Err(), d.present()); err != nil {
		return err
	}
	err = unix.Unlink(path) // unlike os.Remove it leaves an empty folder of that name alone
	switch {
	case err == nil:
		err = d.syncUp(filepath.Dir(path))
	case errors.Is(err, unix.EISDIR):
		err = fmt.Errorf("%s in tier %s: %w: %w", key, d.tier, err, ErrNotExist)
	default:
		err = d.notFound(key, err)
	}
	d.prune(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// syncUp fsyncs dir, or what is left of it upwards when a concurrent Delete has
// removed it as empty.
func (d *Dir) syncUp(dir string) error {
	for {
		err := durable.SyncDir(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == d.root {
			return err
		}
		dir = filepath.Dir(dir)
	}
}

// prune removes empty folders from dir upwards, the root excepted. It is tidying:
// whatever stops it (most often: the folder is not empty) ends it.
func (d *Dir) prune(dir string) {
	for len(dir) > len(d.root) && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

// contextReader ends reading when the context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
