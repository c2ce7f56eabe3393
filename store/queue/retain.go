package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Retention says how much of a queue is kept. A segment is due when it is too old
// or when the queue is too big; it goes when, besides, every registered consumer
// has passed it.
type Retention struct {
	// MaxAge is how old a segment's newest record may be, by Record.Time, which must
	// then be nanoseconds since 1970. Default 0: any age.
	MaxAge time.Duration
	// MaxBytes is how much the segment files may take together, the live one's
	// reserved space included. Default 0: any size.
	MaxBytes int64
	// Require names consumers without which nothing is removed: one that was never
	// started must not lose its input. Default none.
	Require []string
	// Now is the time that ages count to. It must be given with MaxAge.
	Now time.Time
}

// RetainResult tells what Retain did, and what kept it from doing more.
type RetainResult struct {
	Removed []SegmentFile // oldest first
	Bytes   int64         // of them
	Missing []string      // of Require, not registered: nothing was removed
	Held    int           // segments that were due and had to stay for a consumer
	HeldBy  []string      // the consumers that need the oldest of them
}

// Retain removes whole sealed segments from the queue in dir, oldest first, that
// are due and that no consumer needs. It stops at the first one that must stay;
// the newest segment always stays. A reader that has a removed segment open reads
// on in it; one that comes for it later gets [ErrGone]. Each removal is durable
// before the next, so that a crash leaves no hole.
//
// It may be called from any process, while others write, read and call it. One
// process should answer for a queue's retention: the one that writes it, every
// minute or so. A consumer's damaged file is an error, and nothing is removed.
func Retain(dir string, r Retention) (RetainResult, error) {
	var result RetainResult
	if r.MaxAge < 0 || r.MaxBytes < 0 || r.MaxAge > 0 && r.Now.IsZero() {
		return result, fmt.Errorf("retention MaxAge %v, MaxBytes %d, Now %v: give 0 (no limit) or more, and Now with MaxAge", r.MaxAge, r.MaxBytes, r.Now)
	}
	consumers, err := Consumers(dir)
	if err != nil {
		return result, fmt.Errorf("retention: %w", err)
	}
	for _, name := range r.Require {
		if !slices.ContainsFunc(consumers, func(c ConsumerInfo) bool { return c.Name == name }) {
			result.Missing = append(result.Missing, name)
		}
	}
	if len(result.Missing) > 0 {
		return result, nil
	}
	files, err := segmentFiles(dir)
	if err != nil {
		return result, fmt.Errorf("retention: %w", err)
	}
	if err := result.remove(files, consumers, r); err != nil {
		return result, fmt.Errorf("retention of queue %s: %w", dir, err)
	}
	return result, nil
}

// remove removes what is due and not needed from files.
func (x *RetainResult) remove(files []SegmentFile, consumers []ConsumerInfo, r Retention) error {
	total := int64(0)
	for _, f := range files {
		total += f.Size
	}
	for ; len(files) > 1; files = files[1:] {
		file := files[0]
		foot, err := footerOf(file.Path)
		if errors.Is(err, fs.ErrNotExist) {
			total -= file.Size
			continue // removed by another call, or moved away
		}
		if err != nil {
			return fmt.Errorf("segment %s: %w", file.Path, err)
		}
		if foot == nil || !r.due(foot.maxTime, total) {
			return nil
		}
		total -= file.Size
		if x.hold(foot.last, consumers) {
			continue
		}
		if err := removeSegment(file.Path, len(x.Removed) == 0); err != nil {
			return err
		}
		file.Sealed = true
		x.Removed = append(x.Removed, file)
		x.Bytes += file.Size
	}
	return nil
}

// due tells whether a segment whose newest record is of time last is to go, if
// it and all after it take total bytes.
func (r *Retention) due(last, total int64) bool {
	old := r.MaxAge > 0 && last < r.Now.Add(-r.MaxAge).UnixNano()
	return old || r.MaxBytes > 0 && total > r.MaxBytes
}

// hold tells whether a segment that ends with record last must stay: a consumer
// needs it, or one before it.
func (x *RetainResult) hold(last uint64, consumers []ConsumerInfo) bool {
	for _, c := range consumers {
		if x.Held == 0 && c.Next <= last {
			x.HeldBy = append(x.HeldBy, c.Name)
		}
	}
	if len(x.HeldBy) > 0 {
		x.Held++
	}
	return x.Held > 0
}

// footerOf reads the footer of the segment at path; nil if it is not sealed.
func footerOf(path string) (*footer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, t, sealed, err := fileTrailer(f)
	if err != nil || !sealed {
		return nil, err
	}
	return readFooter(f, size, t)
}
