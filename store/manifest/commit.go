package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Version is the version of the commit format that this package writes, and the
// only one that it reads.
const Version = 1

// OpKind tells what an operation does.
type OpKind string

// The operations. The life of a segment is intent, add, then delete if a copy
// remains at the place it came from; and intent, move, delete for each move on.
const (
	// OpIntent announces that Segment is being moved from From to its Tier and
	// Key. Until add, move or abort it may be at either place.
	OpIntent OpKind = "intent"
	// OpAdd makes Segment part of the archive. From, if given, is a copy that is
	// still to be deleted.
	OpAdd OpKind = "add"
	// OpMove gives Segment, which the archive has, a new Tier and Key. From, if
	// given, is a copy that is still to be deleted.
	OpMove OpKind = "move"
	// OpAbort takes the intent for Of back: the segment is where it was.
	OpAbort OpKind = "abort"
	// OpDelete says that the copy of Of at At is deleted: the one that an add or
	// move left behind, or, if At is the segment's own place, the segment itself.
	OpDelete OpKind = "delete"
	// OpGap adds Gap to the gap ledger. A row that is there already changes nothing.
	OpGap OpKind = "gap"
)

// Op is one operation; which fields it has depends on Op.
type Op struct {
	Op      OpKind    `json:"op"`
	Segment *Segment  `json:"segment,omitempty"`
	From    *Location `json:"from,omitempty"`
	Of      *Ref      `json:"of,omitempty"`
	At      *Location `json:"at,omitempty"`
	Gap     *Gap      `json:"gap,omitempty"`
}

// Commit is one numbered file of a log.
type Commit struct {
	Version  int    `json:"version"`
	Writer   string `json:"writer"`
	N        uint64 `json:"n"`         // from 1
	PrevHash string `json:"prev_hash"` // SHA-256 of the file of commit n-1; empty for n = 1
	Time     int64  `json:"time"`      // when, by the writer's clock; ns since the epoch
	Ops      []Op   `json:"ops"`
	Sum      string `json:"sum"` // SHA-256 of the file's bytes before this field's value
}

// Ref gives the segment that the operation is about; ok is false for a gap.
func (o *Op) Ref() (ref Ref, ok bool) {
	switch {
	case o.Segment != nil:
		return o.Segment.Ref(), true
	case o.Of != nil:
		return *o.Of, true
	}
	return Ref{}, false
}

// check validates an operation on its own.
func (o *Op) check() error {
	has := [...]bool{o.Segment != nil, o.From != nil, o.Of != nil, o.At != nil, o.Gap != nil}
	ok := false
	switch o.Op {
	case OpIntent:
		ok = has == [...]bool{true, true, false, false, false}
	case OpAdd, OpMove:
		ok = has == [...]bool{true, o.From != nil, false, false, false}
	case OpAbort:
		ok = has == [...]bool{false, false, true, false, false}
	case OpDelete:
		ok = has == [...]bool{false, false, true, true, false}
	case OpGap:
		ok = has == [...]bool{false, false, false, false, true}
	default:
		return invalid("op %q is not known", o.Op)
	}
	if !ok {
		return invalid("op %s has the wrong fields", o.Op)
	}
	return o.checkParts()
}

func (o *Op) checkParts() error {
	var err error
	if o.Segment != nil {
		err = o.Segment.check()
	}
	if err == nil && o.From != nil {
		err = o.From.check()
		if err == nil && *o.From == o.Segment.Location() {
			err = invalid("op %s of %v from where it is", o.Op, o.Segment.Ref())
		}
	}
	if err == nil && o.Of != nil {
		err = o.Of.check()
	}
	if err == nil && o.At != nil {
		err = o.At.check()
	}
	if err == nil && o.Gap != nil {
		err = o.Gap.check()
	}
	return err
}

// check validates a commit on its own: not against the rest of the log.
func (c *Commit) check() error {
	switch {
	case c.Version != Version:
		return fmt.Errorf("version %d, this program knows %d: use the version that wrote it, or newer: %w", c.Version, Version, ErrVersion)
	case !writerName.MatchString(c.Writer):
		return invalid("writer %q is not a lower-case word", c.Writer)
	case c.N == 0:
		return invalid("n is 0: numbers begin at 1")
	case (c.PrevHash == "") != (c.N == 1) || c.PrevHash != "" && !hashText.MatchString(c.PrevHash):
		return invalid("prev_hash %q of commit %d", c.PrevHash, c.N)
	case len(c.Ops) == 0:
		return invalid("no operations")
	}
	seen := make(map[Ref]bool, len(c.Ops))
	for i := range c.Ops {
		if err := c.Ops[i].check(); err != nil {
			return fmt.Errorf("ops[%d]: %w", i, err)
		}
		ref, ok := c.Ops[i].Ref()
		if ok && seen[ref] {
			return invalid("ops[%d]: second operation on %v in one commit", i, ref)
		}
		seen[ref] = ok
	}
	return nil
}

// Encode validates the commit, fills Sum and gives the bytes of its file: one
// line of JSON for the head, then one per operation, then the sum.
func (c *Commit) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("commit %d of %s: %w", c.N, c.Writer, err)
	}
	b, err := c.body()
	if err != nil {
		return nil, fmt.Errorf("encode commit %d of %s: %w", c.N, c.Writer, err)
	}
	c.Sum = hashOf(b)
	return append(b, `"`+c.Sum+"\"}\n"...), nil
}

// tailSize is how many bytes the sum's value and the end of the file take.
const tailSize = len(`"sha256:"}`) + 2*sha256.Size + 1

// body writes the commit up to the value of its sum, without HTML escapes.
func (c *Commit) body() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	put := func(v any) error {
		err := enc.Encode(v)
		b.Truncate(len(bytes.TrimRight(b.Bytes(), "\n")))
		return err
	}
	head := struct {
		Version  int    `json:"version"`
		Writer   string `json:"writer"`
		N        uint64 `json:"n"`
		PrevHash string `json:"prev_hash"`
		Time     int64  `json:"time"`
	}{c.Version, c.Writer, c.N, c.PrevHash, c.Time}
	err := put(head)
	b.Truncate(b.Len() - 1) // the closing brace
	b.WriteString(`,"ops":[`)
	for i := range c.Ops {
		b.WriteString(comma(i) + "\n")
		err = errors.Join(err, put(&c.Ops[i]))
	}
	b.WriteString("\n],\"sum\":")
	return b.Bytes(), err
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// DecodeCommit reads the bytes of a commit's file. It is strict: an unknown
// version is ErrVersion; an unknown field, a value out of place, a flipped bit or
// a missing byte is ErrCorrupt.
func DecodeCommit(b []byte) (*Commit, error) {
	c := &Commit{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err := dec.Decode(c)
	if v := versionOf(c, b, err); v != Version {
		return nil, (&Commit{Version: v}).check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if at := len(b) - tailSize; at < 0 || string(b[at:]) != `"`+hashOf(b[:at])+"\"}\n" || c.Sum != hashOf(b[:at]) {
		return nil, fmt.Errorf("%w: the content does not match its sum", ErrCorrupt)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return c, nil
}

// versionOf gives the version of a commit, which may have fields that this
// program does not know. Text that is no commit at all has this program's.
func versionOf(c *Commit, b []byte, err error) int {
	if err == nil {
		return c.Version
	}
	v := struct {
		Version int `json:"version"`
	}{}
	if json.Unmarshal(b, &v) != nil {
		return Version
	}
	return v.Version
}

// hashOf gives "sha256:" and the hex digits.
func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}
