package etl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"chronicle/market"
	"chronicle/store/queue"
)

// stream is one clean queue and the logical position of the pipeline in it. The
// position (next, records, bytes) follows from the raw input alone; the queue may
// already be ahead of it after a restart, and then what is made again is compared
// and not appended.
type stream struct {
	w       *queue.Member // nil until the first record, and after a restart until it is needed
	next    uint64        // sequence of the next record, from 1
	stored  uint64        // next sequence of the queue when it was opened
	records uint64        // records in the current segment; 0 when the next one begins a segment
	bytes   int64         // their size in bytes

	lastTime int64 // largest capture time written
	oldTime  int64 // the same when the current source began
	begun    bool  // a record of the current source has come for it
	behind   bool  // the current source is older than what is already here: it is left out

	// Book streams only.
	deltas       int    // entries since the last snapshot
	snapshotSeq  uint64 // the last snapshot's place in this stream
	snapshotTime int64  // its event time
	snapshotSize int    // its entries

	e    *ETL
	inst *instrument
	name string
	tail *queue.Record // the last record that was stored at the start, while the pipeline is behind it
	made []byte        // body of the record to be compared with tail
}

// streamIndex gives the fixed place of a stream in instrument.streams.
const (
	bookStream = iota
	tradeStream
	quoteStream
	statusStream
	streamCount
)

var streamNames = [streamCount]string{market.StreamBook, market.StreamTrade, market.StreamQuote, market.StreamStatus}

// StreamDir gives the directory of one clean queue below the clean directory.
func StreamDir(cleanDir, venue, symbol, stream string) string {
	return filepath.Join(cleanDir, filepath.FromSlash(market.StreamPath(venue, symbol, stream)))
}

// open attaches to the stream's queue and checks that it is not behind.
func (s *stream) open() error {
	dir := s.dir()
	w, err := s.e.group.Open(dir, queue.Options{ManualRoll: true, Meta: s.meta(), SegmentBytes: s.inst.policy.RollBytes})
	if err != nil {
		return fmt.Errorf("clean stream: %w", err)
	}
	s.w, s.stored = w, w.NextSeq()
	if s.stored < s.next {
		return fmt.Errorf("%s: ends at record %d, the checkpoint is at %d: %w: restore the missing segments, or remove the clean stream and the checkpoint to make both again from the raw queue",
			dir, s.stored-1, s.next-1, ErrLostRecords)
	}
	if s.next < s.stored {
		s.tail, err = storedRecord(dir, s.stored-1)
	}
	return err
}

func (s *stream) dir() string {
	return StreamDir(s.e.cfg.CleanDir, s.inst.def.Venue, s.inst.def.Symbol, s.name)
}

// storedRecord reads one record of a queue; nil when its segment has been moved to
// the archive.
func storedRecord(dir string, seq uint64) (*queue.Record, error) {
	files, err := queue.ListSegments(dir)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	segment, err := queue.OpenSegment(files[len(files)-1].Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer segment.Close()
	if last := segment.Info().LastSeq; last != seq {
		return nil, nil // the segment after it is the one that was moved
	}
	cursor := segment.Cursor()
	if err := cursor.SeekSeq(seq); err != nil {
		return nil, err
	}
	r, err := cursor.Next()
	r.Body = bytes.Clone(r.Body)
	return &r, err
}

// meta is what each segment's header says of the stream.
func (s *stream) meta() []byte {
	def := s.inst.def
	def.ID = 0
	b, err := json.Marshal(market.StreamMeta{Venue: def.Venue, Symbol: def.Symbol, Stream: s.name, Definition: def})
	if err != nil {
		panic("etl: " + err.Error()) // a plain struct always encodes
	}
	return b
}

// redefine makes the segments from the next one on carry the new definition.
func (s *stream) redefine() error {
	if err := s.roll(); err != nil {
		return err
	}
	if s.w != nil {
		return s.w.SetMeta(s.meta())
	}
	return nil
}

// admits tells whether a source whose next record was captured at the given time
// may write to the stream. A recording that begins before the end of what is here
// would put the past after the future, and a book at a late moment would be the
// old one; so it is left out as a whole. A nil stream admits everything.
func (s *stream) admits(time int64) bool {
	if s == nil {
		return true
	}
	if !s.begun {
		s.behind = time < s.oldTime
		s.begun = true
	}
	return !s.behind
}

// begin prepares for one record with a body of n bytes, rolling a full segment
// first. It must come before the decision whether a snapshot is owed.
func (s *stream) begin(n int) error {
	if s.w == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if s.records > 0 && s.bytes+int64(queue.RecordSize(n)) > s.inst.policy.RollBytes {
		return s.roll()
	}
	return nil
}

// reserve gives the place for a body of n bytes, or nil when the queue already
// holds the record.
func (s *stream) reserve(n int) ([]byte, error) {
	if s.next < s.stored {
		if s.tail != nil && s.next == s.tail.Seq {
			s.made = make([]byte, n)
			return s.made, nil
		}
		return nil, nil
	}
	b, err := s.w.Reserve(n)
	if err != nil {
		return nil, fmt.Errorf("clean stream %s of %s: %w", s.name, s.inst.def.SymbolID(), err)
	}
	return b, nil
}

// commit makes the reserved record visible and advances the logical position.
func (s *stream) commit(r queue.Record, n int, reserved bool) error {
	if s.made != nil {
		if err := s.compare(r); err != nil {
			return err
		}
		reserved = false
	}
	if reserved {
		seq, err := s.w.Commit(r, n)
		if err != nil {
			return fmt.Errorf("clean stream %s of %s: %w", s.name, s.inst.def.SymbolID(), err)
		}
		if seq != s.next {
			return fmt.Errorf("clean stream %s of %s wrote record %d as %d: %w", s.name, s.inst.def.SymbolID(), s.next, seq, ErrDiverged)
		}
		s.e.n.Written++
	} else {
		s.e.n.Repeated++
	}
	s.lastTime = max(s.lastTime, r.Time)
	s.next++
	s.records++
	s.bytes += int64(queue.RecordSize(n))
	return nil
}

// compare checks the record just made against the last one that the queue held
// when it was opened: if they are the same, so is everything before.
func (s *stream) compare(r queue.Record) error {
	t := s.tail
	if r.Time != t.Time || r.EventTime != t.EventTime || r.Kind != t.Kind || r.Flags != t.Flags || !bytes.Equal(s.made, t.Body) {
		return fmt.Errorf("clean stream %s of %s, record %d: %w (was the raw queue cut by a power loss, or replaced?): check both with 'chronicle fsck'; "+
			"the raw queue is kept, and its records can be brought into another root", s.name, s.inst.def.SymbolID(), t.Seq, ErrDiverged)
	}
	s.made, s.tail = nil, nil
	return nil
}

// roll cuts the current segment, if there is one. The queue itself is only cut
// when the pipeline has reached its end; the segment is sealed after the next
// checkpoint.
func (s *stream) roll() error {
	if s.records == 0 {
		return nil
	}
	s.records, s.bytes = 0, 0
	if s.w == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if s.next < s.stored {
		return nil
	}
	if err := s.w.Roll(); err != nil {
		return fmt.Errorf("cut %s of %s: %w", s.name, s.inst.def.SymbolID(), err)
	}
	return nil
}

// firstFlag marks the first record of a segment as a place to start reading from.
func (s *stream) firstFlag() uint16 {
	if s.records == 0 {
		return queue.FlagKey
	}
	return 0
}

// putter is a body of fixed size.
type putter interface{ Put([]byte) }

// put appends one record of a stream that is not a book, in a new segment if need be.
func (s *stream) put(kind market.Kind, time, eventTime int64, size int, body putter) error {
	if err := s.begin(size); err != nil {
		return err
	}
	return s.append(kind, time, eventTime, size, body)
}

// append adds one record to the current segment.
func (s *stream) append(kind market.Kind, time, eventTime int64, size int, body putter) error {
	b, err := s.reserve(size)
	if err != nil {
		return err
	}
	if b != nil {
		body.Put(b)
	}
	rec := queue.Record{Time: time, EventTime: eventTime, Kind: uint16(kind), Flags: s.firstFlag()}
	return s.commit(rec, size, b != nil)
}

// raw is a body that is already encoded.
type raw []byte

// Put implements putter.
func (r raw) Put(b []byte) { copy(b, r) }
