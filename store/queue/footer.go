package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
)

// A sealed segment ends in a footer and a trailer, little endian. The footer
// begins right after the end word's 8 bytes:
//
//	  0 8 bytes  magic "CHRQFTR1"
//	  8 u64      first sequence
//	 16 u64      last sequence
//	 24 u64      Key records
//	 32 u64      offset of the end word
//	 40 i64      min time         48 i64 max time
//	 56 i64      min event time   64 i64 max event time (math.MinInt64: none defined)
//	 72 32 bytes sha256 over all bytes of the file before the footer
//	104 u32      kinds            108 u32 index entries
//	112          kinds, ascending, 16 bytes each: u16 kind, 6 zero bytes, u64 records
//	...          index entries, 56 bytes each (see summary.go), ascending
//
// The trailer is the last 32 bytes of the file:
//
//	 0 u64      offset of the footer
//	 8 u64      length of the footer
//	16 u32      crc32c over the footer
//	20 u32      crc32c over bytes 0 .. 20 of the trailer
//	24 8 bytes  magic "CHRQEND1"
//
// A file whose last 32 bytes are a trailer by magic and checksum is sealed;
// whatever else in it is wrong is then damage.
const (
	footerMagic   = "CHRQFTR1"
	footerFixed   = 112
	kindSize      = 16
	trailerMagic  = "CHRQEND1"
	trailerSize   = 32
	minSealedSize = headerPage + recordHeader + endSize + footerFixed + trailerSize
)

type trailer struct {
	offset, length int64
	crc            uint32
}

func (t *trailer) put(b []byte) {
	b = b[:trailerSize]
	le.PutUint64(b[0:], uint64(t.offset))
	le.PutUint64(b[8:], uint64(t.length))
	le.PutUint32(b[16:], t.crc)
	le.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli))
	copy(b[24:], trailerMagic)
}

// parseTrailer reads a trailer; false means that b is none.
func parseTrailer(b []byte) (trailer, bool) {
	if len(b) != trailerSize || string(b[24:]) != trailerMagic || crc32.Checksum(b[:20], castagnoli) != le.Uint32(b[20:]) {
		return trailer{}, false
	}
	return trailer{offset: int64(le.Uint64(b)), length: int64(le.Uint64(b[8:])), crc: le.Uint32(b[16:])}, true
}

// readTrailer reads the last bytes of the file in r; false means not sealed.
func readTrailer(r io.ReaderAt, size int64) (trailer, bool, error) {
	if size < minSealedSize {
		return trailer{}, false, nil
	}
	b := make([]byte, trailerSize)
	if n, err := r.ReadAt(b, size-trailerSize); n < trailerSize {
		return trailer{}, false, fmt.Errorf("read segment trailer: %w", unexpected(err))
	}
	t, ok := parseTrailer(b)
	return t, ok, nil
}

// shrinkTries bounds how often the trailer of a file that is being cut is looked for.
const shrinkTries = 10

// fileTrailer reads the trailer of a local file, and gives the file's size. The
// writer may be sealing it just now: a file that became shorter is asked again.
func fileTrailer(f *os.File) (size int64, t trailer, sealed bool, err error) {
	for range shrinkTries {
		info, statErr := f.Stat()
		if statErr != nil {
			return 0, trailer{}, false, statErr
		}
		size = info.Size()
		if t, sealed, err = readTrailer(f, size); !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
	}
	return size, t, sealed, err
}

// unexpected is err, or io.ErrUnexpectedEOF where a short read gave none.
func unexpected(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

type footer struct {
	summary
	hash [sha256.Size]byte
}

// hashString gives the hash as it is written in catalogs.
func (f *footer) hashString() string { return "sha256:" + hex.EncodeToString(f.hash[:]) }

// seal gives the bytes that turn an ended segment into a sealed one: the footer,
// to be put at offset f.end+endSize, and the trailer behind it.
func (f *footer) seal() (foot, trail []byte) {
	b := make([]byte, 0, footerFixed+len(f.kinds)*kindSize+len(f.index)*entrySize)
	b = append(b, footerMagic...)
	for _, v := range []uint64{f.first, f.last, f.keys, uint64(f.end),
		uint64(f.minTime), uint64(f.maxTime), uint64(f.minEvent), uint64(f.maxEvent)} {
		b = le.AppendUint64(b, v)
	}
	b = append(b, f.hash[:]...)
	b = le.AppendUint32(b, uint32(len(f.kinds)))
	b = le.AppendUint32(b, uint32(len(f.index)))
	for _, kind := range slices.Sorted(maps.Keys(f.kinds)) {
		b = le.AppendUint64(b, uint64(kind))
		b = le.AppendUint64(b, f.kinds[kind])
	}
	for i := range f.index {
		b = append(b, make([]byte, entrySize)...)
		f.index[i].put(b[len(b)-entrySize:])
	}
	t := trailer{offset: f.end + endSize, length: int64(len(b)), crc: crc32.Checksum(b, castagnoli)}
	trail = make([]byte, trailerSize)
	t.put(trail)
	return b, trail
}

// readFooter reads and checks the footer that the trailer of a file of size
// bytes points to. Memory is bounded by the file's own size.
func readFooter(r io.ReaderAt, size int64, t trailer) (*footer, error) {
	if t.length < footerFixed || t.length > size-trailerSize || t.offset != size-trailerSize-t.length {
		return nil, fmt.Errorf("segment trailer: footer of %d bytes at %d in a file of %d: %w", t.length, t.offset, size, ErrCorrupt)
	}
	b := make([]byte, t.length)
	if n, err := r.ReadAt(b, t.offset); n < len(b) {
		return nil, fmt.Errorf("read segment footer: %w", unexpected(err))
	}
	if sum := crc32.Checksum(b, castagnoli); sum != t.crc {
		return nil, fmt.Errorf("segment footer: checksum %08x, computed %08x: %w", t.crc, sum, ErrCorrupt)
	}
	return parseFooter(b, t.offset)
}

// parseFooter reads the footer b that stands at offset, and checks that it is
// consistent with itself.
func parseFooter(b []byte, offset int64) (*footer, error) {
	kinds, entries := int64(le.Uint32(b[104:])), int64(le.Uint32(b[108:]))
	if string(b[:8]) != footerMagic || int64(len(b)) != footerFixed+kinds*kindSize+entries*entrySize {
		return nil, fmt.Errorf("segment footer: %d bytes with %d kinds and %d index entries: %w", len(b), kinds, entries, ErrCorrupt)
	}
	f := &footer{summary: summary{
		first: le.Uint64(b[8:]), last: le.Uint64(b[16:]), keys: le.Uint64(b[24:]), end: int64(le.Uint64(b[32:])), ended: true,
		extent: extent{
			minTime: int64(le.Uint64(b[40:])), maxTime: int64(le.Uint64(b[48:])),
			minEvent: int64(le.Uint64(b[56:])), maxEvent: int64(le.Uint64(b[64:])),
		},
		kinds: make(map[uint16]uint64, min(kinds, 64)),
		index: make([]indexEntry, 0, entries),
	}}
	copy(f.hash[:], b[72:104])
	for at := int64(footerFixed); at < footerFixed+kinds*kindSize; at += kindSize {
		f.kinds[le.Uint16(b[at:])] = le.Uint64(b[at+8:])
	}
	for at := footerFixed + kinds*kindSize; at < int64(len(b)); at += entrySize {
		f.index = append(f.index, parseEntry(b[at:]))
	}
	if int64(len(f.kinds)) != kinds || f.end != offset-endSize || !f.consistent() {
		return nil, fmt.Errorf("segment footer contradicts itself: %w", ErrCorrupt)
	}
	return f, nil
}

// consistent tells whether the numbers of s can be true together.
func (s *summary) consistent() bool {
	if s.first == 0 || s.last < s.first || s.last == ^uint64(0) || len(s.index) == 0 || s.end%recordAlign != 0 {
		return false
	}
	if s.end < headerPage || s.records() > uint64(s.end-headerPage)/recordHeader || s.keys > s.records() {
		return false
	}
	return s.index[0].offset == headerPage && s.index[0].seq == s.first && validIndex(s.index, s.last, s.end)
}

// validIndex tells whether entries ascend and lie inside records first..last before end.
func validIndex(index []indexEntry, last uint64, end int64) bool {
	for i := range index {
		e := &index[i]
		if e.seq > last || e.offset >= end || e.offset < headerPage || e.offset%recordAlign != 0 {
			return false
		}
		if i == 0 {
			continue
		}
		if p := &index[i-1]; e.seq <= p.seq || e.offset <= p.offset || e.maxTime < p.maxTime || e.maxEvent < p.maxEvent {
			return false
		}
	}
	return true
}
