// Package book is the order-book machine: it takes the events of one instrument
// and holds the book that they make, by price level (L2) or by order (L3).
//
// The package is pure: no I/O, no clock, no goroutine, no randomness. The same
// events give the same book on every machine, and [Book.Digest] says so in 64 bits.
//
// # Invariants
//
// They hold after every call, whatever was fed in:
//   - Each side's levels are strictly ordered by price; no level is empty.
//   - L3: a level's Size and Count are the sum and number of its orders, and each
//     order stands in exactly one level's queue. Sums never wrap.
//   - An entry that cannot be applied (unknown order, duplicate id, impossible
//     value) changes nothing and is counted in the [Result]. Nothing panics.
//
// A book may be crossed: during an auction, or after a gap, venues send such
// books. [Book.Crossed] and [Book.Locked] tell; the machine does not judge.
//
// # What entries do
//
//	action   L2                               L3
//	Add      sets the level to Size           new order, last in its level's queue
//	Modify   sets the level to Size           new price or size; a new price or a larger
//	                                          size goes to the end of the queue, a smaller
//	                                          one keeps its place; 0 removes the order
//	Cancel   removes the level                takes Size off; UndefSize, or no less than
//	                                          what rests, removes the order
//	Clear    removes the side (NoSide: both)  the same
//	Exec     nothing                          nothing
//	Fill     nothing                          nothing
//
// An L2 Add or Modify of size 0 removes the level. In an L3 Modify, UndefPrice and
// UndefSize keep what the order has. In an L3 Cancel only OrderID and Size are read.
//
// # Layout
//
// A side is one contiguous slice of 32-byte levels with the best at the end, so
// that changes near the best move few of them. The slice has spare room at both
// ends: an insertion or removal moves the shorter part, which makes loading a
// snapshot (best first) and cutting off the worst levels cheap too. Searching
// starts at the best.
//
// L3 orders live in one slice with a free list; level queues are doubly linked
// through it by index. An open-addressing hash table of 8-byte slots (half hash,
// half index) finds an order by its id; deletion shifts back, so that there are
// no tombstones. A book that has reached its size allocates nothing; memory is kept
// until the Book itself is dropped.
//
// # Concurrency
//
// A Book has one owner at a time. Calls that do not change it (Best, Levels,
// Digest, AppendSnapshot, ...) may run concurrently with each other.
package book
