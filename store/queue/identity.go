package queue

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// identity tells a queue from every other one, also from one that was in the same
// directory before. It is drawn when the queue is made and kept in two files, the lock
// and index.meta, of which each writer makes the one from the other if it is lost. It
// is not in the segments: those are the same whenever the same records are written.
//
// Queues that were made by older programs have none, which is all zero.
type identity [16]byte

// String gives it in hexadecimal digits.
func (id identity) String() string { return hex.EncodeToString(id[:]) }

// parseIdentity reads the digits; what is none gives zero.
func parseIdentity(b []byte) (id identity) {
	if len(b) != 2*len(id) {
		return identity{}
	}
	if _, err := hex.Decode(id[:], b); err != nil {
		return identity{}
	}
	return id
}

// ID gives the identity of the queue in dir: 32 hexadecimal digits, which stay the same
// for as long as the queue lives, and are others after it was deleted and made again. A
// copy of the directory has the same. It is empty for a queue that an older program has
// made. It takes no lock. What is drawn is durable when the writer's first Sync, or
// SyncTo, has returned.
func ID(dir string) (string, error) {
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("identity of queue: %w", err)
	}
	id, err := tableIdentity(dir)
	if err == nil && id == (identity{}) {
		id, err = lockIdentity(dir)
	}
	if err != nil {
		return "", fmt.Errorf("identity of queue %s: %w", dir, err)
	}
	if id == (identity{}) {
		return "", nil
	}
	return id.String(), nil
}

// tableIdentity gives the identity that index.meta has; zero if none.
func tableIdentity(dir string) (id identity, err error) {
	b := make([]byte, tableHeader)
	err = readStart(filepath.Join(dir, tableName), func(f io.ReaderAt) error {
		n, err := f.ReadAt(b, 0)
		if err == io.EOF || n == len(b) {
			return nil
		}
		return err
	})
	if err == nil && string(b[:8]) == tableMagic {
		copy(id[:], b[tableID:])
	}
	return id, err
}

// lockIdentity gives the identity that the lock file has; zero if none.
func lockIdentity(dir string) (id identity, err error) {
	err = readStart(filepath.Join(dir, lockName), func(f io.ReaderAt) error {
		_, id = readLock(f)
		return nil
	})
	return id, err
}

// readStart calls read with the file at path, if there is one.
func readStart(path string, read func(io.ReaderAt) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(read(f), f.Close())
}

// identify finds the queue's identity and has both files have it: the lock now,
// index.meta when it is written anew. A queue that has neither segments nor index.meta
// is a new one, whatever the lock says, for its numbers begin anew.
func (w *Writer) identify(old bool) error {
	id, err := tableIdentity(w.dir)
	if err != nil {
		return err
	}
	if id == (identity{}) && old {
		id = w.lock.id
	} else if id == (identity{}) {
		if _, err := rand.Read(id[:]); err != nil {
			return fmt.Errorf("draw an identity: %w", err)
		}
	}
	w.table.id = id
	if id == w.lock.id {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(w.dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = writeLock(f, id)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	w.lock.id, w.names.made = id, f.Name()
	return nil
}
