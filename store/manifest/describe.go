package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"chronicle/market"
	"chronicle/store/queue"
)

// Describe makes the row of a sealed segment from its header and footer alone,
// for the place at. An error that is ErrInvalid means that the segment does not
// say what it is, or contradicts itself.
func Describe(info queue.SegmentInfo, at Location) (Segment, error) {
	if !info.Sealed {
		return Segment{}, invalid("segment with first_seq %d is not sealed", info.FirstSeq)
	}
	var meta market.StreamMeta
	if err := json.Unmarshal(info.Meta, &meta); err != nil {
		return Segment{}, invalid("segment header: metadata is not JSON of a stream: %v", err)
	}
	s := Segment{
		Venue: meta.Venue, Symbol: meta.Symbol, Stream: meta.Stream, Date: Day(info.FirstTime),
		FirstSeq: info.FirstSeq, LastSeq: info.LastSeq, FirstTime: info.FirstTime, LastTime: info.LastTime,
		FirstEventTime: info.FirstEventTime, LastEventTime: info.LastEventTime,
		Records: info.Records, Keys: info.Keys, Kinds: info.Kinds, Bytes: info.Bytes, Hash: info.Hash,
		Tier: at.Tier, Key: at.Key, Definition: meta.Definition,
	}
	if err := s.check(); err != nil {
		return Segment{}, err
	}
	return s, nil
}

// GapsOf gives the rows that a segment adds to the gap ledger. It reads the
// segment only if the footer counts gap records.
func GapsOf(seg *queue.Segment, row *Segment) ([]Gap, error) {
	if row.Kinds[uint16(market.KindGap)] == 0 {
		return nil, nil
	}
	var gaps []Gap
	c := seg.Cursor()
	for {
		r, err := c.Next()
		if errors.Is(err, io.EOF) {
			return gaps, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read gaps of %v: %w", row.Ref(), err)
		}
		if r.Kind != uint16(market.KindGap) {
			continue
		}
		g, err := market.DecodeJSON[market.Gap](r.Body)
		if err != nil {
			return nil, fmt.Errorf("read gaps of %v: record %d: %w", row.Ref(), r.Seq, err)
		}
		gaps = append(gaps, Gap{
			Venue: row.Venue, Symbol: row.Symbol, Channel: g.Channel, Start: g.Start, End: g.End,
			FirstSeq: g.FirstSeq, LastSeq: g.LastSeq, Cause: string(g.Cause), Recovered: g.Recovered, Detail: g.Detail,
		})
	}
}

// MaxOps bounds the operations that Chunks puts into one commit.
const MaxOps = 4096

// Chunks cuts operations into pieces for one commit each, in order.
func Chunks(ops []Op) [][]Op {
	var chunks [][]Op
	for len(ops) > MaxOps {
		chunks = append(chunks, ops[:MaxOps:MaxOps])
		ops = ops[MaxOps:]
	}
	if len(ops) > 0 {
		chunks = append(chunks, ops)
	}
	return chunks
}
