package queue

import (
	"errors"
	"fmt"
)

// What callers branch on, with errors.Is.
var (
	// ErrCorrupt: bytes that were once written whole no longer are, or never were a segment.
	ErrCorrupt = errors.New("corrupt queue segment")
	// ErrLocked: another writer holds the queue, or another process the consumer.
	// The error is a [*LockedError].
	ErrLocked = errors.New("queue has another writer")
	// ErrGone: the wanted record has been removed or moved away. The error is a [*GoneError].
	ErrGone = errors.New("record is no longer in the queue")
	// ErrFull: no space for the record. Nothing was written; the call may be
	// repeated when there is space again.
	ErrFull = errors.New("no space left for the queue: make room on its file system, then go on")
	// ErrTooBig: a body of more than MaxBody bytes, or metadata of more than MaxMeta.
	ErrTooBig = errors.New("too big for the queue")
	// ErrChanged: somebody else has written to the queue of a Group while it was
	// closed for another. Close the group and open it anew.
	ErrChanged = errors.New("queue was changed by another writer")
	// ErrClosed: the writer, tailer or segment has been closed.
	ErrClosed = errors.New("queue is closed")
)

// LockedError says who holds the queue, or a consumer of it.
type LockedError struct {
	Dir      string
	Consumer string // empty for the queue's writer
	PID      int    // 0 when the holder has not written its pid yet
}

// Error names the holder.
func (e *LockedError) Error() string {
	if e.Consumer != "" {
		return fmt.Sprintf("consumer %s of queue %s is held by process %d: stop it first", e.Consumer, e.Dir, e.PID)
	}
	return fmt.Sprintf("queue %s is being written by process %d: stop it first", e.Dir, e.PID)
}

// Unwrap gives ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// GoneError says from where the queue can still be read.
type GoneError struct {
	Wanted uint64 // the sequence that was asked for; 0 if a time was
	Oldest uint64 // the oldest sequence after it that is still here, or will be the next one
}

// Error names both sequences.
func (e *GoneError) Error() string {
	wanted := fmt.Sprintf("record %d is", e.Wanted)
	if e.Wanted == 0 {
		wanted = "records from the time asked for on are"
	}
	return fmt.Sprintf("%s no longer in the queue: to go on with what is, begin at record %d", wanted, e.Oldest)
}

// Unwrap gives ErrGone.
func (e *GoneError) Unwrap() error { return ErrGone }
