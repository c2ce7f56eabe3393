// Package durable makes changes to a local file system that survive a power
// loss once the call has returned.
//
// Invariants:
//   - A file written here is seen by its final name only when it is whole: the
//     bytes go to a temporary name beside it, are fsynced, and are then renamed
//     or linked; last, the directory is fsynced.
//   - A crash at any point leaves the old file or the new one, and at most a
//     leftover temporary file ([IsTemp]) that nobody reads.
//   - An error after the rename says so in its text: the change may have been
//     applied although the call failed.
//
// Two layers: this file has whole changes, durable on return; steps.go has the
// single operations that they are made of, for code that orders its own. Every
// operation goes through one place, where a test can put a file system that loses
// power or fails: package faultfs.
//
// All functions are safe for concurrent use. Two calls that replace the same
// name race as renames do: one of them wins, whole.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
)

const tempInfix = ".tmp-"

// IsTemp tells whether name is a temporary file of this package, which a crash
// may leave behind and which may be removed when no call is under way.
func IsTemp(name string) bool {
	base := filepath.Base(name)
	return strings.HasPrefix(base, ".") && strings.Contains(base, tempInfix)
}

// WriteFile puts data at path, replacing what was there, durably and at once.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	temp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	if err := Move(temp, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), removeIfThere(temp))
	}
	return SyncDir(filepath.Dir(path))
}

// Create puts data at path if nothing is there, durably and at once. An error
// that is fs.ErrExist means that somebody else was first: nothing was changed.
// The commit point is one link(2): of any number of callers exactly one wins.
func Create(path string, data []byte, perm fs.FileMode) error {
	temp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	linkErr := Link(temp, path)
	removeErr := Unlink(temp)
	if linkErr != nil {
		return fmt.Errorf("create %s: %w", path, linkErr)
	}
	if removeErr != nil {
		return fmt.Errorf("create %s: done, but its temporary name stays: %w", path, removeErr)
	}
	return SyncDir(filepath.Dir(path))
}

// writeTemp writes and fsyncs data under a temporary name beside path.
func writeTemp(path string, data []byte, perm fs.FileMode) (string, error) {
	f, err := createTemp(path)
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	err = WriteAt(f, data, 0)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = Sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", path, err), removeIfThere(f.Name()))
	}
	return f.Name(), nil
}

// temps counts the temporary names of this process.
var temps atomic.Uint64

// createTemp makes a temporary file for path. Its name is new: another process,
// or one that died, may have had the same pid.
func createTemp(path string) (*os.File, error) {
	for {
		name := fmt.Sprintf(".%s%s%d-%d", filepath.Base(path), tempInfix, os.Getpid(), temps.Add(1))
		f, err := OpenFile(filepath.Join(filepath.Dir(path), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// removeIfThere removes a temporary file.
func removeIfThere(path string) error {
	if err := Unlink(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Rename moves a file within one file system, replacing what is at the new
// name, and fsyncs both directories. The file's own bytes are the caller's to
// have fsynced before ([SyncFile]).
func Rename(from, to string) error {
	if err := Move(from, to); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if err := SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		return nil
	}
	return SyncDir(filepath.Dir(from))
}

// Remove deletes a file durably. One that is not there is no error.
func Remove(path string) error {
	err := Unlink(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return SyncDir(filepath.Dir(path))
}

// MkdirAll makes a directory and its parents, and fsyncs every directory that
// got a new entry. Directories that are there already cost one stat.
func MkdirAll(path string, perm fs.FileMode) error {
	changed, err := MakeDirs(path, perm)
	for _, dir := range changed {
		err = errors.Join(err, SyncDir(dir))
	}
	return err
}

// MakeDirs makes a directory and its parents and returns the directories that
// got a new entry by it, the outermost last. The caller is to SyncDir them
// when the new one has to survive a power loss: for thousands of directories
// that can be done later.
func MakeDirs(path string, perm fs.FileMode) (changed []string, err error) {
	var missing []string // the outermost last
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("make directory: %w", err)
		}
		missing = append(missing, dir)
		changed = append(changed, filepath.Dir(dir))
	}
	for _, dir := range slices.Backward(missing) {
		err := do(Op{Kind: OpMkdir, Path: dir}, func() error { return os.Mkdir(dir, perm) })
		if err != nil && !errors.Is(err, fs.ErrExist) { // somebody else may be making it too
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	return changed, nil
}

// SyncFile fsyncs the file at path: its bytes and its length, not its name.
func SyncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := errors.Join(Sync(f), f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// SyncDir fsyncs a directory: the names in it. When it fails, the change of a
// name that preceded it has been made, but may not survive a power loss.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory (the change itself is made): %w", err)
	}
	err = do(Op{Kind: OpSyncDir, Path: dir}, d.Sync)
	if err = errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("sync directory %s (the change itself is made): %w", dir, err)
	}
	return nil
}
