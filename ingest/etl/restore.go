package etl

import (
	"fmt"
	"io"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/queue"
)

// Books after a restart
//
// The checkpoint holds no books. They are where everybody else finds them: in the
// clean stream, at the position that the checkpoint gives, as the snapshot before
// it and the changes since. Their number is bounded by the snapshot policy, so a
// restart costs next to nothing, and a book is only made when it is needed.
//
// That segment is never a sealed one, which might have been moved away: see the
// package's invariants. Where there is no open segment, the carry has the book.

// restore makes the instrument's book if a restart has left it out.
func (e *ETL) restore(inst *instrument) error {
	if inst.book != nil {
		return nil
	}
	b := book.New(inst.def.BookType)
	s := inst.streams[bookStream]
	var err error
	switch {
	case s == nil || s.next == 1 || inst.carried == carriedEmpty:
	case inst.carried != 0:
		err = e.carry.load(inst.carried, &e.scratch.snapshot)
		b.Apply(&e.scratch.snapshot, market.KindSnapshot)
	default:
		err = readBook(b, s, &e.scratch.snapshot)
	}
	if err != nil {
		return fmt.Errorf("book of %s at the checkpoint: %w", inst.def.SymbolID(), err)
	}
	inst.book = b
	return nil
}

// readBook replays a book stream from its last snapshot up to the record before next.
func readBook(b *book.Book, s *stream, ev *market.BookEvent) error {
	return eachStored(s.dir(), s.snapshotSeq, s.next, func(r *queue.Record) error {
		kind := market.Kind(r.Kind)
		if kind != market.KindBook && kind != market.KindSnapshot {
			return nil
		}
		if err := ev.Decode(r.Body, kind); err != nil {
			return fmt.Errorf("record %d: %w", r.Seq, err)
		}
		b.Apply(ev, kind)
		return nil
	})
}

// eachStored calls f with the records of a clean queue from from to before to,
// all of which must be there.
func eachStored(dir string, from, to uint64, f func(*queue.Record) error) error {
	files, err := queue.ListSegments(dir)
	if err != nil {
		return err
	}
	for i, file := range files {
		if i+1 < len(files) && files[i+1].FirstSeq <= from {
			continue
		}
		if file.FirstSeq > from {
			break // something before it is missing
		}
		if from, err = eachInSegment(file.Path, from, to, f); err != nil {
			return err
		}
		if from >= to {
			return nil
		}
	}
	return fmt.Errorf("%s does not hold the records %d to %d: %w", dir, from, to-1, ErrLostRecords)
}

// eachInSegment gives the first record that it has not seen.
func eachInSegment(path string, from, to uint64, f func(*queue.Record) error) (uint64, error) {
	segment, err := queue.OpenSegment(path)
	if err != nil {
		return from, err
	}
	defer segment.Close()
	cursor := segment.Cursor()
	if err := cursor.SeekSeq(from); err != nil {
		return from, err
	}
	for from < to {
		r, err := cursor.Next()
		if err == io.EOF {
			return from, nil
		}
		if err == nil {
			err = f(&r)
		}
		if err != nil {
			return from, err
		}
		from = r.Seq + 1
	}
	return from, nil
}
