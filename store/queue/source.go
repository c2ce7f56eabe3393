package queue

import (
	"fmt"
	"io"
)

// source gives a cursor the bytes of one segment. It belongs to the cursor.
type source interface {
	// word gives the length word at off: 0 when nothing is committed there yet.
	word(off int64) (uint32, error)
	// bytes gives the n bytes at off, valid until the next call. It is asked only
	// for what a length word has announced.
	bytes(off int64, n int) ([]byte, error)
}

// readRecord reads the record at off, which must have the sequence seq. With a
// zero length it returns the length word that stands there instead: 0 or the end
// word. It is the one reader of records: cursors, tailers, sealing, recovery and
// verification all go through it.
func readRecord(src source, off int64, seq uint64) (r Record, length int64, mark uint32, err error) {
	mark, err = src.word(off)
	if err != nil || mark == 0 || mark == endWord {
		return Record{}, 0, mark, err
	}
	if mark-1 > MaxBody {
		return Record{}, 0, mark, fmt.Errorf("record %d at offset %d: body of %d bytes, at most %d: %w", seq, off, mark-1, MaxBody, ErrCorrupt)
	}
	n := int(mark - 1)
	b, err := src.bytes(off, recordHeader+n)
	if err != nil {
		return Record{}, 0, mark, fmt.Errorf("record %d at offset %d: %w", seq, off, err)
	}
	if r, err = parseRecord(b, seq); err != nil {
		return Record{}, 0, mark, fmt.Errorf("offset %d: %w", off, err)
	}
	return r, int64(RecordSize(n)), mark, nil
}

// walk reads records from off on into s until nothing more is committed or one
// is not valid. s then tells how far it came, and err what stopped it, nil being
// an ordinary end.
func walk(src source, s *summary) error {
	for {
		r, length, mark, err := readRecord(src, s.end, s.last+1)
		if err != nil {
			return err
		}
		if length == 0 {
			s.ended = mark == endWord
			return nil
		}
		s.add(&r, s.end, s.end+length)
	}
}

// memory is the source over the writer's own mapping.
type memory struct{ mem []byte }

func (m memory) word(off int64) (uint32, error) {
	if off+recordAlign > int64(len(m.mem)) {
		return 0, nil
	}
	return loadWord(m.mem, int(off)), nil
}

func (m memory) bytes(off int64, n int) ([]byte, error) {
	if off+int64(n) > int64(len(m.mem)) {
		return nil, fmt.Errorf("%d bytes end after the segment's %d: %w", n, len(m.mem), ErrCorrupt)
	}
	return m.mem[off : off+int64(n)], nil
}

// chunked is one cursor's source over a sealed segment in any store. It reads
// ahead in chunks that grow while the reading is sequential.
type chunked struct {
	r    io.ReaderAt
	end  int64 // offset of the end word
	buf  []byte
	at   int64 // file offset of buf
	next int   // size of the next chunk in bytes
}

const (
	minChunk = 64 << 10
	maxChunk = 1 << 20
)

func (c *chunked) word(off int64) (uint32, error) {
	if off == c.end {
		return endWord, nil
	}
	if off > c.end-recordHeader {
		return 0, fmt.Errorf("offset %d: the last record should end at %d: %w", off, c.end, ErrCorrupt)
	}
	b, err := c.bytes(off, recordAlign)
	if err != nil {
		return 0, err
	}
	if w := le.Uint32(b); w != 0 && w != endWord {
		return w, nil
	}
	return 0, fmt.Errorf("offset %d: no record where one belongs: %w", off, ErrCorrupt)
}

func (c *chunked) bytes(off int64, n int) ([]byte, error) {
	if off+int64(n) > c.end {
		return nil, fmt.Errorf("%d bytes at offset %d end after the last record's end at %d: %w", n, off, c.end, ErrCorrupt)
	}
	if off < c.at || off+int64(n) > c.at+int64(len(c.buf)) {
		if err := c.fill(off, n); err != nil {
			return nil, err
		}
	}
	return c.buf[off-c.at:][:n:n], nil
}

// fill reads a chunk that begins at off and has at least n bytes.
func (c *chunked) fill(off int64, n int) error {
	if off == c.at+int64(len(c.buf)) || off > c.at && off < c.at+int64(len(c.buf)) {
		c.next = min(2*c.next, maxChunk)
	} else {
		c.next = minChunk
	}
	size := int(min(int64(max(c.next, n)), c.end-off))
	if cap(c.buf) < size {
		c.buf = make([]byte, size)
	}
	c.buf = c.buf[:size]
	c.at = off
	if got, err := c.r.ReadAt(c.buf, off); got < size {
		c.buf = c.buf[:0]
		return fmt.Errorf("read %d bytes at offset %d: %w", size, off, unexpected(err))
	}
	return nil
}
