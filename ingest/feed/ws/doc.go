// Package ws receives a venue's market data live, over WebSocket and HTTP. It
// knows no venue: a [Venue] says where to connect, what to subscribe and what a
// frame means.
//
//	connection 1 ─┐  frames, with the time they were read
//	connection 2 ─┼──▶ one bounded queue ──▶ owner: Venue (session) ──▶ emitter ──▶ raw queue
//	HTTP GETs    ─┘                            ▲                           │ every record
//	                                           └── resync ◀── guard ◀──────┘
//
// Invariants:
//   - Every frame that was read reaches the session, in the order of its
//     connection, with the time right after it was read. When the queue is full
//     the connection waits, and TCP holds the venue back: nothing is dropped.
//   - The session, the emitter and the guard belong to one goroutine, the one
//     that runs [Feed.Run]; dialling, reading, writing and HTTP run beside it.
//   - Memory is bounded: by the number and the bytes of queued frames, and by the
//     size of one frame. A larger frame is counted and its connection made anew.
//   - A connection that fails, falls silent or grows too old is made again, for
//     as long as the feed runs, after times that grow and are spread by chance.
//     The session is told, and the outage is a gap record.
//   - The feed corrects nothing. The guard only reads what was written, to ask
//     the venue for a whole book when the ETL will find that a book is not good.
//
// Steady state allocates nothing for a frame: buffers are used again.
package ws
