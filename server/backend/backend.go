// Package backend is what the servers need of an archive: the few calls of
// package query that they make, as an interface, and how many may run at once.
//
// REST and Flight share one Archive, so that a limit counts the requests of
// both. Everything here is safe for concurrent use.
package backend

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"chronicle/market"
	"chronicle/query"
)

// Archive answers questions. Errors are *query.Error or the context's own.
// Implementations are safe for concurrent use and honour the context, also
// between the batches of a range.
type Archive interface {
	// ResolveSymbol gives the instrument that a spelling means.
	ResolveSymbol(ctx context.Context, spelling string) (market.SymbolID, error)
	// BookAt gives a book as it stood at a time.
	BookAt(ctx context.Context, q query.BookRequest) (*query.BookAnswer, error)
	// BookSchema gives the columns of a book.
	BookSchema(depth int, p query.PriceType) *arrow.Schema
	// Range opens a range. The caller releases the reader, which ends its work.
	Range(ctx context.Context, q query.RangeRequest) (array.RecordReader, error)
	// RangeSchema gives the columns of a range without reading it.
	RangeSchema(ctx context.Context, q query.RangeRequest) (*arrow.Schema, error)
	// Symbols lists the instruments.
	Symbols(ctx context.Context) ([]query.SymbolInfo, error)
	// Segments lists the segments that a filter lets through.
	Segments(ctx context.Context, f query.SegmentFilter) ([]query.SegmentInfo, error)
}

// DefaultConcurrent is how many ranges and books are read at once unless told.
const DefaultConcurrent = 64

// Of gives the Archive that stands for a. At most concurrent books and ranges
// (0 means DefaultConcurrent) are read at a time; one more is refused with
// query.ResourceExhausted, since waiting would hide the overload.
func Of(a *query.Archive, concurrent int) Archive {
	return Limit(archive{a}, concurrent)
}

// archive gives query.Archive's streams as what they are to a server.
type archive struct{ *query.Archive }

func (a archive) Range(ctx context.Context, q query.RangeRequest) (array.RecordReader, error) {
	s, err := a.Archive.Range(ctx, q)
	if err != nil {
		return nil, err // not s: a nil *Stream in an interface is not nil
	}
	return s, nil
}

// Limit bounds how many books and ranges of a are read at once, as Of does.
func Limit(a Archive, concurrent int) Archive {
	if concurrent <= 0 {
		concurrent = DefaultConcurrent
	}
	return &limited{Archive: a, slots: make(chan struct{}, concurrent)}
}

// limited holds one slot per book or range under way.
type limited struct {
	Archive
	slots chan struct{}
}

func (l *limited) BookAt(ctx context.Context, q query.BookRequest) (*query.BookAnswer, error) {
	if err := l.take(); err != nil {
		return nil, err
	}
	defer l.give()
	return l.Archive.BookAt(ctx, q)
}

func (l *limited) Range(ctx context.Context, q query.RangeRequest) (array.RecordReader, error) {
	if err := l.take(); err != nil {
		return nil, err
	}
	r, err := l.Archive.Range(ctx, q)
	if err != nil {
		l.give()
		return nil, err
	}
	return &counted{RecordReader: r, done: sync.OnceFunc(l.give)}, nil
}

func (l *limited) take() error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
		return &query.Error{
			Code: query.ResourceExhausted, Allowed: fmt.Sprintf("%d requests at a time", cap(l.slots)),
			Detail: "the server is busy with as many requests as it takes: try again later",
		}
	}
}

func (l *limited) give() { <-l.slots }

// counted gives its slot back when it is released. Its user neither retains it
// nor releases it twice.
type counted struct {
	array.RecordReader
	done func()
}

func (c *counted) Release() {
	c.RecordReader.Release()
	c.done()
}
