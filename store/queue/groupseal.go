package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// sealing is the work of a group's sealers: members with segments to seal. Each is
// with one sealer at a time, for segments are sealed oldest first.
type sealing struct {
	mu     sync.Mutex
	more   sync.Cond // there is work, or there will be none
	idle   sync.Cond // there is no work, and none under way
	queue  []*Member
	busy   int       // sealers at work
	failed []*Member // to be tried again by the next Seal
	ended  bool

	started bool // Seal has started the sealers
	done    sync.WaitGroup

	errs  int   // errors since take
	first error // of them
}

func (q *sealing) init() { q.more.L, q.idle.L = &q.mu, &q.mu }

// Seal hands everything that was cut before the last Sync to the sealers and returns.
// What could not be sealed earlier is tried again. The error is that of earlier
// sealing, and each is returned once: by Seal, Wait, Sync or Close.
func (g *Group) Seal() error {
	if g.closed {
		return fmt.Errorf("seal: %w", ErrClosed)
	}
	q := &g.sealing
	if !q.started {
		q.started = true
		for range g.options.Sealers {
			q.done.Go(func() { q.work(&g.stats) })
		}
	}
	q.mu.Lock()
	for _, m := range q.failed {
		q.push(m)
	}
	q.failed = nil
	for _, m := range g.cut {
		m.cut = false
		m.w.sealer.hand()
		q.push(m)
	}
	q.mu.Unlock()
	clear(g.cut)
	g.cut = g.cut[:0]
	return q.take()
}

// Wait waits until everything that was handed on has been sealed, or could not be.
func (g *Group) Wait() error {
	q := &g.sealing
	q.mu.Lock()
	for q.busy > 0 || len(q.queue) > 0 {
		q.idle.Wait()
	}
	q.mu.Unlock()
	return q.take()
}

// push gives m to the sealers. The caller holds q.mu.
func (q *sealing) push(m *Member) {
	if m.queued {
		return
	}
	m.queued = true
	q.queue = append(q.queue, m)
	q.more.Signal()
}

// work is a sealer.
func (q *sealing) work(stats *groupCounters) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.queue) == 0 && !q.ended {
			q.more.Wait()
		}
		if len(q.queue) == 0 {
			return
		}
		m := q.queue[0]
		q.queue[0], q.queue = nil, q.queue[1:]
		q.busy++
		q.mu.Unlock()
		err := m.seal(stats)
		q.mu.Lock()
		q.finished(m, err)
	}
}

// finished notes that a sealer is done with m. The caller holds q.mu.
func (q *sealing) finished(m *Member, err error) {
	q.busy--
	m.queued = false
	if err != nil {
		q.failed = append(q.failed, m)
		if q.errs++; q.first == nil {
			q.first = err
		}
	} else if m.w.sealer.ready() != nil {
		q.push(m) // handed on meanwhile
	}
	if q.busy == 0 && len(q.queue) == 0 {
		q.idle.Broadcast()
	}
}

// take gives the errors that nobody has been told yet.
func (q *sealing) take() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, first := q.errs, q.first
	q.errs, q.first = 0, nil
	if n > 1 {
		return fmt.Errorf("sealing of %d queues: %w", n, first)
	}
	return first
}

// end waits for the sealers to do what they have been handed, and ends them.
func (q *sealing) end() {
	q.mu.Lock()
	q.ended = true
	q.more.Broadcast()
	q.mu.Unlock()
	q.done.Wait()
}

// seal seals the segments that have been handed on, oldest first. It holds the
// queue's lock meanwhile, also while the member is closed for another.
func (m *Member) seal(stats *groupCounters) (err error) {
	if err := m.hold(); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	defer func() { err = errors.Join(err, m.release()) }()
	for s := m.w.sealer.ready(); s != nil; s = m.w.sealer.ready() {
		if err := m.sealAway(s); err != nil {
			return fmt.Errorf("seal %s: %w", s.path, asFull(err))
		}
		m.w.sealer.drop()
		stats.sealed.Add(1)
	}
	return nil
}

// sealAway seals a segment that is not mapped.
func (m *Member) sealAway(s *active) error {
	sealed, err := isSealed(s.path)
	if s.trailed && errors.Is(err, fs.ErrNotExist) {
		return nil // sealed, and moved away
	}
	if err == nil && sealed && !s.trailed {
		err = ErrChanged
	}
	if err == nil {
		err = s.reopen()
	}
	if err != nil {
		return err
	}
	if err := m.w.sealer.seal(s); err != nil {
		return errors.Join(err, s.region.close())
	}
	return nil
}
