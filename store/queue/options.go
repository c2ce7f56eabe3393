package queue

import (
	"bytes"
	"fmt"
	"time"
)

// Options configure a writer. The zero value is usable.
type Options struct {
	// SegmentBytes is the size at which a segment is full, in bytes, from 8 KiB to
	// 64 GiB. A record that does not fit gets a segment of its own size.
	// Default 64 MiB.
	SegmentBytes int64

	// Meta is put into the header of each segment that begins from now on: JSON
	// that describes the stream, opaque to the queue, at most MaxMeta bytes.
	// Default none.
	Meta []byte

	// ManualRoll leaves the cutting of segments to the caller: a segment grows
	// until Roll, whatever SegmentBytes says. Default false.
	ManualRoll bool

	// Precreate makes the next segment, reserves all of it and takes its page
	// faults on a goroutine of the writer's, which also seals what was rolled. The
	// append path then makes no system call but a rename per segment. It costs two
	// segments of space. Default false: all of that happens inside Append and Roll.
	Precreate bool

	// SyncInterval is how often everything appended is written to the device, by
	// a goroutine of the writer's. Default 0: only Sync, Roll and Close do it.
	SyncInterval time.Duration

	// NoSync leaves out every fsync, for tests and for streams that can be made
	// again. A crash of the machine may then damage even sealed segments.
	// Default false.
	NoSync bool

	reserve reserver // how space is had; tests make it fail. Default reserveBlocks.

	// later is for the members of a Group: Roll ends a segment and no more, recovery
	// leaves ended segments as they are, and the group seals them when it is told to.
	// The writer then keeps as little mapped as it can.
	later bool
	fill  bool // as in growth, with later
}

const (
	defaultSegmentBytes = 64 << 20
	minSegmentBytes     = 8 << 10
	maxSegmentBytes     = 64 << 30
)

// withDefaults fills in and checks the options.
func (o Options) withDefaults() (Options, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.reserve == nil {
		o.reserve = reserveBlocks
	}
	o.Meta = bytes.Clone(o.Meta)
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes > maxSegmentBytes {
		return o, fmt.Errorf("queue option SegmentBytes %d: give %d to %d", o.SegmentBytes, minSegmentBytes, int64(maxSegmentBytes))
	}
	if o.SyncInterval < 0 {
		return o, fmt.Errorf("queue option SyncInterval %v: give 0 (off) or a positive duration", o.SyncInterval)
	}
	return o, checkMeta(o.Meta)
}

func checkMeta(meta []byte) error {
	if len(meta) > MaxMeta {
		return fmt.Errorf("segment metadata of %d bytes, at most %d: %w", len(meta), MaxMeta, ErrTooBig)
	}
	return nil
}
