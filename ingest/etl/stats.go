package etl

import (
	"time"

	"chronicle/store/queue"
)

// Stats counts what has been done since Open.
type Stats struct {
	RawSeq        uint64 `json:"raw_seq"`        // last raw record processed
	RawTime       int64  `json:"raw_time"`       // its capture time, ns since the Unix epoch
	Records       uint64 `json:"records"`        // raw records processed
	Written       uint64 `json:"written"`        // clean records appended
	Repeated      uint64 `json:"repeated"`       // clean records made again that the streams already held
	Adopted       uint64 `json:"adopted"`        // clean records kept whose raw records a power loss has cost
	Snapshots     uint64 `json:"snapshots"`      // synthetic snapshots among Written and Repeated
	Gaps          uint64 `json:"gaps"`           // gap markers
	ChecksumsGood uint64 `json:"checksums_good"` // venue checksums that matched
	ChecksumsBad  uint64 `json:"checksums_bad"`  // venue checksums that did not match
	UnknownOrders uint64 `json:"unknown_orders"` // messages that name an order which the book does not hold
	BadEntries    uint64 `json:"bad_entries"`    // entries that a book refused: duplicate ids, no side, overflow
	Crossed       uint64 `json:"crossed"`        // events that left the best bid above the best ask
	Stale         uint64 `json:"stale"`          // repeated events and snapshots that are older than the book
	Behind        uint64 `json:"behind"`         // records left out because their source is older than the stream
	Instruments   uint64 `json:"instruments"`

	Checkpoint     uint64           `json:"checkpoint"`      // last raw record of the latest checkpoint
	CheckpointTime int64            `json:"checkpoint_time"` // when it was written, ns since the Unix epoch
	CheckpointTook time.Duration    `json:"checkpoint_took"` // how long the pipeline stood still for it
	Streams        queue.GroupStats `json:"streams"`
}

// Stats gives the counts as they were at most 1,024 records ago. It may be called
// from any goroutine.
func (e *ETL) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shown
}

// publish shows the counts to other goroutines and how far we are to those who
// look at the raw queue.
func (e *ETL) publish() {
	e.n.RawSeq, e.n.Instruments, e.n.Streams = e.rawSeq, uint64(len(e.instruments)), e.group.Stats()
	if e.passed != nil {
		e.passed.Progress(e.rawSeq, e.n.RawTime)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown = e.n
}
