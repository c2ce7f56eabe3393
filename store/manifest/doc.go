// Package manifest says which segments the archive holds and where.
//
// The truth is a log of numbered commits kept with the archive, one log per
// writer: manifest/<writer>/<n>.json ([Commit]). Everything else is an index of
// it: [State], the replayed log in memory, and [Index], which adds a DuckDB
// database for listings and SQL. Delete an index and it is built again from the
// log; lose the log and [Rebuild] makes a new one from the segments' own headers
// and footers.
//
// # Layout
//
//	manifest/
//	  <writer>/000000000001.json   a commit; numbers begin at 1 and have no holes
//	  <writer>/.*                  temporary files of a writer; nobody reads them
//	  .locks/<writer>              flock of the process that writes that log
//	  .replaced-<e>/               logs that the e-th rebuild has put aside
//	  .building/ .rebuild/         a rebuild under way (see Rebuild)
//
// The bytes of a commit are described in docs/formats/manifest.md.
//
// # Invariants
//
//   - A commit is created only if its number is free, whole, and is never changed
//     afterwards. That one link(2) is the commit point: before it nothing has
//     happened, after it every reader sees all of the commit's operations.
//   - Each commit names the SHA-256 of the one before, and carries one of itself.
//     A damaged commit, a hole in the numbers, an unknown version or an unknown
//     field is an error that names the file. Nothing is skipped.
//   - A segment belongs to the log that added it: only that log moves or deletes
//     it. So the order in which readers replay different logs does not matter.
//   - At every instant a segment's bytes are found in the hot queue, at the
//     location in its row, or at the row's Alt location; see [Row].
//
// # Concurrency
//
// A [Writer] has one owner at a time and excludes every other writer of the same
// name, on the same host, by flock. Readers need no lock, write nothing below the
// manifest folder, and may be any number of processes. An [Index] is safe for
// concurrent use.
package manifest

import "errors"

// What callers branch on, with errors.Is.
var (
	// ErrCorrupt: a commit, or the log as a whole, is not what was written.
	ErrCorrupt = errors.New("manifest log is corrupt")
	// ErrVersion: a commit was written by a version that this one does not know.
	ErrVersion = errors.New("manifest commit has an unknown version")
	// ErrInvalid: operations that contradict themselves or what the log says.
	ErrInvalid = errors.New("operation does not fit the manifest")
	// ErrConflict: somebody else has written a commit under this writer's name.
	ErrConflict = errors.New("another process writes this manifest log")
	// ErrUncertain: a commit failed and may have been applied nevertheless. Only
	// the same operations may be committed now, or Refresh settles it.
	ErrUncertain = errors.New("an earlier commit may have been applied")
	// ErrRebuilding: the logs are being replaced by a rebuild.
	ErrRebuilding = errors.New("manifest is being rebuilt")
	// ErrIndexLocked: another process holds the DuckDB file of the index.
	ErrIndexLocked = errors.New("index file is in use")
	// ErrClosed: the writer or index has been closed.
	ErrClosed = errors.New("manifest is closed")
)
