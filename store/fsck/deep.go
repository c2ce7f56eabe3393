package fsck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"chronicle/book/audit"
	"chronicle/market"
	"chronicle/store/queue"
)

// proof checks the records of one stream after the other. It keeps the memory of
// the largest book it has met.
type proof struct {
	books   *audit.Checker
	report  *Report // of the stream at hand
	where   string  // the segment at hand
	raw     uint64  // not a book: raw sequence of the last record; 0 not known
	before  uint64  // snapshots that the checker had compared before the stream
	found   map[Code]int
	ordered []Code // keys of found, in order of discovery
}

func newProof() *proof {
	p := &proof{}
	p.books = audit.New(p.take)
	return p
}

// maxAlike bounds the findings of one code in one stream that are reported one by one.
const maxAlike = 20

// begin begins a stream.
func (p *proof) begin(r *Report) {
	p.books.Reset()
	p.report, p.raw, p.before = r, 0, p.books.Stats().Snapshots
	p.found, p.ordered = map[Code]int{}, nil
}

// lose tells that records are missing.
func (p *proof) lose() {
	p.books.Lose()
	p.raw = 0
}

// end ends the stream.
func (p *proof) end() {
	p.report.Checked.Snapshots += p.books.Stats().Snapshots - p.before
	for _, code := range p.ordered {
		if more := p.found[code] - maxAlike; more > 0 {
			p.report.add(severity(code), code, p.where, fix(code), "%d more of these in the stream, this segment and the ones before it", more)
		}
	}
}

// add reports a finding, unless there were very many of its code.
func (p *proof) add(code Code, format string, args ...any) {
	if p.found[code]++; p.found[code] == 1 {
		p.ordered = append(p.ordered, code)
	}
	if p.found[code] <= maxAlike {
		p.report.add(severity(code), code, p.where, fix(code), format, args...)
	}
}

func severity(code Code) Severity {
	if code == GapUnmarked {
		return Warning
	}
	return Error
}

func fix(code Code) string {
	if code == GapUnmarked {
		return "none is needed for the books: answers from here are degraded, but the gap is not listed"
	}
	return "write the stream anew from the raw queue"
}

var codes = map[audit.Kind]Code{
	audit.Invalid: RecordInvalid, audit.Sequence: SequenceGap, audit.RawOrder: RawOrder, audit.Differs: SnapshotDiffers, audit.AsOf: SnapshotAsOf,
	audit.Place: SnapshotPlace, audit.Flags: SnapshotFlags, audit.Unproved: BookUnproved, audit.Unmarked: GapUnmarked, audit.Chain: ChainBroken,
	audit.Checksum: ChecksumDiffers, audit.Crossed: BookCrossed, audit.Unknown: UnknownOrder, audit.Execution: ExecutionDiffers,
}

// take reports what the checker of books has found. How a segment begins is
// checked without it.
func (p *proof) take(f *audit.Finding) {
	if f.Kind != audit.First {
		p.add(codes[f.Kind], "record %d (raw %d): expected %s; found %s; nothing was wrong up to the snapshot at record %d", f.At.Seq, f.At.RawSeq, f.Want, f.Got, f.Since.Seq)
	}
}

// streamMeta reads a clean segment's header metadata.
func streamMeta(b []byte) (market.StreamMeta, error) {
	var m market.StreamMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("the header's metadata is not JSON of a stream: %w", err)
	}
	return m, nil
}

// checkEvery is the number of records between two looks at a context.
const checkEvery = 4096

// checkRecords reads a segment's records. An error means that they cannot be read;
// what is wrong with their content is reported.
func (c *streamCheck) checkRecords(ctx context.Context, where string, seg *queue.Segment) error {
	meta, err := streamMeta(seg.Info().Meta)
	if err != nil {
		return err
	}
	p := c.proof
	p.where = where
	book := c.id.Stream == market.StreamBook
	if book {
		p.books.Begin(&meta.Definition)
	}
	cursor := seg.Cursor()
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r, err := cursor.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if book {
			p.books.Next(&audit.Record{Seq: r.Seq, Time: r.Time, EventTime: r.EventTime, Kind: market.Kind(r.Kind), Body: r.Body})
		} else {
			p.other(c.id.Stream, &r)
		}
	}
}

// belongs lists the kinds of record that a stream which is not a book may hold,
// besides gap markers.
var belongs = map[string][]market.Kind{
	market.StreamTrade:  {market.KindTrade},
	market.StreamQuote:  {market.KindQuote},
	market.StreamStatus: {market.KindStatus, market.KindDefinition, market.KindSession},
}

// other checks a record of a stream that is not a book: it decodes, and belongs
// there, and was made from a raw record that is not before the last one's.
func (p *proof) other(stream string, r *queue.Record) {
	kind := market.Kind(r.Kind)
	raw, lost, err := decode(r)
	if kinds, ok := belongs[stream]; err == nil && ok && kind != market.KindGap && !slices.Contains(kinds, kind) {
		err = fmt.Errorf("a %v does not belong in a %s stream", kind, stream)
	}
	if err != nil {
		p.add(RecordInvalid, "record %d: %v", r.Seq, err)
		return
	}
	if lost {
		p.raw = 0 // the numbers of the raw records that were lost are given out again
	}
	if raw == 0 {
		return // definitions and sessions do not tell
	}
	if raw < p.raw {
		p.add(RawOrder, "record %d was made from raw record %d, the one before it from %d", r.Seq, raw, p.raw)
	}
	p.raw = raw
}

// decode reads the body of a record and gives the raw sequence in it, 0 when it
// has none, and whether it marks a loss of raw records.
func decode(r *queue.Record) (raw uint64, lost bool, err error) {
	switch kind := market.Kind(r.Kind); kind {
	case market.KindTrade:
		var t market.Trade
		err = t.Decode(r.Body)
		return t.RawSeq, false, err
	case market.KindQuote:
		var q market.Quote
		err = q.Decode(r.Body)
		return q.RawSeq, false, err
	case market.KindStatus:
		var s market.Status
		err = s.Decode(r.Body)
		return s.RawSeq, false, err
	case market.KindGap:
		g, err := market.DecodeJSON[market.Gap](r.Body)
		if err != nil {
			return 0, false, err
		}
		return g.RawSeq, g.Cause == market.GapRawLost, nil
	case market.KindDefinition:
		_, err = market.DecodeJSON[market.Definition](r.Body)
	case market.KindSession:
		_, err = market.DecodeJSON[market.Session](r.Body)
	default:
		err = fmt.Errorf("kind %d does not belong in a clean stream", r.Kind)
	}
	return 0, false, err
}
