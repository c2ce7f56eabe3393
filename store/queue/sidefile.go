package queue

import (
	"errors"
	"os"

	"chronicle/internal/durable"
)

// liveIndex is the sparse index of the segment that is appended to.
type liveIndex interface {
	room() error // makes sure that add cannot fail
	add(indexEntry)
	close() error
	discard() error
}

// sidefile is a live index that is not mapped: entries are collected and written by
// calls, a few at a time, so that a stream takes no mapping for it. Readers find
// what sidecar.go draws; they walk on from the last entry, which may be older.
type sidefile struct {
	path    string
	first   uint64
	n       int64        // entries in the file
	pending []indexEntry // entries after those
}

// A sidefile is written when so many entries are pending. If that fails, more are
// collected; from sideLimit on it is left as it is.
const (
	sideBatch = 8
	sideLimit = 64
)

func (s *sidefile) room() error { return nil }

func (s *sidefile) add(e indexEntry) {
	if len(s.pending) < sideLimit {
		s.pending = append(s.pending, e)
	}
	if len(s.pending) >= sideBatch && len(s.pending) < sideLimit {
		_ = s.flush() // it is a hint: the next entry tries again
	}
}

// flush writes what is pending: the entries, and then their number.
func (s *sidefile) flush() (err error) {
	if len(s.pending) == 0 || len(s.pending) == sideLimit {
		return nil // nothing, or entries after them are missing
	}
	f, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, len(s.pending)*entrySize)
	for i := range s.pending {
		s.pending[i].put(b[i*entrySize:])
	}
	if err := durable.WriteAt(f, b, sidecarHeader+s.n*entrySize); err != nil {
		return err
	}
	n := s.n + int64(len(s.pending))
	head := make([]byte, sidecarHeader)
	copy(head, sidecarMagic)
	le.PutUint64(head[8:], s.first)
	le.PutUint64(head[sidecarCounter:], uint64(n))
	if err := durable.WriteAt(f, head, 0); err != nil {
		return err
	}
	s.n, s.pending = n, s.pending[:0]
	return nil
}

// open opens the file, which is made for the first entries.
func (s *sidefile) open() (*os.File, error) {
	if s.n > 0 {
		return os.OpenFile(s.path, os.O_RDWR, 0)
	}
	return durable.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o644)
}

// close writes what is pending, if that is possible.
func (s *sidefile) close() error {
	_ = s.flush()
	s.pending = nil
	return nil
}

func (s *sidefile) discard() error {
	s.pending = nil
	if s.n == 0 {
		return nil
	}
	return durable.Unlink(s.path)
}
