// Package queue is a segmented log of opaque records in memory-mapped files:
// one writer, any number of reader processes, and a commit that is one store.
//
// # Layout
//
// A queue is a directory:
//
//	00000000000000000001.q     a sealed segment, named by the sequence of its first record
//	00000000000000524288.q     the live segment, which the writer appends to
//	00000000000000524288.idx   its sparse index, until it is sealed (made with the second entry)
//	index.meta                 table of the segments, for readers that spin or seek
//	consumers/etl              how far a registered consumer has come
//	lock                       flock of the writer, with its pid and the queue's identity inside
//	*.tmp                      segments in the making; never read, removed by the next writer
//
// A segment is a header page, records, an end word and, once sealed, a footer
// and a trailer: see record.go, header.go, footer.go, and docs/formats/segment.md.
//
// # Invariants
//
//   - A record is committed by one aligned atomic store of its length word, after
//     every other byte of it. A reader sees a whole record or none.
//   - Sequences are contiguous from 1. A segment's last sequence and the next
//     segment's first one are neighbours.
//   - Space is reserved before it is touched, always with room for one more
//     length word: a full disk is [ErrFull] from the writer, never a SIGBUS. A
//     reader touches no byte past the first length word that is zero or the end word.
//   - A sealed segment (one that ends in a valid trailer) never changes. Damage in
//     it is [ErrCorrupt], never a skip. Only the last segment, unsealed, is ever
//     cut, and only after its last valid record.
//   - What [Writer.Sync] has returned for is on disk, and so is a sealed segment.
//   - Retention removes no segment that a registered consumer has not passed.
//
// # Recovery
//
// [OpenWriter] does, in this order:
//
//  1. Takes the lock and removes temporary files.
//  2. Opens every segment; a sealed one may be moved away meanwhile. One without a
//     trailer is walked, record by record, by the code that live readers use.
//  3. Discards a last segment without records. Its predecessor is then the last.
//  4. Sets aside unsealed segments that stand behind records which a crash of the
//     machine has lost (loss.go).
//  5. Seals the segments that have their end word but no trailer, and the ones
//     before the last whose successor begins exactly where they stop.
//  6. Zeroes what follows the last valid record of a last segment without end
//     word, after copying aside what there looks like records, and goes on there.
//  7. Writes index.meta and the live sparse index anew, and lowers consumers that
//     had passed what is lost.
//
// A member of a [Group] leaves out step 5 as far as it seals: those segments are
// checked as all others are, and wait for [Group.Seal].
//
// [Writer.Recovery] tells what was found, cut and set aside.
//
// # Durability
//
// A crash of the process loses nothing that was committed: the bytes are in the
// kernel's page cache. A crash of the machine loses at most what was appended
// since the last [Writer.Sync], whether called or made by Options.SyncInterval,
// and everything of a queue on tmpfs. Sealed segments are on disk before they are
// called sealed. File systems that copy on write (btrfs, ZFS) do not keep the
// promise of reserved space when they are full.
//
// A sync that fails leaves pages that the kernel takes for clean; the writer marks
// them before it tries again, so that a Sync that returns no error means what it
// says. Only that writer knows of them: one that is killed after a Sync has failed
// leaves the next one a promise that it cannot keep if the power fails as well.
//
// A reader that is about to make something durable that it has made of a queue calls
// [SyncTo] before, and notes the queue's [ID] with it: then it never remembers more of
// a queue than there is, nor takes another queue for the one it knew.
//
// # Groups
//
// A [Group] is for one goroutine that writes very many queues. Its members are queues
// like all others, and readers see no difference. What differs is what they cost:
//
//   - A member that is open takes two mappings, of the segment and of the lock, and no
//     descriptor: it maps no more than it uses, and its live index is written by calls.
//     GroupOptions.MaxOpen of them are open. The others are closed, with their locks
//     given up, and come back when they are used, without reading the segment: what
//     was known of it is kept in memory, about 1 KiB besides the metadata.
//   - Roll ends a segment and unmaps it. [Group.Sync] makes everything durable, of many
//     members by one syncfs(2). What was cut before a Sync may be handed on to the
//     sealers by [Group.Seal], when the caller no longer needs it unsealed: an ETL, when
//     its checkpoint lies behind it. Until then a cut segment stays as it is, also when
//     the process is killed or the power fails; and whatever has become durable by Sync
//     survives both.
//   - There is no goroutine per member. GroupOptions.Sealers of them seal for all.
//
// While a member is closed, another process can take its lock and write. The member
// then refuses to go on ([ErrLocked], [ErrChanged]); nothing of the other's is lost.
//
// # Consumers and retention
//
// A consumer, such as the ETL, registers by name ([RegisterConsumer]) and tells,
// when what it made of them is durable, which records it has passed. [Retain]
// removes old segments that all of them have passed; the process that writes the
// queue calls it, every minute or so. Other readers are not waited for: one that is
// overtaken gets [ErrGone], with the record that it can go on from.
//
// # Concurrency
//
// A [Writer] belongs to one goroutine, and so does a [Group] with all its members. A
// writer has goroutines of its own only with Options.Precreate or
// Options.SyncInterval, a group when it has begun to seal; Close ends them. [Tailer]
// and [Cursor] belong to one goroutine each; a [Segment] may be shared, and any number
// of cursors may walk it. Readers, in whatever process, take no lock and write
// nothing; a [Consumer] writes its own file. The package is for 64-bit Linux.
package queue
