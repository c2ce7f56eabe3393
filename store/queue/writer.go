package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"chronicle/internal/durable"
)

// Writer appends to a queue. There is one per queue, on any number of processes;
// it belongs to one goroutine. What it has appended is visible to every reader
// when Append or Commit returns.
type Writer struct {
	// Owned by the writer's goroutine.
	active   *active // the segment being appended to; nil before the first record of one
	next     uint64  // sequence of the next record
	meta     []byte
	closed   bool
	recovery *Recovery

	dir     string
	options Options
	lock    *dirLock
	table   table
	sealer  sealer
	maker   segmentMaker
	helper  *helper // nil without Options.Precreate
	syncer  *syncer // nil without Options.SyncInterval

	// Shared with the syncer and the helper.
	current atomic.Pointer[active] // the same as active
	names   names
}

// OpenWriter opens the queue in dir for appending, making it if it is not there.
// It takes the queue's lock ([ErrLocked] if another writer has it, in this
// process or any other) and recovers what an earlier writer left: see the package
// documentation. [ErrCorrupt] means that there is damage which it may not cut away.
func OpenWriter(dir string, opts Options) (*Writer, error) {
	w := new(Writer)
	if err := w.open(dir, opts); err != nil {
		return nil, err
	}
	w.start()
	return w, nil
}

// open makes w, which is zero, the writer of the queue in dir, without goroutines.
func (w *Writer) open(dir string, opts Options) (err error) {
	if w.options, err = opts.withDefaults(); err != nil {
		return err
	}
	w.dir, w.meta, w.recovery = dir, w.options.Meta, new(Recovery)
	w.names.dir = dir
	if _, err = durable.MakeDirs(dir, 0o755); err != nil {
		return fmt.Errorf("open queue: %w", asFull(err))
	}
	if w.lock, err = lockDir(dir); err != nil {
		return err
	}
	w.table.dir, w.table.reserve, w.table.keep, w.table.lazy = dir, w.options.reserve, opts.Precreate, opts.later
	w.maker.dir, w.maker.options = dir, &w.options
	w.names.changed.Store(true)
	w.sealer.table, w.sealer.names, w.sealer.noSync = &w.table, &w.names, opts.NoSync
	err = w.recover()
	if err == nil && opts.Precreate {
		err = w.sealer.sync(w.tableDurable)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open queue %s: %w", dir, err), w.release())
	}
	return nil
}

// tableDurable has a table on disk before the writer can run ahead of the
// sealing: by it the next writer knows whether a missing segment was ever sealed.
func (w *Writer) tableDurable() error { return errors.Join(w.table.sync(), w.names.sync()) }

// start sets the writer's goroutines going.
func (w *Writer) start() {
	if w.options.Precreate {
		w.helper = startHelper(&w.maker, &w.sealer)
	}
	if w.options.SyncInterval > 0 && !w.options.NoSync {
		w.syncer = startSyncer(w.options.SyncInterval, w.syncAll)
	}
}

// Append adds a record and returns its sequence. r.Seq is ignored, r.Body copied.
// On an error nothing was added: [ErrFull] when there is no space, after which
// the call may be repeated, [ErrTooBig] for a body of more than MaxBody bytes.
func (w *Writer) Append(r Record) (uint64, error) {
	n, s := len(r.Body), w.active
	if s == nil || n > MaxBody || s.pos+RecordSize(n) > s.limit {
		var err error
		if s, err = w.makeRoom(n); err != nil {
			return 0, err
		}
	}
	s.reserved, s.scribbled = -1, max(s.scribbled, s.pos+recordHeader+n)
	copy(s.mem[s.pos+recordHeader:], r.Body)
	if err := s.commit(&r, w.next, n); err != nil {
		return 0, err
	}
	w.next++
	return w.next - 1, nil
}

// Reserve gives n bytes inside the queue, to be filled with the body of the next
// record, which Commit then adds without copying it. They are not zeroed. A
// reservation that is not committed is void with the next call of Append,
// Reserve, Roll or Close. Errors are those of Append.
func (w *Writer) Reserve(n int) ([]byte, error) {
	if n < 0 {
		return nil, fmt.Errorf("reserve %d bytes in queue %s: give 0 or more", n, w.dir)
	}
	s := w.active
	if s == nil || n > MaxBody || s.pos+RecordSize(n) > s.limit {
		var err error
		if s, err = w.makeRoom(n); err != nil {
			return nil, err
		}
	}
	begin := s.pos + recordHeader
	s.reserved, s.scribbled = n, max(s.scribbled, begin+n)
	return s.mem[begin : begin+n : begin+n], nil
}

// Commit adds a record whose body is the first n bytes of the latest Reserve.
// r.Seq and r.Body are ignored. When it fails with ErrFull (for want of space for
// the index), the reservation still stands and Commit may be repeated.
func (w *Writer) Commit(r Record, n int) (uint64, error) { return w.commit(&r, n) }

func (w *Writer) commit(r *Record, n int) (uint64, error) {
	s := w.active
	if s == nil || n < 0 || n > s.reserved {
		return 0, fmt.Errorf("commit %d bytes in queue %s: they were not reserved", n, w.dir)
	}
	if err := s.commit(r, w.next, n); err != nil {
		return 0, err
	}
	w.next++
	return w.next - 1, nil
}

// makeRoom is the slow way into a record with a body of n bytes: it reserves
// space, or rolls, or begins the first segment.
func (w *Writer) makeRoom(n int) (*active, error) {
	if w.closed {
		return nil, fmt.Errorf("append to queue %s: %w", w.dir, ErrClosed)
	}
	if n > MaxBody {
		return nil, fmt.Errorf("append to queue %s: body of %d bytes, at most %d: %w", w.dir, n, MaxBody, ErrTooBig)
	}
	s := w.active
	if s != nil && (w.options.ManualRoll || s.fits(n)) {
		if err := s.grow(n); err != nil {
			return nil, fmt.Errorf("append to queue %s: %w", w.dir, err)
		}
		return s, nil
	}
	next, err := w.begin(n)
	if err != nil {
		return nil, fmt.Errorf("begin segment %d of queue %s: %w", w.next, w.dir, err)
	}
	if s != nil {
		w.retire(s)
	}
	w.setActive(next)
	if s != nil && w.helper == nil {
		// What cannot be sealed stays pending: the next roll tries again, and
		// Sync, Roll and Close return the error if it still stands.
		_ = w.sealer.run()
	}
	if w.helper != nil {
		w.helper.poke()
	}
	return next, nil
}

// begin makes the segment for the next record, whose body has n bytes, and gives
// it its name. On an error there is no new segment, and the old one goes on.
func (w *Writer) begin(n int) (*active, error) {
	need := int64(headerPage + RecordSize(n) + endSize)
	var s *active
	if w.helper != nil && need <= w.options.SegmentBytes {
		s = w.helper.take()
	}
	if s == nil {
		var err error
		if s, err = w.maker.create(max(need, w.options.SegmentBytes), need); err != nil {
			return nil, err
		}
	}
	err := w.table.room()
	if err == nil {
		err = w.maker.publish(s, w.next, w.meta)
	}
	if w.options.later && errors.Is(err, fs.ErrExist) {
		err = errors.Join(err, ErrChanged) // written while it was closed for another
	}
	if err == nil {
		err = w.table.begin(w.next)
	}
	if err != nil {
		return nil, joinDiscard(err, s)
	}
	w.names.changed.Store(true)
	return s, nil
}

// joinDiscard removes the segment s that err has made useless.
func joinDiscard(err error, s *active) error { return errors.Join(err, s.discard()) }

// retire ends the segment s and hands it on to be sealed.
func (w *Writer) retire(s *active) {
	s.end()
	w.sealer.add(s)
}

func (w *Writer) setActive(s *active) {
	w.active = s
	w.current.Store(s)
}
