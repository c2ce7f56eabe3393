package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// SyncTo makes the queue in dir durable up to record seq, or to its end if that comes
// before. It is for a reader that is about to make durable what it has made of those
// records: after a crash of the machine it then remembers no more than there is. It
// syncs the segments that are not sealed and hold such records, as a rule one, and their
// names. Where they are all sealed, and so on disk already unless the writer has NoSync,
// it costs a look into index.meta.
//
// It takes no lock. After an error nothing is known; the call may be repeated.
func SyncTo(dir string, seq uint64) error {
	var err error
	for range startTries {
		// What is gone when it is to be opened has been sealed and moved away.
		if err = syncTo(dir, seq); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if _, statErr := os.Stat(dir); statErr != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("sync queue %s up to record %d: %w", dir, seq, err)
	}
	return nil
}

func syncTo(dir string, seq uint64) error {
	table, known, err := ReadTable(dir)
	if err != nil || known && table.NextSeq > seq {
		return err // index.meta has taken that sequence over when all before it was on disk
	}
	firsts, err := unsealedFrom(dir, table, known)
	if err != nil {
		return err
	}
	for _, first := range firsts {
		if first > seq {
			break
		}
		if err := syncSegment(segmentPath(dir, first)); err != nil {
			return err
		}
	}
	if err := durable.SyncFile(filepath.Join(dir, lockName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // it has the queue's identity
	}
	dirs := []string{dir}
	if table.NextSeq <= 1 { // nothing is sealed yet: perhaps nobody has synced the queue's own name
		above, err := ancestors(dir)
		if err != nil {
			return err
		}
		dirs = append(dirs, above...)
	}
	for _, d := range dirs {
		err = errors.Join(err, durable.SyncDir(d))
	}
	return err
}

// unsealedFrom gives the first sequences of the segments that may not be sealed, oldest
// first, by index.meta or else by the files.
func unsealedFrom(dir string, table Table, known bool) ([]uint64, error) {
	var firsts []uint64
	for _, s := range table.Segments {
		if s.LastSeq == 0 {
			firsts = append(firsts, s.FirstSeq)
		}
	}
	if known {
		return firsts, nil
	}
	files, err := segmentFiles(dir)
	for _, f := range files {
		firsts = append(firsts, f.FirstSeq)
	}
	return firsts, err
}

// syncSegment syncs the segment at path. If that fails the kernel takes for clean what
// it has not written, so it is told otherwise before anybody tries again.
func syncSegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = durable.Sync(f)
	if err != nil {
		err = errors.Join(err, redirty(path))
	}
	return errors.Join(err, f.Close())
}

// redirty has the next sync, by whatever process, write the records of the segment at
// path. It touches no more: what is behind them may be cut off at any time.
func redirty(path string) (err error) {
	s, err := OpenSegment(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.Sealed() {
		return nil // its writer has had it synced
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	mem, err := mapFile(f, s.Info().Bytes, unix.PROT_READ|unix.PROT_WRITE)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return errors.Join(durable.Dirty(path, mem[:s.Info().Bytes]), os.NewSyscallError("munmap", unix.Munmap(mem)))
}
