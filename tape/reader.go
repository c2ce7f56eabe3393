package tape

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"chronicle/market"
	"chronicle/store/queue"
)

// Reader reads a tape. See the package for its rules.
type Reader struct {
	dir  string
	opts Options
	tail *queue.Tailer
	msg  Message
	defs directory
}

// Open opens the raw queue in dir for reading. The directory must be there; the
// feed need not run.
func Open(dir string, start Start, opts Options) (*Reader, error) {
	tail, err := openTail(dir, start, opts.Wait)
	if err != nil {
		return nil, fmt.Errorf("open tape: %w", err)
	}
	if opts.Want == nil {
		opts.Want = func(*market.Definition) bool { return true }
	}
	return &Reader{dir: dir, opts: opts, tail: tail, defs: directory{dir: dir, want: opts.Want}}, nil
}

// Next gives the next message; nil without an error means that nothing more is
// committed yet. After a [queue.GoneError] the reader stays where it is: open
// another at the record that the error names. After market.ErrCorrupt (a record
// of a later version, or damage) the next call goes on with the record after it.
func (r *Reader) Next() (*Message, error) {
	for {
		rec, ok, err := r.tail.Next()
		if err != nil {
			return nil, fmt.Errorf("read tape: %w", err)
		}
		if !ok {
			return nil, nil
		}
		wanted, err := r.decode(&rec)
		if err != nil {
			return nil, fmt.Errorf("read tape: record %d: %w", rec.Seq, err)
		}
		if wanted {
			return &r.msg, nil
		}
	}
}

// Wait returns when Next may have something to say, or with ctx's error.
func (r *Reader) Wait(ctx context.Context) error { return r.tail.Wait(ctx) }

// Messages gives message after message and waits for those to come, until ctx
// is done or an error, which comes with a nil message.
func (r *Reader) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err := r.Next()
			if m == nil && err == nil {
				if err = r.Wait(ctx); err == nil {
					continue
				}
				if ctx.Err() != nil {
					return
				}
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// NextSeq gives the sequence of the raw record that is read next; 0 while that is
// the oldest and there is none yet.
func (r *Reader) NextSeq() uint64 { return r.tail.NextSeq() }

// Close ends the use of the reader and of its messages.
func (r *Reader) Close() error { return r.tail.Close() }

// decode fills the message; false for a record that is not wanted.
func (r *Reader) decode(rec *queue.Record) (bool, error) {
	m := &r.msg
	m.Seq, m.TsRecv, m.TsEvent, m.Kind, m.Instrument = rec.Seq, rec.Time, rec.EventTime, market.Kind(rec.Kind), nil
	var err error
	switch m.Kind {
	case market.KindDefinition:
		var in *instrument
		if in, err = r.defs.define(rec); err != nil || !in.wanted {
			return false, err
		}
		m.Instrument = in.def
		return true, nil
	case market.KindGap:
		m.Gap, err = market.DecodeJSON[market.Gap](rec.Body)
		return true, err
	case market.KindSession:
		if m.Session, err = market.DecodeJSON[market.Session](rec.Body); err == nil && m.Session.Event == market.SessionSourceBegin {
			r.defs.forget(rec.Seq)
		}
		return true, err
	}
	in, err := r.defs.find(rec.Tag, rec.Seq)
	if err != nil {
		return false, err
	}
	if in != nil {
		if !in.wanted {
			return false, nil
		}
		m.Instrument = in.def
	}
	return true, m.body(rec)
}

// body decodes what a venue sent.
func (m *Message) body(rec *queue.Record) error {
	switch m.Kind {
	case market.KindBook, market.KindSnapshot:
		return m.Book.Decode(rec.Body, m.Kind)
	case market.KindTrade:
		return m.Trade.Decode(rec.Body)
	case market.KindQuote:
		return m.Quote.Decode(rec.Body)
	case market.KindStatus:
		return m.Status.Decode(rec.Body)
	}
	return fmt.Errorf("%w: %v", market.ErrCorrupt, m.Kind)
}

// Overtaken tells whether err says that retention has taken what a reader wants,
// and the oldest record that can still be read.
func Overtaken(err error) (oldest uint64, ok bool) {
	var gone *queue.GoneError
	if errors.As(err, &gone) {
		return gone.Oldest, true
	}
	return 0, false
}
