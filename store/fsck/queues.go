package fsck

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"chronicle/store/manifest"
	"chronicle/store/queue"
)

const queueExt = ".q"

// rawSegment is a segment of a queue that is not a clean one.
type rawSegment struct {
	dir  string
	file queue.SegmentFile
}

// listQueues lists the segments of the clean queues, and gives those of the raw
// ones. It is done before the manifest is read: a segment that leaves a queue
// meanwhile is then in one of the two.
func (c *checker) listQueues(ctx context.Context) ([]rawSegment, error) {
	for _, venue := range folders(c.opts.Clean) {
		for _, symbol := range folders(filepath.Join(c.opts.Clean, venue)) {
			for _, name := range folders(filepath.Join(c.opts.Clean, venue, symbol)) {
				stream, ok := strings.CutSuffix(name, queueExt)
				if !ok {
					continue
				}
				id := manifest.StreamID{Venue: venue, Symbol: symbol, Stream: stream}
				files, err := queue.ListSegments(c.queueDir(id))
				if err != nil {
					return nil, err
				}
				c.hot[id] = files
				c.report.Checked.HotSegments += len(files)
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	var raw []rawSegment
	for _, name := range folders(c.opts.Queues) {
		dir := filepath.Join(c.opts.Queues, name)
		if !strings.HasSuffix(name, queueExt) {
			continue
		}
		files, err := queue.ListSegments(dir)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			raw = append(raw, rawSegment{dir, file})
		}
	}
	return raw, nil
}

// folders lists the folders in dir; none if it is not there.
func folders(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func (c *checker) queueDir(id manifest.StreamID) string {
	return filepath.Join(c.opts.Clean, id.Venue, id.Symbol, id.Stream+queueExt)
}

const queueFix = "restore the segment from a copy; the queue's own recovery cuts only the last, unsealed one"

// checkRaw verifies the raw queues: each is contiguous from its first segment on.
func (c *checker) checkRaw(ctx context.Context, raw []rawSegment) error {
	c.report.Checked.RawSegments = len(raw)
	next := map[string]uint64{}
	for _, r := range raw {
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := c.readQueueSegment(r.file.Path)
		if isNone(err) {
			continue // retention has deleted it meanwhile
		}
		if err != nil {
			c.report.add(Error, QueueCorrupt, r.file.Path, queueFix, "%v", err)
			delete(next, r.dir)
			continue
		}
		if want, ok := next[r.dir]; ok && info.FirstSeq != want {
			code := SequenceGap
			if info.FirstSeq < want {
				code = Overlap
			}
			c.report.add(Error, code, r.file.Path, queueFix, "begins with sequence %d, the segment before it ends with %d", info.FirstSeq, want-1)
		}
		next[r.dir] = info.LastSeq + 1
		c.tick(c.report, r.dir, info.Records, info.Bytes)
	}
	return nil
}

// readQueueSegment opens a queue's segment and, unless in a hurry, verifies it.
func (c *checker) readQueueSegment(path string) (queue.SegmentInfo, error) {
	seg, err := queue.OpenSegment(path)
	if err != nil {
		return queue.SegmentInfo{}, err
	}
	defer seg.Close()
	if !c.opts.Quick {
		err = seg.Verify()
	}
	return seg.Info(), err
}

// checkNumbering looks at a queue that has no segment left: it must still know
// with which sequence to go on.
func (c *streamCheck) checkNumbering(last uint64) {
	dir := c.queueDir(c.id)
	if _, err := os.Stat(dir); err != nil || last == 0 {
		return
	}
	_, next, err := queue.Bounds(dir)
	if err != nil {
		c.report.add(Error, QueueCorrupt, dir, queueFix, "%v", err)
		return
	}
	if next != last+1 {
		c.report.add(Error, Numbering, dir, fmt.Sprintf("stop the ETL and restore %s", filepath.Join(dir, "index.meta")),
			"the queue is empty and would go on with sequence %d, but the archive ends with %d", next, last)
	}
}
