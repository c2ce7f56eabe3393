package tier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chronicle/store/manifest"
)

// OnceOptions are the options of Once.
type OnceOptions struct {
	// MinAge, if positive, takes the place of the first tier's After: no segment
	// leaves the hot queue before it has that age.
	MinAge time.Duration
	// All moves every sealed segment out of the hot queues, whatever its age.
	All bool
	// DryRun only plans. Result.Planned is what would be moved.
	DryRun bool
}

// Move is a segment that was moved, or would be.
type Move struct {
	Segment manifest.Segment  `json:"segment"` // with the place it goes to
	From    manifest.Location `json:"from"`
	Copied  bool              `json:"copied"` // false: renamed, no byte was copied
}

// Problem is a segment that could not be dealt with. It stays where it is and is
// tried again by the next run.
type Problem struct {
	Where string // segment or file
	Err   error
}

// Error gives the text of both.
func (p Problem) Error() string { return fmt.Sprintf("%s: %v", p.Where, p.Err) }

// Unwrap gives the cause.
func (p Problem) Unwrap() error { return p.Err }

// Result tells what a run has done.
type Result struct {
	Planned  []Move    // dry run only
	Moved    []Move    // committed in this run
	Bytes    int64     // of Moved
	Finished int       // moves of earlier runs that were committed
	Undone   int       // moves of earlier runs that were taken back
	Deleted  int       // sources and superfluous copies that were deleted
	Waiting  int       // sealed hot segments that are too young
	Foreign  int       // segments that are due but belong to another writer's log
	Problems []Problem // what needs somebody to look at it
}

func (r *Result) problem(where string, err error) {
	r.Problems = append(r.Problems, Problem{Where: where, Err: err})
}

// Resume finishes or takes back what an earlier run has left unfinished, and
// deletes the sources whose grace is over.
func (a *Agent) Resume(ctx context.Context, now time.Time) (*Result, error) {
	r := &Result{}
	a.now = now
	if err := a.writer.Refresh(ctx); err != nil {
		return r, err
	}
	return r, a.settle(ctx, r)
}

// Once resumes, then moves every segment that is due at the time now. The error
// is one that ended the run: the manifest, the context. What concerns single
// segments is in Result.Problems, and does not keep others from being moved.
func (a *Agent) Once(ctx context.Context, now time.Time, opts OnceOptions) (*Result, error) {
	if opts.DryRun {
		return a.dryRun(ctx, now, opts)
	}
	r, err := a.Resume(ctx, now)
	if err != nil {
		return r, err
	}
	clear(a.verified)
	p, err := a.plan(ctx, opts, r)
	if err != nil {
		return r, err
	}
	if err := a.deleteRedundant(ctx, p.redundant, r); err != nil {
		return r, err
	}
	for batch := range slices.Chunk(p.moves, a.opts.Batch) {
		if err := a.moveBatch(ctx, batch, r); err != nil {
			return r, err
		}
	}
	if len(a.writer.State().Moves()) > 0 {
		return r, a.settle(ctx, r) // moves that failed are taken back at once
	}
	return r, nil
}

func (a *Agent) dryRun(ctx context.Context, now time.Time, opts OnceOptions) (*Result, error) {
	r := &Result{}
	a.now = now
	if err := a.writer.Refresh(ctx); err != nil {
		return r, err
	}
	p, err := a.plan(ctx, opts, r)
	r.Planned = p.moves
	return r, err
}

// Run moves what is due, then waits for Options.Poll, until the context ends; it
// then returns nil. Errors and problems are logged and tried again.
func (a *Agent) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		r, err := a.Once(ctx, a.opts.Now(), OnceOptions{})
		if err != nil && !errors.Is(err, ctx.Err()) {
			a.log.Error("tier agent: run ended early", "error", err)
		}
		a.report(r)
		if a.opts.Observe != nil {
			a.opts.Observe(r, err)
		}
		timer.Reset(a.opts.Poll)
	}
}

// report logs a run in which something happened.
func (a *Agent) report(r *Result) {
	for _, p := range r.Problems {
		a.log.Error("tier agent: problem", "where", p.Where, "error", p.Err)
	}
	if r.Foreign > 0 {
		a.log.Warn("tier agent: segments of another writer are due; only its own agent moves them", "segments", r.Foreign)
	}
	if len(r.Moved)+r.Finished+r.Undone+r.Deleted > 0 {
		a.log.Info("tier agent: moved", "segments", len(r.Moved), "bytes", r.Bytes, "finished", r.Finished, "undone", r.Undone, "deleted", r.Deleted)
	}
}

// step runs one step between two fault points.
func (a *Agent) step(name string, do func() error) error {
	if err := a.opts.Fault(name); err != nil {
		return &stopped{err}
	}
	if err := do(); err != nil {
		return err
	}
	if err := a.opts.Fault(name + " done"); err != nil {
		return &stopped{err}
	}
	return nil
}

// stopped is an error of Options.Fault: it ends the run instead of becoming a
// problem of one segment.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }
func (s *stopped) Unwrap() error { return s.err }

// ends tells whether an error is the run's and not one segment's.
func ends(ctx context.Context, err error) bool {
	var s *stopped
	return errors.As(err, &s) || err != nil && ctx.Err() != nil
}
