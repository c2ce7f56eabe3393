package queue

import (
	"errors"
	"fmt"
)

// What callers branch on, with errors.Is.
var (
	// ErrCorrupt: bytes that were once written whole no longer are, or never were a segment.
	ErrCorrupt = errors.New("corrupt queue segment")
	// ErrLocked: another writer holds the queue. The error is a [*LockedError].
	ErrLocked = errors.New("queue has another writer")
	// ErrGone: the wanted record has been removed or moved away. The error is a [*GoneError].
	ErrGone = errors.New("record is no longer in the queue")
	// ErrFull: no space for the record. Nothing was written; the call may be
	// repeated when there is space again.
	ErrFull = errors.New("no space left for the queue")
	// ErrTooBig: a body of more than MaxBody bytes, or metadata of more than MaxMeta.
	ErrTooBig = errors.New("too big for the queue")
	// ErrClosed: the writer, tailer or segment has been closed.
	ErrClosed = errors.New("queue is closed")
)

// LockedError says who holds the queue.
type LockedError struct {
	Dir string
	PID int // 0 when the holder has not written its pid yet
}

// Error names the holder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("queue %s is being written by process %d: stop it first", e.Dir, e.PID)
}

// Unwrap gives ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// GoneError says from where the queue can still be read.
type GoneError struct {
	Wanted uint64 // the sequence that was asked for
	Oldest uint64 // the oldest sequence after it that is still here
}

// Error names both sequences.
func (e *GoneError) Error() string {
	return fmt.Sprintf("record %d is no longer in the queue: the next one here is %d", e.Wanted, e.Oldest)
}

// Unwrap gives ErrGone.
func (e *GoneError) Unwrap() error { return ErrGone }
