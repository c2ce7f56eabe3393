package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// The live sparse index, a file beside its segment, little endian:
//
//	 0 8 bytes  magic "CHRQIDX1"
//	 8 u64      sequence of the segment's first record
//	16 u64      entries that are complete, stored last with release order
//	24 40 bytes zero
//	64          entries, 56 bytes each (see summary.go), ascending
//
// It is made when the second entry is due, so that a small stream has none, and
// removed when the footer has taken over its entries. Readers take it as a hint:
// without it they walk the segment from its start.
const (
	sidecarMagic   = "CHRQIDX1"
	sidecarHeader  = 64
	sidecarStep    = pageSize
	sidecarMap     = 1 << 20
	sidecarCounter = 16
)

// sidecar is the writer's side of the live index.
type sidecar struct {
	*region
	n int64
}

// createSidecar makes the live index of the segment that begins at first, with
// room for size bytes.
func createSidecar(path string, reserve reserver, first uint64, size int64) (*sidecar, error) {
	if err := durable.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	g, err := createRegion(path, alignUp(size, pageSize), sidecarMap, growth{reserve: reserve, first: sidecarStep})
	if err != nil {
		return nil, err
	}
	s := &sidecar{region: g}
	s.begin(first)
	return s, nil
}

// begin writes the header.
func (s *sidecar) begin(first uint64) {
	copy(s.mem, sidecarMagic)
	le.PutUint64(s.mem[8:], first)
}

// room makes sure that one more entry can be added.
func (s *sidecar) room() error { return s.ensure(sidecarHeader + (s.n+1)*entrySize) }

// add appends an entry, for which room has been made.
func (s *sidecar) add(e indexEntry) {
	e.put(s.mem[sidecarHeader+s.n*entrySize:])
	s.n++
	storeCount(s.mem, sidecarCounter, uint64(s.n))
}

// readSidecar gives the entries of the live index at path, for the segment that
// begins at first. A file that is not there or makes no sense gives none.
func readSidecar(path string, first uint64) ([]indexEntry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open live index: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < sidecarHeader {
		return nil, err
	}
	mem, err := mapFile(f, info.Size(), unix.PROT_READ)
	if err != nil {
		return nil, fmt.Errorf("open live index %s: %w", path, err)
	}
	entries := parseSidecar(mem[:info.Size()], first)
	return entries, os.NewSyscallError("munmap", unix.Munmap(mem))
}

// parseSidecar copies the entries out of a live index. It gives none if they are
// not the index of a segment that begins at first.
func parseSidecar(mem []byte, first uint64) []indexEntry {
	n := loadCount(mem, sidecarCounter)
	if string(mem[:8]) != sidecarMagic || le.Uint64(mem[8:]) != first {
		return nil
	}
	n = min(n, uint64(len(mem)-sidecarHeader)/entrySize)
	entries := make([]indexEntry, n)
	for i := range entries {
		entries[i] = parseEntry(mem[sidecarHeader+i*entrySize:])
	}
	if n == 0 || entries[0].seq != first || entries[0].offset != headerPage || !validIndex(entries, ^uint64(0), 1<<62) {
		return nil
	}
	return entries
}

// latest gives the index of the last entry for which ok holds, given that ok
// holds for a first part of the entries only; -1 for none.
func latest(entries []indexEntry, ok func(*indexEntry) bool) int {
	return sort.Search(len(entries), func(i int) bool { return !ok(&entries[i]) }) - 1
}
