package etl

import (
	"fmt"

	"chronicle/market"
	"chronicle/store/queue"
)

// carry keeps the books of streams that are between two segments: the old one is
// about to be sealed and moved away, and the new one, which will begin with a
// snapshot, waits for a change of the book. It is a queue of snapshots; an
// instrument holds the sequence of its own until its next segment begins.
type carry struct {
	dir   string
	w     *queue.Writer
	bytes int64 // appended since it was opened, or was last made compact
}

// carriedEmpty is the place of a book without an entry, which needs none.
const carriedEmpty = ^uint64(0)

// carrySlack is how many bytes of snapshots that nobody needs any more are kept.
const carrySlack = 64 << 20

func openCarry(dir string, noSync bool) (*carry, error) {
	w, err := queue.OpenWriter(dir, queue.Options{SegmentBytes: 16 << 20, NoSync: noSync})
	if err != nil {
		return nil, fmt.Errorf("etl: carried books: %w", err)
	}
	return &carry{dir: dir, w: w}, nil
}

// add appends a snapshot and gives its place.
func (c *carry) add(snap *market.BookEvent) (uint64, error) {
	n := snap.Size(market.KindSnapshot)
	b, err := c.w.Reserve(n)
	if err != nil {
		return 0, fmt.Errorf("carried books: %w", err)
	}
	snap.Put(b, market.KindSnapshot)
	c.bytes += int64(queue.RecordSize(n))
	return c.w.Commit(queue.Record{Kind: uint16(market.KindSnapshot)}, n)
}

// load reads the snapshot at a place.
func (c *carry) load(seq uint64, snap *market.BookEvent) error {
	return eachStored(c.dir, seq, seq+1, func(r *queue.Record) error {
		return snap.Decode(r.Body, market.KindSnapshot)
	})
}

// forget removes what was carried before the snapshot at oldest.
func (c *carry) forget(oldest uint64) error {
	if oldest == 0 {
		oldest = c.w.NextSeq()
	}
	if _, err := queue.RemoveOldest(c.dir, oldest); err != nil {
		return fmt.Errorf("carried books: %w", err)
	}
	return nil
}

func (c *carry) close() error { return c.w.Close() }

// carryBooks carries every book that its stream does not hold at the pipeline's
// position, and makes it durable.
func (e *ETL) carryBooks() error {
	compact := e.carry.bytes > carrySlack
	for _, inst := range e.instruments {
		s := inst.streams[bookStream]
		if s == nil || s.w == nil && !compact || s.next == 1 || s.records > 0 && s.next >= s.stored {
			continue
		}
		if inst.carried != 0 && (!compact || inst.carried == carriedEmpty) {
			continue
		}
		if err := e.carryBook(inst); err != nil {
			return err
		}
	}
	if compact {
		e.carry.bytes = 0
	}
	if e.cfg.NoSync {
		return nil
	}
	if err := e.carry.w.Sync(); err != nil {
		return fmt.Errorf("carried books: %w", err)
	}
	return nil
}

func (e *ETL) carryBook(inst *instrument) error {
	if err := e.restore(inst); err != nil {
		return err
	}
	snap := &e.scratch.snapshot
	*snap = market.BookEvent{Entries: inst.book.AppendSnapshot(snap.Entries[:0])}
	if len(snap.Entries) == 0 {
		inst.carried = carriedEmpty
		return nil
	}
	var err error
	inst.carried, err = e.carry.add(snap)
	return err
}

// oldestCarried gives the oldest place that an instrument holds; 0 for none.
func (e *ETL) oldestCarried() uint64 {
	var oldest uint64
	for _, inst := range e.instruments {
		if inst.carried != 0 && inst.carried != carriedEmpty && (oldest == 0 || inst.carried < oldest) {
			oldest = inst.carried
		}
	}
	return oldest
}
