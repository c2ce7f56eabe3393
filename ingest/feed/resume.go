package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"chronicle/market"
	"chronicle/store/queue"
)

// Resuming a replay
//
// A replay that was killed leaves a source_begin without a source_end, and some
// of the recording's records after it. The next run finds that source_begin and
// decodes the recording from its start. As long as the queue holds a record, the
// record that the decoder makes is compared with it and not appended; from the
// end of the queue on records are appended. The result is the queue that an
// uninterrupted run would have left.
//
// That works only for the queue's last source: records of a recording cannot be
// put in front of another source's. So a replay does not begin while another
// one is unfinished, unless the caller gives that one up.

// begun is a source that the raw queue holds.
type begun struct {
	session market.Session
	seq     uint64 // of its source_begin
	ended   bool
}

// resume looks into the raw queue and gives the queue that the replay of input
// is to write to.
func resume(ctx context.Context, w *queue.Writer, rawDir string, opts ReplayOptions, input string) (*resumer, error) {
	sources, err := scanSources(ctx, rawDir)
	if err != nil {
		return nil, err
	}
	out := &resumer{w: w, end: w.NextSeq()}
	for i, s := range sources {
		last := i == len(sources)-1
		switch mine := s.session.Input == input && s.session.Source == opts.Format; {
		case mine && s.ended:
			return nil, ErrAlreadyReplayed
		case mine && !last:
			return nil, fmt.Errorf("%w: its first part is in the raw queue (from record %d) but other sources follow it; replay it into another root", ErrInterrupted, s.seq)
		case mine:
			opts.Log.Info("replay goes on where it was interrupted", "begun_at_record", s.seq)
			out.tail, err = queue.OpenTailer(rawDir, s.seq)
		case last && !s.ended && s.session.Input != "" && !opts.Abandon:
			return nil, fmt.Errorf("%w: replay %s again to finish it first, or replay into another root", ErrInterrupted, s.session.Name)
		}
	}
	return out, err
}

// scanSources lists the sources that the raw queue holds, oldest first.
func scanSources(ctx context.Context, rawDir string) ([]begun, error) {
	segments, err := queue.ListSegments(rawDir)
	if err != nil {
		return nil, fmt.Errorf("look for earlier replays: %w", err)
	}
	var sources []begun
	for _, file := range segments {
		if sources, err = scanSegment(ctx, file.Path, sources); err != nil {
			return nil, fmt.Errorf("look for earlier replays in %s: %w", file.Path, err)
		}
	}
	return sources, nil
}

func scanSegment(ctx context.Context, path string, sources []begun) ([]begun, error) {
	segment, err := queue.OpenSegment(path)
	if err != nil {
		return nil, err
	}
	defer segment.Close()
	const session = uint16(market.KindSession)
	if info := segment.Info(); info.Sealed && len(info.Kinds) > 0 && info.Kinds[session] == 0 {
		return sources, nil
	}
	cursor := segment.Cursor()
	for n := 1; ; n++ {
		rec, err := cursor.Next()
		if errors.Is(err, io.EOF) {
			return sources, nil
		}
		if err != nil {
			return nil, err
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if rec.Kind != session {
			continue
		}
		s, err := market.DecodeJSON[market.Session](rec.Body)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", rec.Seq, err)
		}
		sources = follow(sources, *s, rec.Seq)
	}
}

// follow adds what a session record says to the list of sources.
func follow(sources []begun, s market.Session, seq uint64) []begun {
	switch s.Event {
	case market.SessionSourceBegin:
		return append(sources, begun{session: s, seq: seq})
	case market.SessionSourceEnd:
		if n := len(sources); n > 0 && sources[n-1].session.Input == s.Input && sources[n-1].session.Source == s.Source {
			sources[n-1].ended = true
			return sources
		}
		return append(sources, begun{session: s, seq: seq, ended: true}) // retention took its beginning
	}
	return sources
}

// resumer is the queue as a replay sees it: records that are there already are
// compared, the others appended.
type resumer struct {
	w     *queue.Writer
	end   uint64        // records before this one were there at the start
	tail  *queue.Tailer // at the next record to compare; nil when all are compared
	body  []byte
	begun bool // the source_begin is compared
}

// Reserve gives room for a record's body.
func (r *resumer) Reserve(n int) ([]byte, error) {
	if r.tail == nil {
		return r.w.Reserve(n)
	}
	if cap(r.body) < n {
		r.body = make([]byte, n)
	}
	return r.body[:n], nil
}

// Commit compares the record with the queue's or, from the queue's end on, appends it.
func (r *resumer) Commit(rec queue.Record, n int) (uint64, error) {
	if r.tail == nil {
		return r.w.Commit(rec, n)
	}
	rec.Body = r.body[:n]
	there, ok, err := r.tail.Next()
	if err != nil {
		return 0, fmt.Errorf("read back the interrupted replay: %w", err)
	}
	if !ok || there.Seq >= r.end {
		r.Close()
		return r.w.Append(rec)
	}
	first := !r.begun
	r.begun = true
	if !same(rec, there) && !(first && there.Kind == rec.Kind && there.Time == rec.Time) { // the file may have been renamed
		return 0, fmt.Errorf("record %d: %w: it was made with another version, date or file", there.Seq, ErrMismatch)
	}
	return there.Seq, nil
}

// same tells whether two records hold the same, whatever their sequence.
func same(a, b queue.Record) bool {
	return a.Time == b.Time && a.EventTime == b.EventTime && a.Kind == b.Kind && a.Flags == b.Flags &&
		a.Tag == b.Tag && bytes.Equal(a.Body, b.Body)
}

// Close ends the comparison.
func (r *resumer) Close() {
	if r.tail != nil {
		_ = r.tail.Close()
		r.tail = nil
	}
}
