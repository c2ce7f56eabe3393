package query

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"chronicle/market"
	"chronicle/store/queue"
)

// hotListing is what a look at a clean queue's folder found. It holds as long
// as the folder's own time of change does.
type hotListing struct {
	changed time.Time // the folder's time of change
	settled bool      // that time was long past: a later change gives another one
	files   []hotFile
}

// hotFile is one segment file of a clean queue.
type hotFile struct {
	path string
	seg  *segment // described, when the file was sealed; else nil
}

// settleTime is how long a folder must have been left alone before its time of
// change is taken to tell the next change from the last one. It is far more than
// the steps in which file systems keep time.
const settleTime = time.Second

// listHot gives the segments in the stream's clean queue, opening those that
// are not sealed.
func (p *plan) listHot() ([]*segment, error) {
	listing, err := p.a.hotListing(p.id)
	if err != nil || listing == nil {
		return nil, err
	}
	segs := make([]*segment, 0, len(listing.files))
	for _, f := range listing.files {
		s := f.seg
		if s == nil {
			s, err = p.openHot(f.path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = nil // moved since: the manifest, read next, has it
		case err != nil:
			return nil, err
		case s.records > 0:
			segs = append(segs, s)
		}
	}
	return segs, nil
}

// openHot opens and describes a segment that was not sealed when it was listed.
func (p *plan) openHot(path string) (*segment, error) {
	s := &segment{places: []place{p.a.hotPlace(path)}}
	h, err := openLive(p.id, s.places[0])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, openError(p.id, s, s.places[0], err)
	}
	p.live, s.live = append(p.live, h), h
	s.describe(h)
	return s, nil
}

// hotListing gives the files of a stream's clean queue, from what an earlier
// look found if the folder has not changed since; nil when there is no queue.
func (a *Archive) hotListing(id streamID) (*hotListing, error) {
	dir := a.streamDir(id)
	looked := time.Now()
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err, "%s: its clean queue cannot be listed", id)
	}
	a.catalog.mu.Lock()
	known := a.catalog.hot[id]
	a.catalog.mu.Unlock()
	if known != nil && known.settled && known.changed.Equal(st.ModTime()) {
		return known, nil
	}
	files, err := queue.ListSegments(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err, "%s: its clean queue cannot be listed", id)
	}
	l := &hotListing{changed: st.ModTime(), settled: looked.Sub(st.ModTime()) > settleTime}
	for _, f := range files {
		hot, err := a.hotFile(id, f)
		if err != nil {
			return nil, err
		}
		l.files = append(l.files, hot)
	}
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	a.catalog.hot[id] = l
	return l, nil
}

// hotFile describes a file of a clean queue if it is sealed.
func (a *Archive) hotFile(id streamID, f queue.SegmentFile) (hotFile, error) {
	hot := hotFile{path: f.Path}
	if !f.Sealed {
		return hot, nil
	}
	s := &segment{first: f.FirstSeq, sealed: true, places: []place{a.hotPlace(f.Path)}}
	h, err := a.openFile(id, s.places[0])
	if errors.Is(err, fs.ErrNotExist) {
		return hot, nil // moved just now: whoever opens it finds out
	}
	if err != nil {
		return hot, openError(id, s, s.places[0], err)
	}
	defer a.handles.put(h)
	s.describe(h)
	hot.seg = s
	return hot, nil
}

// describe fills s from the segment itself.
func (s *segment) describe(h *handle) {
	info := h.segment.Info()
	s.exp = exponentsOf(&h.meta.Definition)
	s.first, s.last, s.records, s.bytes = info.FirstSeq, info.LastSeq, info.Records, info.Bytes
	s.recv = span{info.FirstTime, info.LastTime}
	s.event = span{info.FirstEventTime, info.LastEventTime}
	s.marked = info.Kinds[uint16(market.KindGap)] > 0
	if s.sealed = info.Sealed; s.sealed {
		s.hash = info.Hash
	}
}
