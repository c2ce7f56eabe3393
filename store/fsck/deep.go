package fsck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"chronicle/book"
	"chronicle/market"
	"chronicle/store/manifest"
	"chronicle/store/queue"
)

// replayer decodes a stream's records, and replays the book if it is one.
type replayer struct {
	id     manifest.StreamID
	report *Report
	held   *book.Book // nil: not known; the next snapshot tells
	shown  *book.Book // of the snapshot at hand; its memory is used again
}

// lose forgets the book: records are missing.
func (d *replayer) lose() { d.held = nil }

// streamMeta reads a clean segment's header metadata.
func streamMeta(b []byte) (market.StreamMeta, error) {
	var m market.StreamMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("the header's metadata is not JSON of a stream: %w", err)
	}
	return m, nil
}

// replay reads a segment's records. An error means that they cannot be read; what
// is wrong with their content is reported.
func (d *replayer) replay(where string, seg *queue.Segment) error {
	meta, err := streamMeta(seg.Info().Meta)
	if err != nil {
		return err
	}
	if d.held != nil && d.held.Type() != meta.Definition.BookType {
		d.held = nil
	}
	var ev market.BookEvent
	c := seg.Cursor()
	for {
		r, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		kind := market.Kind(r.Kind)
		if err := decode(&r, &ev); err != nil {
			d.report.add(Error, RecordInvalid, where, "write the stream anew from the raw queue", "record %d: %v", r.Seq, err)
			d.lose()
			continue
		}
		if kind == market.KindSnapshot {
			d.snapshot(where, r.Seq, &ev, meta.Definition.BookType)
		} else if kind == market.KindBook && d.held != nil {
			d.held.Apply(&ev, kind)
		}
	}
}

// snapshot compares a synthetic snapshot with the book held, and takes it over.
func (d *replayer) snapshot(where string, seq uint64, ev *market.BookEvent, t market.BookType) {
	if d.shown == nil || d.shown.Type() != t {
		d.shown = book.New(t)
	}
	if res := d.shown.Apply(ev, market.KindSnapshot); !res.OK() {
		d.report.add(Error, RecordInvalid, where, "write the stream anew from the raw queue", "snapshot %d has entries that no book can have: %+v", seq, res)
	}
	if ev.Attr&market.AttrSynthetic != 0 && d.held != nil {
		d.report.Checked.Snapshots++
		if d.held.Digest() != d.shown.Digest() {
			d.report.add(Error, SnapshotDiffers, where, "write the stream anew from the raw queue",
				"snapshot %d shows a book of %d bids and %d asks (digest %016x), the records before it make one of %d and %d (%016x)",
				seq, d.shown.Depth(market.Bid), d.shown.Depth(market.Ask), d.shown.Digest(), d.held.Depth(market.Bid), d.held.Depth(market.Ask), d.held.Digest())
		}
	}
	d.held, d.shown = d.shown, d.held
}

// decode reads a body by its kind; book events go to ev.
func decode(r *queue.Record, ev *market.BookEvent) (err error) {
	switch kind := market.Kind(r.Kind); kind {
	case market.KindBook, market.KindSnapshot:
		return ev.Decode(r.Body, kind)
	case market.KindTrade:
		return new(market.Trade).Decode(r.Body)
	case market.KindQuote:
		return new(market.Quote).Decode(r.Body)
	case market.KindStatus:
		return new(market.Status).Decode(r.Body)
	case market.KindDefinition:
		_, err = market.DecodeJSON[market.Definition](r.Body)
	case market.KindGap:
		_, err = market.DecodeJSON[market.Gap](r.Body)
	case market.KindSession:
		_, err = market.DecodeJSON[market.Session](r.Body)
	default:
		return fmt.Errorf("kind %d is not known", r.Kind)
	}
	return err
}
