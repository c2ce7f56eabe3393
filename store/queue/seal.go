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
	table  *table
	names  *names
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
	for s := q.oldest(); s != nil; s = q.oldest() {
		if err := q.seal(s); err != nil {
			return fmt.Errorf("seal %s: %w", s.path, asFull(err))
		}
		q.drop()
	}
	return nil
}

// seal turns an ended segment into a sealed one:
//
//  1. its records are walked, which counts them and proves every checksum;
//  2. the file is cut after the end word, the footer is written there, and all of
//     it is made durable; then its name is;
//  3. the table takes over its last sequence, durably: from now on the next writer
//     knows of these records even if somebody moves the segment away;
//  4. the trailer is written and made durable. It is the commit point: a crash
//     before it leaves an ended segment, which the next OpenWriter seals; one after
//     it leaves a live index to remove;
//  5. the live index and the mapping go.
//
// The trailer is written on its own and last because the pages of one write can
// reach the disk in any order.
func (q *sealer) seal(s *active) error {
	f, err := q.sealedFooter(s)
	if err != nil {
		return err
	}
	foot, trail := f.seal()
	if !s.trailed {
		if err := q.prepare(s, f, foot); err != nil {
			return err
		}
	}
	if err := q.finish(s, f.end+endSize+int64(len(foot)), trail); err != nil {
		return err
	}
	_ = durable.Unlink(sidecarPath(s.path)) // or the next writer does it; nobody reads it any more
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

// prepare does the steps from the cut to the table.
func (q *sealer) prepare(s *active, f *footer, foot []byte) (err error) {
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	covered := f.end + endSize
	if err := s.cut(file, covered); err != nil {
		return err
	}
	if err := durable.WriteAt(file, foot, covered); err != nil {
		return err
	}
	if err := q.sync(func() error { return s.syncFile(file) }); err != nil {
		return err
	}
	if err := q.sync(q.names.sync); err != nil {
		return err
	}
	if err := q.table.end(&f.summary); err != nil {
		return err
	}
	return q.sync(q.table.sync)
}

// finish writes the trailer at offset. Once that has been tried the file may be
// sealed, and somebody may have moved it away; only the trailer is written again.
func (q *sealer) finish(s *active, offset int64, trail []byte) (err error) {
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if s.trailed && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	s.trailed = true
	if err := durable.WriteAt(file, trail, offset); err != nil {
		return err
	}
	return q.sync(func() error { return durable.Sync(file) })
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

// settle notes that all segments that are pending are durable as they are.
func (q *sealer) settle() {
	for _, s := range q.all() {
		s.durable = true
	}
}

// hand lets those be sealed that are durable.
func (q *sealer) hand() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.pending {
		s.handed = s.handed || s.durable
	}
}

// ready gives the oldest segment that is pending if it may be sealed.
func (q *sealer) ready() *active {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 || !q.pending[0].handed {
		return nil
	}
	return q.pending[0]
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
