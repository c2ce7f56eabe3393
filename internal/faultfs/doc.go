// Package faultfs is a file system for tests that loses power and fails. It
// stands behind package durable: a test makes its files in an ordinary directory,
// with the code that production runs, and faultfs keeps the books about what of
// that a disk is bound to have.
//
// # How to use it
//
//	fs := faultfs.New(t, root)      // what is in root now is on disk
//	w := openTheThing(root)         // writes by way of package durable, and by mmap
//	w.doThings()
//	fs.Crash(image, rng, faultfs.Mode{})
//	check(openTheThing(image))      // only what was synced is owed
//
// A test decides when the power fails: between two calls of its own, or in the
// middle of one by [FS.Watch], which is called before each operation. The program
// under test goes on untouched, so that many crashes can be taken of one run. What
// is owed must be noted before Crash is called, what is possible after it.
//
// [FS.Inject] makes operations fail: the n-th of a kind, before it is done, half
// done, or done all the same. [FS.Full] is a full disk.
//
// # The model
//
// Of each file faultfs keeps the image: the bytes and the length that it had when
// the latest fsync or msync that returned without error was called. Of each
// directory it keeps the names as of its latest fsync, and the list of changes
// since. Crash makes a directory tree that a disk might hold:
//
//   - Each name change since the directory's sync is there or not, independently;
//     with Mode.Ordered, as on journaling file systems, the changes of all
//     directories up to some moment are there, and none after it. A rename within
//     one directory is there whole or not at all. One between two directories, of
//     which only one was synced, may leave the file with both names or with none.
//   - Each page of 4 KiB, or with Mode.Sectors each sector of 512 bytes, is as in
//     the image or as it is now. The length is the old one, the new one or one
//     between. What neither had is zero.
//   - A file whose name is there but which was never synced may be empty.
//
// [FS.Writeback] is the kernel writing back on its own: some pages and names reach
// the disk unasked, so that later crashes can mix states of more than two moments.
//
// A sync that fails leaves its pages as Linux does: not written and taken for
// clean. A later sync does not write them unless they have been changed since, by
// other bytes, by a write call, or by durable.Dirty. When a sync of the whole file
// system fails, no file of it is written, and each that should have been says so once,
// at its own next sync.
//
// # What it does not see
//
// Stores into shared mappings need no call: the files are read when they are
// synced and at a crash. Files and names that are made or changed by plain calls of
// package os are found at the next sync of their directory or crash, as changed
// just then. So code that passes by package durable looks worse than it is, never
// better. Symbolic links, modes and times are not kept. Each file is read whole at
// each of its syncs: keep them small, on tmpfs.
//
// # Concurrency
//
// All methods are safe for concurrent use. Operations are done one at a time.
// There may be several FS at once, with roots of their own; operations outside
// every root are left alone.
package faultfs
