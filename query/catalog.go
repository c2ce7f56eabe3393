package query

import (
	"context"
	"errors"
	"io"
	"sync"

	"chronicle/market"
	"chronicle/store/manifest"
)

// catalog keeps what the manifest and the folders of the clean queues say in the
// form that plans need, until they change.
type catalog struct {
	mu      sync.Mutex
	version uint64 // counts changes of the manifest
	streams map[streamID]tieredRows
	hot     map[streamID]*hotListing
	marks   map[streamID]liveMark
	symbols symbolTable
}

func (c *catalog) init() {
	c.streams, c.hot, c.marks = map[streamID]tieredRows{}, map[streamID]*hotListing{}, map[streamID]liveMark{}
}

// tieredRows are the segments of one stream as of a version of the manifest.
type tieredRows struct {
	version uint64
	segs    []*segment
}

// refresh takes in what is new in the manifest and gives its version. The lock
// spans the index's own refresh, so that whoever sees the new rows sees the new
// version too.
func (a *Archive) refresh(ctx context.Context) (uint64, error) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	changed, err := a.index.Refresh(ctx)
	if changed {
		a.catalog.version++
	}
	if err != nil {
		return 0, manifestError(err)
	}
	return a.catalog.version, nil
}

// tiered gives the segments of a stream that the manifest knows, by first
// sequence. The list is shared and must not be changed.
func (a *Archive) tiered(ctx context.Context, id streamID) ([]*segment, error) {
	version, err := a.refresh(ctx)
	if err != nil {
		return nil, err
	}
	a.catalog.mu.Lock()
	rows, ok := a.catalog.streams[id]
	a.catalog.mu.Unlock()
	if ok && rows.version == version {
		return rows.segs, nil
	}
	found, err := a.index.Segments(ctx, manifest.Filter{Venue: id.Venue, Symbol: id.Symbol, Stream: id.Stream})
	if err != nil {
		return nil, err
	}
	rows = tieredRows{version: version, segs: make([]*segment, len(found))}
	for i := range found {
		rows.segs[i] = a.rowSegment(&found[i])
	}
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	if kept, ok := a.catalog.streams[id]; len(found) > 0 && (!ok || kept.version < version) {
		a.catalog.streams[id] = rows
	}
	return rows.segs, nil
}

// rowSegment turns a row of the manifest into a segment.
func (a *Archive) rowSegment(r *manifest.Row) *segment {
	s := &segment{
		first: r.FirstSeq, last: r.LastSeq, records: r.Records, bytes: r.Bytes, sealed: true, hash: r.Hash,
		recv: span{r.FirstTime, r.LastTime}, event: span{r.FirstEventTime, r.LastEventTime},
		exp: exponentsOf(&r.Definition), marked: r.Kinds[uint16(market.KindGap)] > 0, places: []place{a.placeOf(r.Location())},
	}
	if r.Alt != nil {
		s.places = append(s.places, a.placeOf(*r.Alt))
	}
	return s
}

// liveMark tells how far a live segment has been searched for gap markers, which
// its writer counts only when it is sealed.
type liveMark struct {
	first  uint64 // the segment's first record
	next   uint64 // the first record that was not searched
	marked bool   // there is one before it
}

// marked tells whether a segment has a gap marker. Of a live one only what is new
// since the last call is searched.
func (a *Archive) marked(id streamID, s *segment) (bool, error) {
	if s.sealed {
		return s.marked, nil
	}
	a.catalog.mu.Lock()
	m := a.catalog.marks[id]
	a.catalog.mu.Unlock()
	if m.first != s.first {
		m = liveMark{first: s.first, next: s.first}
	}
	c := s.live.cursor()
	defer s.live.putCursor(c)
	if err := c.SeekSeq(m.next); err != nil {
		return false, readError(id, s, m.next, err)
	}
	for !m.marked {
		rec, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, readError(id, s, m.next, err)
		}
		m.marked, m.next = rec.Kind == uint16(market.KindGap), rec.Seq+1
	}
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	a.catalog.marks[id] = m
	return m.marked, nil
}
