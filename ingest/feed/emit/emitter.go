// Package emit writes what the feed decoders understand to the raw queue, as
// binary market records, and counts it. It is the one way from a decoder to the
// queue, for live and recorded input alike.
//
// Invariants:
//   - An instrument's definition is in the queue before any other record of it.
//   - A source's first record is its source_begin; it takes the receive time of
//     the record that follows it, so that no wall clock enters a recording.
//   - Nothing is dropped in silence: what cannot be used is counted by reason.
//   - After the queue has failed once nothing more is written; [Emitter.Err]
//     holds the first error.
//
// An Emitter belongs to one goroutine. Its Counters may be read by any.
package emit

import (
	"context"
	"fmt"
	"log/slog"

	"chronicle/market"
	"chronicle/store/queue"
)

// Queue is what an emitter needs of a queue's writer. Reserve gives room for a
// body of n bytes; Commit makes the record visible to readers: that is the
// commit point, before it a crash leaves nothing of the record.
type Queue interface {
	Reserve(n int) ([]byte, error)
	Commit(rec queue.Record, n int) (uint64, error)
}

var _ Queue = (*queue.Writer)(nil)

// Options describe the source that an emitter writes for.
type Options struct {
	Source string       // source format, such as "binance-usdm"
	Venue  string       // venue of every instrument and gap
	Input  string       // identity of a recording, "sha256:..."; empty for live input
	Name   string       // file name or address, for people
	Unit   string       // what positions count, for logs: "line", "packet"; default "unit"
	Log    *slog.Logger // default: discard

	// Repeat writes an instrument's definition again before its first message in
	// each segment of the queue, so that a segment can be read by itself and
	// retention may take those before. It is for live input: what it writes depends
	// on where segments end.
	Repeat bool
}

// Emitter writes one source's records. See the package for its rules.
type Emitter struct {
	q    Queue
	c    *Counters
	opts Options

	begin     bool // source_begin is written
	err       error
	pos       uint64
	records   uint64           // committed so far
	last      int64            // ts_recv of the last record
	max       int64            // highest ts_recv of any record
	defs      []definition     // by id - 1
	segments  segmented        // tells where segments begin; nil: definitions are not repeated
	channels  []string         // every channel, in order of appearance
	connected []string         // every connection that was up once
	heard     map[string]int64 // when something last came, of the connections that are down
}

// New makes an emitter that writes to q and counts in c.
func New(q Queue, c *Counters, opts Options) *Emitter {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Unit == "" {
		opts.Unit = "unit"
	}
	e := &Emitter{q: q, c: c, opts: opts, last: market.UndefTimestamp, max: market.UndefTimestamp}
	if opts.Repeat {
		e.segments, _ = q.(segmented)
	}
	return e
}

// Err gives the first error of the queue, or nil.
func (e *Emitter) Err() error { return e.err }

// LastRecv gives ts_recv of the last record, market.UndefTimestamp before the first.
func (e *Emitter) LastRecv() int64 { return e.last }

// Log gives the source's logger.
func (e *Emitter) Log() *slog.Logger { return e.opts.Log }

// At tells which unit of the input is being decoded, for logs.
func (e *Emitter) At(pos uint64) { e.pos = pos }

// Packet counts one transport unit read.
func (e *Emitter) Packet() { e.c.Packets.Add(1) }

// Message counts one venue message decoded.
func (e *Emitter) Message() { e.c.Messages.Add(1) }

// Skip counts a unit that cannot be used, and logs it at debug level.
func (e *Emitter) Skip(reason Reason, attrs ...slog.Attr) { e.SkipN(reason, 1, attrs...) }

// SkipN counts n units that cannot be used, and logs them once at debug level.
func (e *Emitter) SkipN(reason Reason, n uint64, attrs ...slog.Attr) {
	e.c.SkipN(reason, n)
	if !e.opts.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs = append([]slog.Attr{slog.String("reason", string(reason)), slog.Uint64(e.opts.Unit, e.pos)}, attrs...)
	e.opts.Log.LogAttrs(context.Background(), slog.LevelDebug, "input skipped", attrs...)
}

// reserve gives room for a body of n bytes of a record of instrument id (0 for
// none), or nil when the queue has failed.
func (e *Emitter) reserve(recv int64, id uint32, n int) []byte {
	if e.err != nil {
		return nil
	}
	if !e.begin {
		e.begin = true
		e.Session(recv, market.Session{Event: market.SessionSourceBegin, Input: e.opts.Input, Name: e.opts.Name})
		if e.err != nil {
			return nil
		}
	}
	b := e.room(n)
	// A definition takes the place and the record the next, which may be in the
	// segment after: hence twice. One as large as a segment has no room beside it.
	for i := 0; i < 2 && b != nil && id != 0 && e.segments != nil && e.segments.SegmentSeq() != e.defs[id-1].segment; i++ {
		e.writeDefinition(recv, market.UndefTimestamp, id)
		b = e.room(n)
	}
	return b
}

func (e *Emitter) room(n int) []byte {
	if e.err != nil {
		return nil
	}
	b, err := e.q.Reserve(n)
	if err != nil {
		e.err = fmt.Errorf("reserve %d bytes in the raw queue: %w", n, err)
		return nil
	}
	return b
}

// commit publishes the record whose body reserve gave room for.
func (e *Emitter) commit(kind market.Kind, id uint32, recv, event int64, n int) {
	rec := queue.Record{Time: recv, EventTime: event, Kind: uint16(kind), Tag: id}
	if kind == market.KindDefinition || kind == market.KindSession {
		rec.Flags = queue.FlagKey
	}
	if _, err := e.q.Commit(rec, n); err != nil {
		e.err = fmt.Errorf("append a %v record to the raw queue: %w", kind, err)
		return
	}
	e.last, e.max = recv, max(e.max, recv)
	e.records++
	e.c.Records.Add(1)
}
