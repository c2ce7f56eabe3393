// Package audit proves the clean book streams while they are being written. It runs
// beside the ETL, in the same process, and reads what the ETL has written as any
// other reader would: a bug, a bit that fell over in memory, a file that somebody
// has changed shows within minutes, and not when somebody asks for the book.
//
// # What it does
//
// An [Auditor] goes round all book streams below the clean directory. Of each it
// reads what lies between the last snapshot that it has proved and the newest one,
// sealed segments and the live one alike, and feeds it to the checker of package
// book/audit. A snapshot that is proved is the place to go on from. What comes after
// the newest snapshot waits for the next one.
//
// A finding is an error in the log, counts in [Stats], and makes a row in the ledger
// (docs/formats/ledger.md), durable before the next record is read. Queries call books in
// the row's interval degraded. The row stays open until a venue snapshot or a new
// session has proved the book again; then a second line says where. While a row is
// open no other one is made for the stream: it covers whatever else is found.
//
// # Invariants
//
//   - The pipeline never waits for it. It takes no lock that the ETL takes, writes
//     nothing but the ledger, and works at most Config.Share of one processor: after
//     each half millisecond of work, by the clock on the wall, it sleeps for as long as
//     that demands. A machine that is busy makes the work take longer, and so the
//     sleep. It does not lower the priority of its thread: one that the kernel makes wait
//     holds up the garbage collector, and with it everything.
//   - Nothing is passed over silently. Each snapshot is compared, or counted as
//     skipped (Config.MaxLag), or was in a segment that the tier agent had moved away
//     before, which is counted too; `chronicle fsck --deep` proves those.
//   - At most two segments are open at a time, however many streams there are. A
//     stream that is idle costs some hundred bytes, and one look per round.
//   - A finding makes one row, also when it is found again after a restart.
//
// # Restart
//
// How far each stream was proved is not kept. A new Auditor begins with the oldest
// segment that is still hot: what it has proved before, it proves again. After
// Config.MaxLag it skips what it could not do until then.
//
// # Lag
//
// Stats.Lag says: whatever was committed longer ago than this has been looked at. At
// rest it is about Config.Interval.
//
// # Concurrency
//
// [Auditor.Run] and [Auditor.Once] are for one goroutine; [Auditor.Stats] is for any. One
// Auditor at a time may use a ledger: the lock of the ETL beside which it runs sees to that.
package audit
