package query

import (
	"container/list"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"chronicle/market"
	"chronicle/store/queue"
)

// handle is an open segment. Many requests may share the handle of a sealed one.
type handle struct {
	segment *queue.Segment
	meta    market.StreamMeta
	place   place
	object  io.Closer // what the segment reads from, when that is not its own
	cursors sync.Pool // of *queue.Cursor, for the buffers in them
	orders  orders

	// guarded by the cache's mu while the handle is in a cache
	refs int
}

// newHandle takes over the segment and checks that it is of the stream wanted.
func newHandle(id streamID, s *queue.Segment, at place, object io.Closer) (*handle, error) {
	h := &handle{segment: s, place: at, object: object, refs: 1}
	if err := h.check(id); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *handle) check(id streamID) error {
	if err := json.Unmarshal(h.segment.Info().Meta, &h.meta); err != nil {
		return damaged(err, "%s: a segment's header does not say what it is", id)
	}
	m := &h.meta
	if m.Venue != id.Venue || m.Symbol != id.Symbol || m.Stream != id.Stream {
		return damaged(nil, "the segment says that it is of %s:%s %s, and not of %s", m.Venue, m.Symbol, m.Stream, id)
	}
	return checkExponents(&m.Definition)
}

// cursor gives a cursor, to be positioned before it is used.
func (h *handle) cursor() *queue.Cursor {
	if c, ok := h.cursors.Get().(*queue.Cursor); ok {
		return c
	}
	return h.segment.Cursor()
}

// putCursor gives a cursor back. Records that it gave are valid no more.
func (h *handle) putCursor(c *queue.Cursor) { h.cursors.Put(c) }

func (h *handle) close() error {
	err := h.segment.Close()
	if h.object != nil {
		err = errors.Join(err, h.object.Close())
	}
	return err
}

// handles keeps the handles of sealed segments that were used last, so that
// their footers are read once. It is safe for concurrent use.
type handles struct {
	limit int

	mu    sync.Mutex
	byKey map[string]*list.Element // of *cached
	order list.List                // the one used last in front
}

type cached struct {
	key string
	h   *handle
}

func newHandles(limit int) *handles {
	return &handles{limit: limit, byKey: map[string]*list.Element{}}
}

// get gives the handle of key, opening it if need be. The caller puts it back.
// Two callers that open the same one at once both open it; one is kept.
func (c *handles) get(key string, open func() (*handle, error)) (*handle, error) {
	if h := c.take(key); h != nil {
		return h, nil
	}
	h, err := open()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] == nil {
		h.refs++ // the cache's own
		c.byKey[key] = c.order.PushFront(&cached{key, h})
		c.evict(c.limit)
	}
	return h, nil
}

// take gives the handle of key if it is open.
func (c *handles) take(key string) *handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	h := e.Value.(*cached).h
	h.refs++
	return h
}

// put gives a handle back.
func (c *handles) put(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unref(h)
}

// unref closes a handle that nobody has any more. Closing what was only read
// can lose nothing, so an error of it says nothing about an answer.
func (c *handles) unref(h *handle) {
	if h.refs--; h.refs == 0 {
		_ = h.close()
	}
}

// evict forgets the handles not used for longest. Those in use stay open until
// they are put back.
func (c *handles) evict(limit int) {
	for c.order.Len() > limit {
		e := c.order.Back()
		entry := c.order.Remove(e).(*cached)
		delete(c.byKey, entry.key)
		c.unref(entry.h)
	}
}

func (c *handles) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(0)
}
