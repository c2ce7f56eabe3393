package queue

import (
	"errors"
	"fmt"
	"os"

	"chronicle/internal/durable"

	"golang.org/x/sys/unix"
)

// cut zeroes what follows the last valid record of the unsealed segment f, so
// that nothing stale is ever taken for a record, and syncs that: after another
// crash, old bytes must not stand behind new records. What looks like records there
// is copied to a file beside it first.
func (w *Writer) cut(f *found) error {
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size := f.seg.size.Load()
	dirty, err := dirtyEnd(file, f.seg.mem[:size], f.end)
	if err == nil && dirty > f.end {
		lost, records := w.note(f, f.seg.mem[f.end:size], int(dirty-f.end))
		if records > 0 {
			err = w.save(f, lost)
		}
		if err == nil {
			err = clearFrom(file, f.end, size, w.options.reserve)
		}
		if err == nil {
			err = w.sealer.sync(func() error { return durable.Sync(file) })
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cut %s after its last valid record: %w", f.path, err)
	}
	return nil
}

// note records what is about to be cut from tail, of which the first dirty bytes
// are not all zero. It gives what of it is worth keeping: up to the last such
// byte, or to the end of the last thing that looks like a record. It also counts
// those.
func (w *Writer) note(f *found, tail []byte, dirty int) ([]byte, uint64) {
	n, end := countRecords(tail, dirty, f.last)
	r := w.recovery
	r.Cut, r.CutOffset, r.CutBytes, r.CutCause = f.path, f.end, int64(dirty), ""
	r.LostRecords += n
	if f.damage != nil {
		r.CutCause = f.damage.Error()
	}
	return tail[:max(dirty, end)], n
}

// save copies what is about to be cut.
func (w *Writer) save(f *found, lost []byte) error {
	path := asidePath(f.path, f.end)
	if err := durable.WriteFile(path, lost, 0o644); err != nil {
		return asFull(err)
	}
	w.recovery.SavedTo = append(w.recovery.SavedTo, path)
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

// countRecords counts what looks like whole records in the first dirty bytes of
// b, which follow record last: a plausible length, a sequence that could be there,
// and a checksum that fits. It also gives the end of the last of them.
func countRecords(b []byte, dirty int, last uint64) (n uint64, end int) {
	room := uint64(dirty/recordAlign + 1)
	for at := 0; at+recordHeader <= len(b) && at < dirty; {
		size := looksLikeRecord(b[at:], last, room)
		if size > 0 {
			n++
			end = min(at+size, len(b))
		}
		at += max(size, recordAlign)
	}
	return n, end
}

// looksLikeRecord gives the size of the record that b seems to begin with, or 0.
// Its sequence must be one of the room numbers after last.
func looksLikeRecord(b []byte, last, room uint64) int {
	length := le.Uint32(b)
	if length == 0 || length-1 > MaxBody || recordHeader+int(length-1) > len(b) {
		return 0
	}
	if ahead := le.Uint64(b[8:]) - last; ahead == 0 || ahead > room {
		return 0
	}
	n := int(length - 1)
	if recordSum(b[8:recordHeader+n]) != le.Uint32(b[4:]) {
		return 0
	}
	return RecordSize(n)
}
