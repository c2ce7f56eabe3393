package queue

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	segmentExt = ".q"
	sidecarExt = ".idx"
	tempExt    = ".tmp"
	tableName  = "index.meta"
	nameDigits = 20
)

// SegmentName gives the file name of the segment whose first record is first.
func SegmentName(first uint64) string { return fmt.Sprintf("%0*d%s", nameDigits, first, segmentExt) }

// parseSegmentName reads the first sequence out of a file name; false for other files.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentExt)
	if !ok || len(digits) != nameDigits {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && first > 0 && digits[0] != '+'
}

func segmentPath(dir string, first uint64) string { return filepath.Join(dir, SegmentName(first)) }

// sidecarPath gives the live index of the segment at path.
func sidecarPath(path string) string { return strings.TrimSuffix(path, segmentExt) + sidecarExt }
