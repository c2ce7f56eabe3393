package queue

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// A record, little endian, at an offset that is a multiple of 8:
//
//	 0 u32 length   body length + 1; 0 = not written yet, 0xFFFFFFFF = end word
//	 4 u32 sum      low 32 bits of XXH3-64, seed 0, over bytes 8 .. 40+body length
//	 8 u64 seq      contiguous within the queue, from 1
//	16 i64 time     nanoseconds
//	24 i64 event    nanoseconds; math.MinInt64 = undefined
//	32 u16 kind     the caller's
//	34 u16 flags    bit 0 = Key; the rest is the caller's
//	36 u32 tag      the caller's
//	40 body, then zeros up to a multiple of 8
//
// The length word is the commit word: it is stored last, with release order.
// The end word is followed by 4 zero bytes; after it the segment has no record.
const (
	recordHeader = 40
	recordAlign  = 8
	endSize      = 8
	endWord      = math.MaxUint32
)

// FlagKey marks a record at which a reader can start, such as a snapshot. Each
// one has an entry in the sparse index.
const FlagKey uint16 = 1

// NoTime stands for an event time that is not defined.
const NoTime int64 = math.MinInt64

// MaxBody is the largest body of a record, in bytes.
const MaxBody = 256 << 20

// Record is one record. Bodies that a reader returns are valid until its next
// call, and belong to the queue: they must not be changed.
type Record struct {
	Seq       uint64 // assigned by the queue
	Time      int64  // nanoseconds; the index keeps running maxima, so it need not be ordered
	EventTime int64  // nanoseconds; NoTime when undefined
	Kind      uint16 // opaque to the queue
	Flags     uint16 // FlagKey; other bits are opaque
	Tag       uint32 // opaque
	Body      []byte
}

// Key tells whether a reader can start at the record.
func (r *Record) Key() bool { return r.Flags&FlagKey != 0 }

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// RecordSize gives the bytes that a record with a body of n bytes takes.
func RecordSize(n int) int { return (recordHeader + n + recordAlign - 1) &^ (recordAlign - 1) }

// putRecord writes all of a record's header except its length word. The body of
// n bytes is in b already.
func putRecord(b []byte, r *Record, seq uint64, n int) {
	b = b[:recordHeader+n]
	le.PutUint64(b[8:], seq)
	le.PutUint64(b[16:], uint64(r.Time))
	le.PutUint64(b[24:], uint64(r.EventTime))
	// One store: the checksum reads these eight bytes at once, and waits for the
	// cache where they were stored in pieces.
	le.PutUint64(b[32:], uint64(r.Kind)|uint64(r.Flags)<<16|uint64(r.Tag)<<32)
	le.PutUint32(b[4:], recordSum(b[8:]))
}

// recordSum is the checksum of a record, from its sequence to its body's end. XXH3
// takes a third of the time of CRC32C for records of the usual size.
func recordSum(b []byte) uint32 { return uint32(xxh3.Hash(b)) }

// parseRecord reads the record that fills b (without padding) and checks it.
// The record's body is a part of b.
func parseRecord(b []byte, seq uint64) (Record, error) {
	r := Record{
		Seq:       le.Uint64(b[8:]),
		Time:      int64(le.Uint64(b[16:])),
		EventTime: int64(le.Uint64(b[24:])),
		Kind:      le.Uint16(b[32:]),
		Flags:     le.Uint16(b[34:]),
		Tag:       le.Uint32(b[36:]),
		Body:      b[recordHeader:len(b):len(b)],
	}
	if sum := recordSum(b[8:]); sum != le.Uint32(b[4:]) {
		return Record{}, fmt.Errorf("record %d: checksum %08x, computed %08x: %w", seq, le.Uint32(b[4:]), sum, ErrCorrupt)
	}
	if r.Seq != seq {
		return Record{}, fmt.Errorf("record %d stands where %d belongs: %w", r.Seq, seq, ErrCorrupt)
	}
	return r, nil
}

// word views the aligned 4 bytes at off of a mapping, for atomic access.
func word(mem []byte, off int) *uint32 {
	return (*uint32)(unsafe.Pointer(&mem[off : off+4 : off+4][0]))
}

// loadWord is the acquire load that pairs with storeWord.
func loadWord(mem []byte, off int) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], atomic.LoadUint32(word(mem, off)))
	return le.Uint32(b[:])
}

// storeWord is the commit: whoever loads the word sees all that was written before.
func storeWord(mem []byte, off int, v uint32) {
	var b [4]byte
	le.PutUint32(b[:], v)
	atomic.StoreUint32(word(mem, off), binary.NativeEndian.Uint32(b[:]))
}

// count views the aligned 8 bytes at off of a mapping, for atomic access.
func count(mem []byte, off int) *uint64 {
	return (*uint64)(unsafe.Pointer(&mem[off : off+8 : off+8][0]))
}

// loadCount is the acquire load that pairs with storeCount.
func loadCount(mem []byte, off int) uint64 {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], atomic.LoadUint64(count(mem, off)))
	return le.Uint64(b[:])
}

// storeCount publishes what was written before it.
func storeCount(mem []byte, off int, v uint64) {
	var b [8]byte
	le.PutUint64(b[:], v)
	atomic.StoreUint64(count(mem, off), binary.NativeEndian.Uint64(b[:]))
}
