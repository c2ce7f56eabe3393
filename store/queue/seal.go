package queue

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"chronicle/internal/durable"
)

// sealer seals ended segments, oldest first, and keeps those that could not be
// sealed (no space, an I/O error) to try again.
type sealer struct {
	dir    string
	table  *table
	noSync bool

	running sync.Mutex // held while sealing
	mu      sync.Mutex // held while pending is looked at
	pending []*active
}

// add takes over a segment that has its end word.
func (q *sealer) add(s *active) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = append(q.pending, s)
}

// oldest gives the segment to seal next; nil when none is pending.
func (q *sealer) oldest() *active {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 {
		return nil
	}
	return q.pending[0]
}

// drop forgets the oldest one, which is sealed.
func (q *sealer) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = q.pending[1:]
}

// run seals everything that is pending, and waits for another run under way. On
// an error the segment in question stays ended, readable and pending.
func (q *sealer) run() error {
	q.running.Lock()
	defer q.running.Unlock()
	sealed := false
	for s := q.oldest(); s != nil; s = q.oldest() {
		if err := q.seal(s); err != nil {
			return fmt.Errorf("seal %s: %w", s.path, err)
		}
		q.drop()
		sealed = true
	}
	if !sealed {
		return nil
	}
	return q.sync(func() error { return durable.SyncDir(q.dir) })
}

// seal turns an ended segment into a sealed one:
//
//  1. its records are walked, which counts them and proves every checksum;
//  2. the file is cut after the end word, and what it holds is made durable;
//  3. the table takes over its last sequence, durably;
//  4. footer and trailer are written behind the end word and made durable. The
//     trailer is the commit point: a crash before it leaves an ended segment,
//     which the next OpenWriter seals; one after it leaves a live index to remove;
//  5. the live index and the mapping go.
func (q *sealer) seal(s *active) error {
	f, err := q.sealedFooter(s)
	if err != nil {
		return err
	}
	if err := q.finish(s.path, f); err != nil {
		return asFull(err)
	}
	if err := os.Remove(sidecarPath(s.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.closeAll()
}

// sealedFooter walks the segment s and gives its footer.
func (q *sealer) sealedFooter(s *active) (*footer, error) {
	f := &footer{summary: *newSummary(s.first)}
	if err := walk(memory{s.mem[:s.pos+endSize]}, &f.summary); err != nil {
		return nil, err
	}
	if !f.ended || f.end != int64(s.pos) {
		return nil, fmt.Errorf("its records end at offset %d, not at %d: %w", f.end, s.pos, ErrCorrupt)
	}
	f.hash = sha256.Sum256(s.mem[:s.pos+endSize])
	return f, nil
}

// finish does the steps from the cut to the trailer.
func (q *sealer) finish(path string, f *footer) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	covered := f.end + endSize
	if err := file.Truncate(covered); err != nil {
		return err
	}
	if err := q.sync(file.Sync); err != nil {
		return err
	}
	if err := q.table.end(&f.summary); err != nil {
		return err
	}
	if err := q.sync(q.table.sync); err != nil {
		return err
	}
	if _, err := file.WriteAt(f.seal(), covered); err != nil {
		return err
	}
	return q.sync(file.Sync)
}

// sync calls f unless syncing is off.
func (q *sealer) sync(f func() error) error {
	if q.noSync {
		return nil
	}
	return f()
}

// all gives the segments that are pending.
func (q *sealer) all() []*active {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.pending)
}

// abandon takes the mappings of the pending segments down; the next OpenWriter
// seals them.
func (q *sealer) abandon() error {
	var err error
	for s := q.oldest(); s != nil; s = q.oldest() {
		err = errors.Join(err, s.closeAll())
		q.drop()
	}
	return err
}
