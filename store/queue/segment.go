package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// SegmentInfo describes a segment. Of a live one it tells what was committed
// when the segment was opened or last refreshed.
type SegmentInfo struct {
	FirstSeq, LastSeq uint64 // LastSeq is FirstSeq-1 when there is no record
	Records           uint64
	Keys              uint64 // records with FlagKey

	FirstTime, LastTime           int64 // smallest and largest Time, nanoseconds; 0 without records
	FirstEventTime, LastEventTime int64 // smallest and largest defined EventTime; NoTime when none is

	Kinds  map[uint16]uint64 // records per kind; nil for a live segment (see Segment.Count)
	Meta   []byte            // as the writer gave it
	Sealed bool
	Hash   string // "sha256:" and hex, over the file up to its footer; empty for a live segment
	Bytes  int64  // size of the sealed file; for a live segment, what its records take up to now
}

// Segment is one segment, open for reading. It may be shared by goroutines, each
// with a cursor of its own, but Refresh and Close must not overlap other calls.
type Segment struct {
	name   string
	head   header
	info   SegmentInfo
	index  []indexEntry // the footer's, or the live index as of the latest Refresh
	footer *footer      // nil for a live segment
	size   int64        // bytes of the sealed file

	reader io.ReaderAt // sealed segments
	live   *liveFile   // live ones
	closer io.Closer
}

// OpenSegment opens the segment file at path, sealed or live. A sealed one is
// read, a live one mapped; neither is ever written to or locked. The segment
// goes on to be readable if the writer seals it, or if it is moved or removed.
func OpenSegment(path string) (*Segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	s, err := openFile(f, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open segment %s: %w", path, err), f.Close())
	}
	return s, nil
}

func openFile(f *os.File, path string) (*Segment, error) {
	size, t, sealed, err := fileTrailer(f)
	if err != nil {
		return nil, err
	}
	s := &Segment{name: path, size: size}
	if sealed {
		s.reader, s.closer = f, f
		err = s.openSealed(t)
	} else {
		err = s.openLive(f)
	}
	if err != nil {
		return nil, err
	}
	if first, ok := parseSegmentName(filepath.Base(path)); ok && first != s.head.first {
		return nil, fmt.Errorf("its first record is %d, not what its name says: %w", s.head.first, ErrCorrupt)
	}
	return s, nil
}

// OpenSegmentAt opens a sealed segment of size bytes in any store. The name is
// for errors only. The reader is not closed by Close.
func OpenSegmentAt(r io.ReaderAt, size int64, name string) (*Segment, error) {
	s := &Segment{name: name, reader: r, size: size}
	t, sealed, err := readTrailer(r, size)
	switch {
	case err != nil:
	case sealed:
		err = s.openSealed(t)
	default:
		err = fmt.Errorf("no trailer: not a sealed segment, or cut short: %w", ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", name, err)
	}
	return s, nil
}

// openSealed reads the footer that the trailer points to, and the header.
func (s *Segment) openSealed(t trailer) error {
	var err error
	if s.footer, err = readFooter(s.reader, s.size, t); err != nil {
		return err
	}
	if s.head, err = readHeader(s.reader); err != nil {
		return err
	}
	if s.head.first != s.footer.first {
		return fmt.Errorf("header begins at record %d, footer at %d: %w", s.head.first, s.footer.first, ErrCorrupt)
	}
	s.index = s.footer.index
	s.info = infoOf(&s.footer.summary, s.head.meta)
	s.info.Kinds, s.info.Sealed = s.footer.kinds, true
	s.info.Hash, s.info.Bytes = s.footer.hashString(), s.size
	return nil
}

// openLive maps the segment.
func (s *Segment) openLive(f *os.File) error {
	var err error
	if s.head, err = readHeader(f); err != nil {
		return err
	}
	if s.live, err = openLive(f, s.size); err != nil {
		return err
	}
	if err := s.Refresh(); err != nil {
		return errors.Join(err, s.live.unmap())
	}
	return nil
}

// infoOf gives what a summary and the metadata say about a segment.
func infoOf(s *summary, meta []byte) SegmentInfo {
	i := SegmentInfo{
		FirstSeq: s.first, LastSeq: s.last, Records: s.records(), Keys: s.keys,
		FirstTime: s.minTime, LastTime: s.maxTime, FirstEventTime: s.minEvent, LastEventTime: s.maxEvent,
		Meta: meta, Bytes: s.end,
	}
	if i.Records == 0 {
		i.FirstTime, i.LastTime = 0, 0
	}
	return i
}

// Info describes the segment. The caller must not change Kinds and Meta.
func (s *Segment) Info() SegmentInfo { return s.info }

// Sealed tells whether the segment was sealed when it was opened.
func (s *Segment) Sealed() bool { return s.footer != nil }

// Refresh brings Info of a live segment up to what is committed now. It reads
// the live index and the records after its last entry. Info stops before a
// damaged record; a cursor that comes there reports it.
func (s *Segment) Refresh() error {
	if s.live == nil {
		return nil
	}
	index, err := s.entries()
	if err != nil {
		return err
	}
	sum, src := newSummary(s.head.first), s.source()
	if n := len(index); n > 0 {
		last := index[n-1]
		sum.extent, sum.end, sum.last = last.extent, last.offset, last.seq-1
		for i := range index[:n-1] {
			if index[i].key() {
				sum.keys++
			}
		}
	}
	if err := walk(src, sum); err != nil && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("segment %s: %w", s.name, err)
	}
	s.index, s.info = index, infoOf(sum, s.head.meta)
	return nil
}

// entries gives the sparse index as it is now. Of a live index, what does not
// lead to a valid record is left out: it is a hint, and the records are the truth.
func (s *Segment) entries() ([]indexEntry, error) {
	if s.live == nil {
		return s.index, nil
	}
	index, err := readSidecar(sidecarPath(s.name), s.head.first)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", s.name, err)
	}
	if len(index) == 0 {
		return s.index, nil // none yet, or sealed away meanwhile: what was read before still holds
	}
	last := &index[len(index)-1]
	if r, length, _, err := readRecord(s.source(), last.offset, last.seq); err != nil || length == 0 || uint64(r.Flags) != last.flags {
		return nil, nil
	}
	return index, nil
}

// source gives a new source of the segment's bytes.
func (s *Segment) source() source {
	if s.live != nil {
		return &mapped{live: s.live}
	}
	return &chunked{r: s.reader, end: s.footer.end, next: minChunk}
}

// Close ends the use of the segment and of what its cursors returned.
func (s *Segment) Close() error {
	if s.live != nil {
		return s.live.close()
	}
	if s.closer != nil {
		return s.closer.Close()
	}
	return nil
}
