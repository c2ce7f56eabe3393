// Package query answers questions about the archive: the book of an instrument at
// a time ([Archive.BookAt]), and everything of one schema in a range of time
// ([Archive.Range]), over all tiers and the live queues, as Go values or Arrow
// batches. It has no transport. A Go program can use it as a library.
//
// # Stages
//
//	plan         the stream's segments, hot and tiered, in order and without overlap (plan.go)
//	read         one ordered record stream across them, each record checked (walk.go, reader.go)
//	reconstruct  nearest snapshot at or before T, then deltas (replay.go)
//	Arrow        columns appended to directly, batches bounded (source.go, stream.go)
//
// # Invariants
//
//   - What is missing, damaged or contradictory is an [Error] that names the
//     segment, never an answer. CRCs are checked by the queue's cursor; the chain of
//     sequences within and across segments, the hash of each segment against the
//     manifest, and snapshots made by the ETL against the book are checked here. An
//     answer from behind a gap says so in its condition or flags.
//   - What was committed before a request came is in its answer. The clean queue is
//     listed before the manifest is read, so that a segment being moved is found in
//     one of them; one that moves between plan and open makes a new plan.
//   - Memory is bounded whatever the range: one segment per symbol is open, a batch
//     has at most 64 Ki rows and about 2 MiB, and nothing is read before it is pulled.
//
// # Time
//
// A stream's time is the running maximum of its records' times on the clock that
// is asked for; records are never reordered. On the event clock records without
// a ts_event are at the running maximum as it stands.
//
//   - The book at T is the state after every record whose running maximum is at
//     most T, with all that are equal to T. The running maximum is the stream's: a
//     segment's own index begins anew with each segment, so the plan carries the
//     maximum of the segments before. If that is above T, no record of the segment
//     qualifies; if not, the segment's own running maximum decides. A segment that
//     qualifies by its first times but whose first record is later than T yields to
//     the one before it, whose records then all qualify.
//   - A range [Start, End) is of the records whose own time is inside, in the order
//     of the stream. Segments are left out only if none of their records can be.
//   - Several symbols are merged by running maximum, then by venue:symbol, then by
//     queue sequence.
//   - Where records are missing between two segments, their times are taken to lie
//     between those of the segments' ends; where the queue once had records after
//     the last one that is left, after its end. An answer that they would be in is
//     refused; a book that a later snapshot begins is not.
//
// # Gaps
//
// Condition is degraded from the marker of an unrecovered gap on until a record
// without FlagMaybeBadBook. A marker stands where the gap was noticed: a book
// between a gap's start and its marker is degraded too, on the receive clock.
// GapMark (the default) says so; GapNull gives no book there; GapError fails, in a
// range also if an unrecovered gap's interval touches it.
// In trades, mbo and quotes, which hold no book, GapNull is GapMark: the rows
// that were received are right. Ask for schema gap to see what is missing.
//
// What the ETL's self-audit could not prove (docs/formats/ledger.md) counts as a gap of
// cause audit: books within are degraded, rows of books have FlagMaybeBadBook, and
// schema gap lists the interval at the ts_recv of the record that showed it.
//
// # Concurrency
//
// An [Archive] is safe for concurrent use and starts no goroutine. A [Stream] is
// used by one goroutine.
package query
