package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"chronicle/internal/durable"
	"chronicle/internal/filelock"
)

// WriterOptions are the options of OpenWriter.
type WriterOptions struct {
	// Now gives the time that commits carry. Default: time.Now.
	Now func() time.Time
	// Fault, if given, is called before and after a commit's file is created,
	// with "commit" and "commit done"; an error it returns is that of the step.
	// It is for tests: the second one is a step that failed but was applied.
	Fault func(step string) error
}

func (o *WriterOptions) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Fault == nil {
		o.Fault = func(string) error { return nil }
	}
}

// Writer appends to one log. It has one owner at a time.
type Writer struct {
	dir      string
	name     string
	opts     WriterOptions
	lock     *filelock.Lock
	follower *Follower
	pending  *attempt // a commit whose outcome is not known
}

// attempt is a commit that was tried.
type attempt struct {
	commit *Commit
	bytes  []byte
}

// OpenWriter opens the log of a writer, making it if need be, and replays the
// whole manifest. A second writer of the same name gets an error that names the
// holder's process, and is filelock.ErrLocked.
func OpenWriter(ctx context.Context, dir, name string, opts WriterOptions) (*Writer, error) {
	if !writerName.MatchString(name) {
		return nil, fmt.Errorf("open manifest: %w", invalid("writer %q is not a lower-case word", name))
	}
	opts.fill()
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	lock, err := lockWriter(dir, name)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, name: name, opts: opts, lock: lock}
	if w.follower, err = Load(ctx, dir); err == nil {
		err = w.makeFolder()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open manifest: %w", err), lock.Release())
	}
	return w, nil
}

// makeFolder makes the log's folder, or clears it of what a crash has left.
func (w *Writer) makeFolder() error {
	folder := filepath.Join(w.dir, w.name)
	if err := durable.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if durable.IsTemp(e.Name()) {
			err = errors.Join(err, durable.Remove(filepath.Join(folder, e.Name())))
		}
	}
	return err
}

func lockWriter(dir, name string) (*filelock.Lock, error) {
	lock, err := filelock.Acquire(filepath.Join(dir, locksDir, name))
	if err != nil {
		return nil, fmt.Errorf("open manifest as writer %s: %w", name, err)
	}
	return lock, nil
}

// State gives the replayed manifest, of all writers, including this one's own
// commits. It changes with the next Commit or Refresh.
func (w *Writer) State() *State { return w.follower.state }

// Refresh takes in what other writers have committed. A commit of this one whose
// outcome was uncertain is settled: what the folder has, counts.
func (w *Writer) Refresh(ctx context.Context) error {
	if w.lock == nil {
		return fmt.Errorf("refresh manifest: %w", ErrClosed)
	}
	if w.pending != nil {
		if err := durable.SyncDir(filepath.Join(w.dir, w.name)); err != nil {
			return fmt.Errorf("refresh manifest: %w", err)
		}
	}
	if _, err := w.follower.Refresh(ctx); err != nil {
		return fmt.Errorf("refresh manifest: %w", err)
	}
	w.pending = nil
	return nil
}

// Commit appends the operations as one commit and gives its number. They are
// checked against the state first: an operation that does not fit is ErrInvalid
// and nothing is written. The commit is durable on return.
//
// After an error the commit is either not there (the call may be repeated, with
// these or other operations), or that could not be found out: then every other
// commit is ErrUncertain until the same operations have been committed again,
// which succeeds if they had been applied, or Refresh has looked.
func (w *Writer) Commit(ops ...Op) (uint64, error) {
	if w.lock == nil {
		return 0, fmt.Errorf("commit: %w", ErrClosed)
	}
	try, err := w.prepare(ops)
	if err != nil {
		return 0, fmt.Errorf("commit to manifest: %w", err)
	}
	w.pending = try
	if err := w.create(try); err != nil {
		return 0, fmt.Errorf("commit %d of writer %s: %w", try.commit.N, w.name, err)
	}
	w.pending = nil
	if err := w.follower.state.Apply(try.commit); err != nil {
		return 0, err // prepare has applied the same checks
	}
	w.follower.heads[w.name] = head{n: try.commit.N, hash: hashOf(try.bytes)}
	return try.commit.N, nil
}

// prepare encodes the next commit, or gives the pending one if it is the same.
func (w *Writer) prepare(ops []Op) (*attempt, error) {
	if w.pending != nil {
		if !sameOps(w.pending.commit.Ops, ops) {
			return nil, fmt.Errorf("commit %d: %w: repeat it, or refresh", w.pending.commit.N, ErrUncertain)
		}
		return w.pending, nil
	}
	h := w.follower.heads[w.name]
	c := &Commit{Version: Version, Writer: w.name, N: h.n + 1, PrevHash: h.hash, Time: w.opts.Now().UnixNano(), Ops: ops}
	b, err := c.Encode()
	if err != nil {
		return nil, err
	}
	c, err = DecodeCommit(b) // a copy that shares nothing with the caller
	if err != nil {
		return nil, err
	}
	for i := range c.Ops {
		if err := w.follower.state.fits(&c.Ops[i], w.name); err != nil {
			return nil, err
		}
	}
	return &attempt{commit: c, bytes: b}, nil
}

// create makes the commit's file. Whatever goes wrong, it looks at what is there
// before it calls the attempt a failure.
func (w *Writer) create(try *attempt) error {
	path := filepath.Join(w.dir, w.name, commitName(try.commit.N))
	err := w.opts.Fault("commit")
	if err == nil {
		err = durable.Create(path, try.bytes, 0o444)
	}
	if err == nil {
		err = w.opts.Fault("commit done")
	}
	if err == nil {
		return nil
	}
	there, readErr := os.ReadFile(path)
	switch {
	case errors.Is(readErr, fs.ErrNotExist):
		w.pending = nil
		return err
	case readErr != nil:
		return fmt.Errorf("%w; and %w", err, readErr)
	case !bytes.Equal(there, try.bytes):
		w.pending = nil
		return fmt.Errorf("%s: %w: stop it, or give this one another name", path, ErrConflict)
	}
	return durable.SyncDir(filepath.Dir(path)) // it was applied
}

func sameOps(a, b []Op) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// Close gives the log back. It writes nothing.
func (w *Writer) Close() error {
	lock := w.lock
	w.lock = nil
	return lock.Release()
}
