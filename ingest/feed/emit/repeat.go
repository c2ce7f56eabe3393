package emit

import "chronicle/market"

// definition is an instrument's definition in force, and its record.
type definition struct {
	market.Definition
	body    []byte
	segment uint64 // that the record was last written to; see segmented
}

// segmented is a queue that tells where its segments begin.
type segmented interface {
	// SegmentSeq gives the first sequence of the segment that the latest record or
	// reservation is in.
	SegmentSeq() uint64
}

// writeDefinition writes the definition of an instrument.
func (e *Emitter) writeDefinition(recv, event int64, id uint32) {
	d := &e.defs[id-1]
	b := e.reserve(recv, 0, len(d.body))
	if b == nil {
		return
	}
	copy(b, d.body)
	e.commit(market.KindDefinition, id, recv, event, len(d.body))
	if e.segments != nil {
		d.segment = e.segments.SegmentSeq()
	}
}
