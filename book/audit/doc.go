// Package audit proves a book stream from its own records: what the deltas make
// must be what the snapshots show, and no book is called good without proof.
//
// A [Checker] is fed the records of one book stream in their order. It keeps a
// book of its own and looks, at each record, at what the writer of the stream
// must have done (docs/formats/records.md, docs/decisions/0003):
//
//	every record        its sequence follows on the one before; raw sequences do not
//	                    go back; the first one of a segment is a snapshot
//	synthetic snapshot  shows, entry for entry, the book that the records before it
//	                    make (levels, or orders in priority), as of the last event; its
//	                    flags are those of that book; and the record that made it due
//	                    follows, with the same raw sequence and time
//	flags               a book is called bad after the marker of an unrecovered gap, and
//	                    good again at a venue's snapshot (the empty book of a new session
//	                    is one) and nowhere else
//	event, book good    follows its predecessor in a chained instrument; the venue's
//	                    checksum matches; no order is unknown; a book of levels is not crossed
//	event, L3           an execution is Exec, Fill and Cancel of one size; a Cancel says
//	                    side and price of the resting order
//
// # What cannot be seen
//
// A wrong delta is seen at the next synthetic snapshot. It is not seen when the
// book is the same there: its level was set again, the side was cleared, a venue's
// snapshot came in between, or no snapshot has come yet. What is no part of a book
// is not proved either: executions of an L2 book, entry flags, the size of an L2
// cancel, venue sequences of instruments that are not chained and times, but for
// those that a synthetic snapshot repeats. A venue's snapshot is taken as it is.
//
// # Rows
//
// [Row] is a line of the ledger (docs/formats/ledger.md), in which findings are kept.
//
// # Concurrency
//
// The package is pure: no I/O, no clock, no goroutine. A Checker has one owner. It
// allocates nothing per record once it has met the largest book, but for gap markers,
// which are JSON, and findings.
package audit
