package queue

import (
	"fmt"
	"hash/crc32"
	"io"
)

// The header page, the first 4096 bytes of every segment, little endian:
//
//	 0 8 bytes  magic "CHRQSEG1"
//	 8 u32      version, 2
//	12 u32      crc32c over bytes 16 .. 4096
//	16 u64      sequence of the first record
//	24 u64      capacity: the size in bytes that the segment was planned for
//	32 u32      length of the metadata, at most 4032
//	36 28 bytes zero
//	64          metadata, opaque; then zeros
//
// It is written before the segment gets its name, and never changes. Nothing in
// it depends on the clock: the same records give the same bytes.
const (
	headerPage    = 4096
	headerMeta    = 64
	headerMagic   = "CHRQSEG1"
	formatVersion = 2
)

// MaxMeta is the largest metadata of a segment, in bytes.
const MaxMeta = headerPage - headerMeta

type header struct {
	first    uint64
	capacity int64
	meta     []byte
}

// put writes h into the page b.
func (h *header) put(b []byte) {
	b = b[:headerPage]
	clear(b)
	copy(b, headerMagic)
	le.PutUint32(b[8:], formatVersion)
	le.PutUint64(b[16:], h.first)
	le.PutUint64(b[24:], uint64(h.capacity))
	le.PutUint32(b[32:], uint32(len(h.meta)))
	copy(b[headerMeta:], h.meta)
	le.PutUint32(b[12:], crc32.Checksum(b[16:], castagnoli))
}

// parseHeader reads the page b. The metadata is a copy.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerPage {
		return header{}, fmt.Errorf("segment header of %d bytes, %d needed: %w", len(b), headerPage, ErrCorrupt)
	}
	b = b[:headerPage]
	if string(b[:8]) != headerMagic {
		return header{}, fmt.Errorf("segment header begins with %q, not %q: %w", b[:8], headerMagic, ErrCorrupt)
	}
	if v := le.Uint32(b[8:]); v != formatVersion {
		return header{}, fmt.Errorf("segment version %d, this program reads %d: %w", v, formatVersion, ErrCorrupt)
	}
	if sum := crc32.Checksum(b[16:], castagnoli); sum != le.Uint32(b[12:]) {
		return header{}, fmt.Errorf("segment header: checksum %08x, computed %08x: %w", le.Uint32(b[12:]), sum, ErrCorrupt)
	}
	n := le.Uint32(b[32:])
	if n > MaxMeta {
		return header{}, fmt.Errorf("segment header: metadata of %d bytes, at most %d: %w", n, MaxMeta, ErrCorrupt)
	}
	return header{
		first:    le.Uint64(b[16:]),
		capacity: int64(le.Uint64(b[24:])),
		meta:     append([]byte(nil), b[headerMeta:headerMeta+n]...),
	}, nil
}

// readHeader reads and checks the header page of the segment in r.
func readHeader(r io.ReaderAt) (header, error) {
	page := make([]byte, headerPage)
	if n, err := r.ReadAt(page, 0); n < headerPage {
		if err == nil || err == io.EOF {
			return parseHeader(page[:n])
		}
		return header{}, fmt.Errorf("read segment header: %w", err)
	}
	return parseHeader(page)
}
