package fsck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"chronicle/market"
	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// checkSegment reads one segment: as much of it as the options say. What is wrong
// is reported, and an error means that its records could not be read.
func (c *streamCheck) checkSegment(ctx context.Context, p *piece) (queue.SegmentInfo, error) {
	seg, closer, err := c.open(ctx, p)
	if err != nil {
		if !errors.Is(err, errAway) {
			c.reportUnreadable(p, err)
		}
		return queue.SegmentInfo{}, err
	}
	defer closer()
	info := seg.Info()
	c.compare(p, info)
	if !c.opts.Quick {
		if err := seg.Verify(); err != nil {
			c.reportUnreadable(p, err)
			return info, err
		}
	}
	if err := c.checkFirst(p, seg); err != nil {
		c.reportUnreadable(p, err)
		return info, err
	}
	if c.opts.Deep {
		if err := c.checkRecords(ctx, p.where(), seg); err != nil {
			c.reportUnreadable(p, err)
			return info, err
		}
	}
	c.tick(c.report, p.ref.StreamID().String(), info.Records, info.Bytes)
	return info, nil
}

func (c *streamCheck) reportUnreadable(p *piece, err error) {
	switch {
	case isNone(err):
		c.report.add(Error, SegmentMissing, p.where(), "restore it from a copy", "%v is listed, but there is no file", p.ref)
	case p.path != "":
		c.report.add(Error, QueueCorrupt, p.path, queueFix, "%v", err)
	default:
		c.report.add(Error, SegmentCorrupt, p.where(), "restore it from a copy", "%v", err)
	}
}

// errAway is the answer for a segment in a tier that is not there.
var errAway = errors.New("its tier is not there")

// open opens a segment wherever it is now. If it is not where it was listed, the
// manifest is read again: it may have been moved since.
func (c *streamCheck) open(ctx context.Context, p *piece) (*queue.Segment, func(), error) {
	const looks = 3
	for look := 1; ; look++ {
		seg, closer, err := c.openAt(ctx, p)
		if !isNone(err) || look == looks {
			return seg, closer, err
		}
		c.refresh(ctx)
		if row, ok := c.row(p.ref); ok {
			p.row, p.path = &row, ""
		}
	}
}

// openAt tries the places that a piece names.
func (c *streamCheck) openAt(ctx context.Context, p *piece) (seg *queue.Segment, closer func(), err error) {
	if p.path != "" {
		return openFile(p.path)
	}
	places := []manifest.Location{p.row.Location()}
	if p.row.Alt != nil {
		places = append(places, *p.row.Alt)
	}
	for _, at := range places {
		if at.Tier == manifest.Hot {
			seg, closer, err = openFile(filepath.Join(c.opts.Clean, filepath.FromSlash(at.Key)))
		} else {
			seg, closer, err = c.openObject(ctx, p, at)
		}
		if !isNone(err) {
			return seg, closer, err
		}
	}
	return nil, nil, err
}

func openFile(path string) (*queue.Segment, func(), error) {
	seg, err := queue.OpenSegment(path)
	if err != nil {
		return nil, nil, err
	}
	return seg, func() { _ = seg.Close() }, nil // it was only read
}

func (c *streamCheck) openObject(ctx context.Context, p *piece, at manifest.Location) (*queue.Segment, func(), error) {
	store := c.stores[at.Tier]
	if store == nil {
		return nil, nil, errAway
	}
	o, err := store.Open(ctx, at.Key)
	if err != nil {
		return nil, nil, err
	}
	if o.Size() != p.row.Bytes {
		c.report.add(Error, SegmentSize, at.String(), "restore it from a copy", "the file has %d bytes, its row says %d", o.Size(), p.row.Bytes)
	}
	seg, err := queue.OpenSegmentAt(o, o.Size(), at.String())
	if err != nil {
		return nil, nil, errors.Join(err, o.Close())
	}
	return seg, func() { _, _ = seg.Close(), o.Close() }, nil // they were only read
}

// compare checks what a segment says about itself against its row and its place.
func (c *streamCheck) compare(p *piece, info queue.SegmentInfo) {
	if !info.Sealed {
		c.compareLive(p, info)
		return
	}
	at := manifest.Location{Tier: "none", Key: "none"}
	if p.row != nil {
		at = p.row.Location()
	}
	row, err := manifest.Describe(info, at)
	if err != nil {
		c.report.add(Error, SegmentDiffers, p.where(), "restore it from a copy", "%v", err)
		return
	}
	if row.Ref() != p.ref || p.row != nil && p.row.Key != row.ArchiveKey() {
		c.report.add(Error, SegmentMisplaced, p.where(), "put it where it belongs", "its header says that it is %v, day %s", row.Ref(), row.Date)
		return
	}
	if p.row == nil {
		return
	}
	for _, d := range differences(&row, &p.row.Segment) {
		c.report.add(Error, SegmentDiffers, p.where(), "run `chronicle manifest rebuild` if the file is right, or restore the file", "%s", d)
	}
}

// compareLive checks the header of a segment that is still being written.
func (c *streamCheck) compareLive(p *piece, info queue.SegmentInfo) {
	meta, err := streamMeta(info.Meta)
	if err != nil {
		c.report.add(Error, SegmentDiffers, p.where(), queueFix, "%v", err)
		return
	}
	if (manifest.StreamID{Venue: meta.Venue, Symbol: meta.Symbol, Stream: meta.Stream}) != p.ref.StreamID() {
		c.report.add(Error, SegmentMisplaced, p.where(), "put it where it belongs", "its header says that it is of %s:%s/%s", meta.Venue, meta.Symbol, meta.Stream)
	}
}

// differences lists the fields in which a file's row differs from the log's.
func differences(file, log *manifest.Segment) []string {
	var found []string
	for _, f := range []struct {
		name      string
		file, log any
	}{
		{"last_seq", file.LastSeq, log.LastSeq}, {"first_time", file.FirstTime, log.FirstTime}, {"last_time", file.LastTime, log.LastTime},
		{"first_event_time", file.FirstEventTime, log.FirstEventTime}, {"last_event_time", file.LastEventTime, log.LastEventTime},
		{"records", file.Records, log.Records}, {"keys", file.Keys, log.Keys}, {"kinds", fmt.Sprint(file.Kinds), fmt.Sprint(log.Kinds)},
		{"bytes", file.Bytes, log.Bytes}, {"hash", file.Hash, log.Hash}, {"definition", file.Definition, log.Definition},
	} {
		if f.file != f.log {
			found = append(found, fmt.Sprintf("%s: the segment says %v, its row %v", f.name, f.file, f.log))
		}
	}
	return found
}

// checkFirst checks that a reader can start at the segment's first record.
func (c *streamCheck) checkFirst(p *piece, seg *queue.Segment) error {
	r, err := seg.Cursor().Next()
	if errors.Is(err, io.EOF) {
		return nil // a live segment without a record yet
	}
	if err != nil {
		return err
	}
	kind := market.Kind(r.Kind)
	if r.Flags&queue.FlagKey == 0 || p.ref.Stream == market.StreamBook && kind != market.KindSnapshot {
		c.report.add(Error, FirstRecord, p.where(), "write the stream anew from the raw queue", "the first record is a %v with flags %#x: readers cannot start there", kind, r.Flags)
	}
	return nil
}
