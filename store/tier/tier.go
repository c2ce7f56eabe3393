// Package tier moves sealed segments out of the hot queues into the tiers of the
// archive, and on from warm to cold, losing nothing and counting nothing twice
// wherever it is stopped.
//
// # The life of a move
//
// Every step is idempotent, and the manifest log records it before and after:
//
//	sealed       the segment lies in its queue, or at rest in a warmer tier
//	verified     every checksum of the source has been read and is right
//	intent       log: from here to there. From now on readers know both places
//	transferred  one file system: one rename. Otherwise: copied under a temporary
//	             name, fsynced, read back, compared by size and hash, linked
//	committed    log: add (or move). THE COMMIT POINT: the segment is there
//	deleted      only after a copy: the source is removed, after a grace ...
//	forgotten    ... and the log says so (delete)
//
// A crash leaves at most one of these states, and [Agent.Resume], which every run
// begins with, ends it by looking at what is where:
//
//	intent, target whole      commit; the source, if it is still there, is a leftover
//	intent, target absent     abort; the source is what it was before
//	intent, target damaged    if the source is whole: target deleted, abort
//	                          otherwise a problem, and nothing is touched
//	committed, source there   leftover: deleted once the target has been verified
//
// So a segment is at every instant in its queue, or where its row says, or, while
// an intent is open, at the one place or the other: readers that list the queue
// first and refresh the manifest then cannot miss it.
//
// # Invariants
//
//   - No file is deleted before another copy, verified by reading it, is in the log.
//   - A segment that does not verify is never moved. It is reported, and the others
//     go on.
//   - Only sealed segments are touched. Queues are read without their lock: sealed
//     segments never change, and the queue keeps its numbering without them.
//
// # Concurrency
//
// One agent per manifest writer, enforced by the writer's lock: a second one gets
// an error that names the first one's process. An Agent has one owner at a time.
package tier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"chronicle/store/blob"
	"chronicle/store/manifest"
)

// Policy is a tier and when segments come to it.
type Policy struct {
	blob.Tier
	// After is the age at which a segment comes to this tier, measured from its
	// last ts_recv. Default: 2 h for the first tier, 7 days for the second. It must
	// grow from tier to tier.
	After time.Duration
}

// Options are the options of Open.
type Options struct {
	// Clean is the folder of the clean queues, <root>/queues/clean.
	Clean string
	// Manifest is the folder of the manifest, <root>/manifest.
	Manifest string
	// Writer names this archive writer's own log. It must stay the same from run
	// to run: an agent moves on only what its own log has. Default "main".
	Writer string
	// Tiers are the tiers from warm to cold, at least one.
	Tiers []Policy
	// Grace is how long a source stays after it has been copied, for readers that
	// have located it and not opened it yet. Default 0: deleted at once.
	Grace time.Duration
	// Poll is how often Run looks for work. Default 10 s.
	Poll time.Duration
	// Batch is how many segments are moved between two commits. Default 64.
	Batch int
	// Now gives the time to Run. Default: time.Now.
	Now func() time.Time
	// Observe, if given, is called by Run after each look for work, with what was
	// done and the error that ended it early.
	Observe func(*Result, error)
	// Log takes what happens. Default: nothing is logged.
	Log *slog.Logger
	// Fault, if given, is called before each step with its name and after it with
	// the name and " done". An error it returns ends the run on the spot, as a
	// crash would. It is for tests.
	Fault func(step string) error
}

var defaultAfter = []time.Duration{2 * time.Hour, 7 * 24 * time.Hour}

// fill sets the defaults and validates.
func (o *Options) fill() error {
	if o.Writer == "" {
		o.Writer = "main"
	}
	if o.Poll == 0 {
		o.Poll = 10 * time.Second
	}
	if o.Batch == 0 {
		o.Batch = 64
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fault == nil {
		o.Fault = func(string) error { return nil }
	}
	if o.Clean == "" || o.Manifest == "" {
		return errors.New("tier options: Clean and Manifest must be given")
	}
	if o.Grace < 0 || o.Poll < 0 || o.Batch < 0 {
		return errors.New("tier options: Grace, Poll and Batch must not be negative")
	}
	return o.fillTiers()
}

func (o *Options) fillTiers() error {
	if len(o.Tiers) == 0 {
		return errors.New("tier options: Tiers must name at least one tier")
	}
	o.Tiers = append([]Policy(nil), o.Tiers...)
	names := map[string]bool{manifest.Hot: true}
	for i := range o.Tiers {
		p := &o.Tiers[i]
		if p.After == 0 && i < len(defaultAfter) {
			p.After = defaultAfter[i]
		}
		switch {
		case p.Name == "" || p.Store == nil:
			return fmt.Errorf("tier options: Tiers[%d] must have a name and a store", i)
		case names[p.Name]:
			return fmt.Errorf("tier options: Tiers[%d]: the name %q is taken", i, p.Name)
		case p.After <= 0 || i > 0 && p.After <= o.Tiers[i-1].After:
			return fmt.Errorf("tier options: tier %s: After is %v: give more than %v", p.Name, p.After, before(o.Tiers, i))
		}
		names[p.Name] = true
	}
	return nil
}

func before(tiers []Policy, i int) time.Duration {
	if i == 0 {
		return 0
	}
	return tiers[i-1].After
}

// Agent moves segments. It has one owner at a time.
type Agent struct {
	opts     Options
	log      *slog.Logger
	writer   *manifest.Writer
	stores   map[string]blob.Store
	now      time.Time                   // of the run under way
	seen     map[string]manifest.Segment // rows of sealed hot segments, by path
	bad      map[string]badFile          // hot segments that did not verify, by path
	verified map[manifest.Ref]bool       // archived in this run: read back already
}

// Open takes the writer's lock, replays the manifest, and makes sure that the
// tiers are there: a tier that the manifest knows must be, with its marker; one
// that it does not know yet is made. It moves nothing.
func Open(ctx context.Context, opts Options) (*Agent, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	a := &Agent{opts: opts, log: opts.Log, stores: map[string]blob.Store{}, seen: map[string]manifest.Segment{}, bad: map[string]badFile{}, verified: map[manifest.Ref]bool{}}
	var err error
	a.writer, err = manifest.OpenWriter(ctx, opts.Manifest, opts.Writer, manifest.WriterOptions{
		Now:   func() time.Time { return a.now },
		Fault: opts.Fault,
	})
	if err != nil {
		return nil, fmt.Errorf("start tier agent: %w", err)
	}
	if err := a.openTiers(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start tier agent: %w", err), a.writer.Close())
	}
	return a, nil
}

func (a *Agent) openTiers(ctx context.Context) error {
	for _, t := range a.opts.Tiers {
		if err := ensure(ctx, t.Tier, a.writer.State().Knows(t.Name)); err != nil {
			return err
		}
		a.stores[t.Name] = t.Store
	}
	for _, name := range a.writer.State().Tiers() {
		if a.stores[name] == nil {
			return fmt.Errorf("the archive has segments in tier %s, which is not configured: add it", name)
		}
	}
	return nil
}

// ensure checks a tier, and makes it if it is new.
func ensure(ctx context.Context, t blob.Tier, known bool) error {
	err := t.Store.Check(ctx)
	creator, can := t.Store.(blob.Creator)
	if err == nil || known || !can || !errors.Is(err, blob.ErrNoTier) {
		return err
	}
	return creator.Create(ctx)
}

// Close gives the lock back. What is under way stays as it is, for the next
// agent's Resume.
func (a *Agent) Close() error { return a.writer.Close() }
