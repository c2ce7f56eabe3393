package fsck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity tells how bad a finding is.
type Severity string

// The severities.
const (
	// Error: data is lost, damaged, hidden or listed wrongly.
	Error Severity = "error"
	// Warning: nothing is lost, and a run of the tier agent or somebody's hand
	// tidies it up.
	Warning Severity = "warning"
)

// Code names a kind of finding.
type Code string

// The codes.
const (
	ManifestCorrupt  Code = "manifest-corrupt"  // error: a log cannot be replayed
	ManifestTemp     Code = "manifest-temp"     // warning: left by a crash
	TierMissing      Code = "tier-missing"      // error: a tier that holds segments is not there
	SegmentMissing   Code = "segment-missing"   // error: listed, but there is no file
	SegmentSize      Code = "segment-size"      // error: the file has another size than the row
	SegmentCorrupt   Code = "segment-corrupt"   // error: checksums, sequence, footer or hash are wrong
	SegmentDiffers   Code = "segment-differs"   // error: header or footer say something else than the row
	SegmentMisplaced Code = "segment-misplaced" // error: header says that it belongs elsewhere
	FirstRecord      Code = "first-record"      // error: a reader cannot start at the segment's first record
	Orphan           Code = "orphan"            // error: a file in a tier that no log lists
	TempFile         Code = "temp-file"         // warning: an unfinished copy in a tier
	MoveOpen         Code = "move-open"         // warning: a move is under way or was interrupted
	CopyWaiting      Code = "copy-waiting"      // warning: a copy waits for its deletion
	Duplicate        Code = "duplicate"         // warning: the same segment twice, one of them not listed
	Overlap          Code = "overlap"           // error: two different segments hold the same sequences
	SequenceGap      Code = "sequence-gap"      // error: sequences are missing within a stream
	StreamStart      Code = "stream-start"      // error: a stream does not begin with sequence 1
	Numbering        Code = "numbering"         // error: the queue would number on wrongly
	QueueCorrupt     Code = "queue-corrupt"     // error: a segment of a queue cannot be read

	// Deep only.
	RecordInvalid    Code = "record-invalid"    // error: a body does not follow its layout, or does not belong in the stream
	RawOrder         Code = "raw-order"         // error: raw sequences go back
	SnapshotDiffers  Code = "snapshot-differs"  // error: a synthetic snapshot is not the book that the records before it make
	SnapshotAsOf     Code = "snapshot-as-of"    // error: it is not as of the last event
	SnapshotPlace    Code = "snapshot-place"    // error: it is not followed by the record that it was made for
	SnapshotFlags    Code = "snapshot-flags"    // error: its flags are not those of the book
	BookUnproved     Code = "book-unproved"     // error: a book is called good again without proof
	BookCrossed      Code = "book-crossed"      // error: a book of levels is called good, and is crossed
	ChainBroken      Code = "chain-broken"      // error: an event of a good book does not follow the one before
	ChecksumDiffers  Code = "checksum-differs"  // error: the venue's checksum does not match a book that is called good
	UnknownOrder     Code = "unknown-order"     // error: an event of a good book names an order that it does not hold
	ExecutionDiffers Code = "execution-differs" // error: the parts of an execution contradict each other or the resting order
	GapUnmarked      Code = "gap-unmarked"      // warning: a book is called bad, and no marker says why
)

// Finding is something that is not as it should be.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	Where    string   `json:"where"`  // path, tier:key, or stream
	Detail   string   `json:"detail"` // what was found
	Fix      string   `json:"fix"`    // what to do about it
}

// String gives one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s: %s (fix: %s)", f.Severity, f.Code, f.Where, f.Detail, f.Fix)
}

// Counts tell how much was checked.
type Counts struct {
	Commits     uint64 `json:"commits"`
	Streams     int    `json:"streams"`
	Segments    int    `json:"segments"`     // of the archive
	HotSegments int    `json:"hot_segments"` // of the clean queues, sealed or live
	RawSegments int    `json:"raw_segments"`
	Records     uint64 `json:"records"`   // clean and raw
	Bytes       int64  `json:"bytes"`     // of all segments
	Snapshots   uint64 `json:"snapshots"` // compared with the book (deep)
}

// Report is what a check has found. It marshals to JSON.
type Report struct {
	Findings []Finding `json:"findings"` // errors first
	Checked  Counts    `json:"checked"`
}

// Errors counts the findings that are errors.
func (r *Report) Errors() int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == Error {
			n++
		}
	}
	return n
}

// OK tells whether there is no error. Warnings may be there.
func (r *Report) OK() bool { return r.Errors() == 0 }

// Clean tells whether there is no finding at all.
func (r *Report) Clean() bool { return len(r.Findings) == 0 }

// String gives the findings, a line each, and a summary.
func (r *Report) String() string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.String() + "\n")
	}
	c := &r.Checked
	fmt.Fprintf(&b, "checked %d commits, %d streams, %d archived, %d hot and %d raw segments, %d records, %d bytes",
		c.Commits, c.Streams, c.Segments, c.HotSegments, c.RawSegments, c.Records, c.Bytes)
	if c.Snapshots > 0 {
		fmt.Fprintf(&b, ", %d snapshots", c.Snapshots)
	}
	fmt.Fprintf(&b, ": %d errors, %d warnings\n", r.Errors(), len(r.Findings)-r.Errors())
	return b.String()
}

func (r *Report) add(s Severity, code Code, where, fix, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Severity: s, Code: code, Where: where, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

// take adds what another report of the same check has found.
func (r *Report) take(o *Report) {
	r.Findings = append(r.Findings, o.Findings...)
	r.Checked.Segments += o.Checked.Segments
	r.Checked.Records += o.Checked.Records
	r.Checked.Bytes += o.Checked.Bytes
	r.Checked.Snapshots += o.Checked.Snapshots
}

// sort puts the errors first, each severity in the order of discovery.
func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
}

func rank(s Severity) int {
	if s == Error {
		return 0
	}
	return 1
}
