package queue

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"chronicle/internal/durable"
)

// SegmentFile is a segment file in a queue's directory.
type SegmentFile struct {
	Path     string
	FirstSeq uint64 // of the first record, from the name
	Sealed   bool   // it ends in a trailer
	Size     int64  // of the file in bytes; for a live segment, what is reserved
}

// ListSegments lists the segments of the queue in dir, oldest first. Files that
// disappear meanwhile are left out. It takes no lock.
func ListSegments(dir string) ([]SegmentFile, error) {
	files, err := segmentFiles(dir)
	if err != nil {
		return nil, err
	}
	kept := files[:0]
	for _, file := range files {
		sealed, err := isSealed(file.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list queue %s: %w", dir, err)
		}
		file.Sealed = sealed
		kept = append(kept, file)
	}
	return kept, nil
}

// segmentFiles lists the segment files, oldest first, without looking into them.
func segmentFiles(dir string) ([]SegmentFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	var files []SegmentFile
	for _, e := range entries {
		first, ok := parseSegmentName(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list queue %s: %w", dir, err)
		}
		files = append(files, SegmentFile{Path: filepath.Join(dir, e.Name()), FirstSeq: first, Size: info.Size()})
	}
	slices.SortFunc(files, func(a, b SegmentFile) int { return cmp.Compare(a.FirstSeq, b.FirstSeq) })
	return files, nil
}

func isSealed(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, _, sealed, err := fileTrailer(f)
	return sealed, err
}

// Bounds gives the oldest record that the queue in dir has and the sequence that
// follows its newest one, as they are now. They are equal when it has none.
func Bounds(dir string) (oldest, next uint64, err error) {
	files, err := segmentFiles(dir)
	if err != nil {
		return 0, 0, err
	}
	table, _, err := ReadTable(dir)
	if err != nil {
		return 0, 0, err
	}
	next = max(table.NextSeq, 1)
	if len(files) == 0 {
		return next, next, nil
	}
	s, err := OpenSegment(files[len(files)-1].Path)
	if err != nil {
		return 0, 0, err
	}
	return files[0].FirstSeq, max(next, s.Info().LastSeq+1), s.Close()
}

// RemoveOldest removes, oldest first, the sealed segments that hold no record
// from keepFromSeq on, and returns them. It stops at the first one that must
// stay; the newest segment always stays. Whoever calls it answers for it that no
// reader needs them. Each removal is durable before the next: a crash of the
// machine leaves no hole.
func RemoveOldest(dir string, keepFromSeq uint64) ([]SegmentFile, error) {
	files, err := segmentFiles(dir)
	if err != nil {
		return nil, err
	}
	n := 0
	for ; n+1 < len(files) && files[n+1].FirstSeq <= keepFromSeq; n++ {
		files[n].Sealed, err = isSealed(files[n].Path)
		if err == nil && files[n].Sealed {
			err = removeSegment(files[n].Path, n == 0)
		} else if err == nil {
			break
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return files[:n], fmt.Errorf("remove oldest segments: %w", err)
		}
	}
	return files[:n:n], nil
}

// removeSegment removes a segment, durably. The first of several has what an earlier
// call may have left undone made durable before.
func removeSegment(path string, first bool) error {
	if first {
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return durable.Remove(path)
}
