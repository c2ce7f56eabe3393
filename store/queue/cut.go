package queue

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// cut zeroes what follows the last valid record of the unsealed segment f, so
// that nothing stale is ever taken for a record. What looks like records there is
// copied to a file beside it first.
func (w *Writer) cut(f *found) error {
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size := f.seg.size.Load()
	tail, err := dirtyEnd(file, f.seg.mem[:size], f.end)
	if err == nil && tail > f.end {
		w.note(f, tail)
		if err = w.save(f, tail); err == nil {
			err = clearFrom(file, f.end, size, w.options.reserve)
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cut %s after its last valid record: %w", f.path, err)
	}
	return nil
}

// note records what is about to be cut.
func (w *Writer) note(f *found, tail int64) {
	r := &w.recovery
	r.Cut, r.CutOffset, r.CutBytes = f.path, f.end, tail-f.end
	r.LostRecords = countRecords(f.seg.mem[f.end:tail], f.last)
	if f.damage != nil {
		r.CutCause = f.damage.Error()
	}
}

// save copies what is about to be cut, if there are records in it.
func (w *Writer) save(f *found, tail int64) error {
	if w.recovery.LostRecords == 0 {
		return nil
	}
	path := filepath.Join(w.dir, fmt.Sprintf("%s.cut-at-%d", filepath.Base(f.path), f.end))
	if err := durable.WriteFile(path, f.seg.mem[f.end:tail], 0o644); err != nil {
		return asFull(err)
	}
	w.recovery.SavedTo = path
	return nil
}

// dirtyEnd gives the offset after the last byte that is not zero from off on, or
// off. It asks the file system where there is data, so that reserved space that
// was never written is not read.
func dirtyEnd(file *os.File, mem []byte, off int64) (int64, error) {
	end := off
	for at := off; at < int64(len(mem)); {
		data, err := unix.Seek(int(file.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return end, nil
		}
		if err != nil {
			return 0, os.NewSyscallError("lseek", err)
		}
		hole, err := unix.Seek(int(file.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return 0, os.NewSyscallError("lseek", err)
		}
		at = min(hole, int64(len(mem)))
		for i := at; i > max(data, end); i-- {
			if mem[i-1] != 0 {
				end = i
				break
			}
		}
	}
	return end, nil
}

// countRecords counts what looks like whole records in b, which follows record
// last: a plausible length, a sequence that could be there, and a checksum that fits.
func countRecords(b []byte, last uint64) uint64 {
	n := uint64(0)
	room := uint64(len(b) / recordHeader)
	for at := 0; at+recordHeader <= len(b); {
		size := looksLikeRecord(b[at:], last, room)
		if size > 0 {
			n++
		}
		at += max(size, recordAlign)
	}
	return n
}

// looksLikeRecord gives the size of the record that b seems to begin with, or 0.
// Its sequence must be one of the room numbers after last.
func looksLikeRecord(b []byte, last, room uint64) int {
	length := le.Uint32(b)
	if length == 0 || length-1 > MaxBody || recordHeader+int(length-1) > len(b) {
		return 0
	}
	if ahead := le.Uint64(b[8:]) - last; ahead == 0 || ahead > room+1 {
		return 0
	}
	n := int(length - 1)
	if crc32.Update(0, castagnoli, b[8:recordHeader+n]) != le.Uint32(b[4:]) {
		return 0
	}
	return recordSize(n)
}
