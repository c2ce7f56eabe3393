package ws

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Bounds of what waits for the owner.
const (
	inboxItems = 4096
	inboxBytes = 64 << 20
)

// Buffers begin at firstBuffer bytes; those that grew beyond keepBuffer are not
// used again, so that one large frame does not stay in memory.
const (
	firstBuffer = 4 << 10
	keepBuffer  = 1 << 20
)

// what tells what happened.
type what uint8

const (
	connected what = iota + 1 // a connection is up
	sent                      // a frame goes out
	received                  // a frame came in
	tooLarge                  // a frame was larger than is taken
	closed                    // a connection is down
	answered                  // the answer to an HTTP GET
	failed                    // an HTTP GET was given up
)

// item is one thing that happened, for the owner.
type item struct {
	what what
	recv int64 // ns since the Unix epoch
	conn *connection
	life *life
	buf  *buffer // of received and answered
	data []byte  // of sent
	get  *get    // of answered and failed
}

// buffer holds a frame.
type buffer struct {
	b    []byte
	held int64 // bytes taken from the inbox's budget
}

// inbox is the queue between the connections and the owner.
type inbox struct {
	items   chan item
	bytes   int64 // the whole budget
	budget  *semaphore.Weighted
	buffers sync.Pool
}

func newInbox(items int, bytes int64) *inbox {
	return &inbox{
		items: make(chan item, items), bytes: bytes, budget: semaphore.NewWeighted(bytes),
		buffers: sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, firstBuffer)} }},
	}
}

// push waits until there is room. It fails only when ctx is done and there is none.
func (q *inbox) push(ctx context.Context, it item) bool {
	if it.buf != nil {
		n := min(int64(len(it.buf.b)), q.bytes)
		if !q.budget.TryAcquire(n) && q.budget.Acquire(ctx, n) != nil {
			return false
		}
		it.buf.held = n
	}
	select {
	case q.items <- it:
		return true
	default:
	}
	select {
	case q.items <- it:
		return true
	case <-ctx.Done():
		return false
	}
}

// done gives an item's buffer back.
func (q *inbox) done(it *item) {
	if it.buf == nil {
		return
	}
	q.budget.Release(it.buf.held)
	it.buf.held = 0
	q.recycle(it.buf)
}

func (q *inbox) buffer() *buffer { return q.buffers.Get().(*buffer) }

func (q *inbox) recycle(b *buffer) {
	if cap(b.b) <= keepBuffer {
		b.b = b.b[:0]
		q.buffers.Put(b)
	}
}

// fill reads r to its end.
func (b *buffer) fill(r io.Reader) error {
	b.b = b.b[:0]
	for {
		if len(b.b) == cap(b.b) {
			b.b = append(b.b, 0)[:len(b.b)]
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
