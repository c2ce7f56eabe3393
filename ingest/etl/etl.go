// Package etl turns the raw queue into the clean queues: it splits the one
// multiplexed stream by instrument and type, rebuilds every order book, injects
// snapshots so that any moment can be reached quickly, and marks gaps.
//
// Invariants:
//   - Same raw input, same output. Every output record, its sequence and every
//     segment cut are a function of the raw records and the [Policy] alone: no
//     clock is read and no map is walked in the data path. That is what makes
//     a restart exact: records are produced again from the last checkpoint and
//     those that a stream already holds are not appended a second time.
//   - Nothing that came in is dropped. A message that cannot be applied to a
//     book is still written to the instrument's stream, flagged.
//   - No wrong book is called good. From a gap on, every record of the affected
//     books carries FlagMaybeBadBook until a venue snapshot (or, for a new venue
//     session, the empty book) proves the book again.
//   - The first record of every book segment is a snapshot, so a book at any
//     moment inside a segment needs that segment alone.
//   - A segment is sealed only when a checkpoint lies beyond it. So a restart from
//     the checkpoint never needs a sealed one, which may be anywhere by then.
//
// Commit points: a clean record is committed by the queue's own commit word. The
// checkpoint is one atomic file; it is written after the raw queue and the streams
// were synced up to it, so neither is ever behind it. A crash before a checkpoint
// costs work on restart, never records; a crash after it costs nothing.
//
// An [ETL] is used by one goroutine; [ETL.Stats] may be called from any.
package etl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"chronicle/book"
	"chronicle/internal/durable"
	"chronicle/internal/filelock"
	"chronicle/market"
	"chronicle/store/queue"
)

// ErrLostRecords is returned when a clean stream ends before the checkpoint says
// it does: records that were durable are gone.
var ErrLostRecords = errors.New("clean stream has lost records")

// ErrDiverged is returned when a record made again on restart is not the one
// that the stream holds: the raw queue or the program has changed in between.
var ErrDiverged = errors.New("clean stream does not follow from the raw queue")

// Config says where the queues are and how the clean streams are cut.
type Config struct {
	RawDir   string // the raw queue's directory
	CleanDir string // holds <venue>/<symbol>/<stream>.q
	StateDir string // holds the checkpoint and the lock

	Policy Policy
	Groups []PolicyGroup // instruments with a policy of their own; the first group that fits counts

	// Shards divide the instruments between several ETLs of one raw queue, each with
	// a StateDir and a Consumer of its own; Shard names the one that this is. Default: none.
	Shards []Shard
	Shard  string

	// CheckpointEvery is the number of raw records between two checkpoints; it
	// bounds the work after a crash. Default 2,000,000.
	CheckpointEvery uint64

	// CheckpointInterval is the longest time between two checkpoints while there is
	// something to checkpoint. It bounds what raw retention has to keep, and how long a
	// segment that was cut waits to be sealed. Default 10 seconds.
	CheckpointInterval time.Duration

	// Consumer is the name by which the raw queue knows this ETL: retention removes
	// nothing that lies after its latest checkpoint. Default "etl".
	Consumer string

	// MaxOpen bounds the clean queues that are open at a time, at two mappings each; a
	// process may have 65,530. Below the number of busy streams (two an instrument) they
	// are closed and opened all the time. Default DefaultMaxOpen.
	MaxOpen int

	// NoSync leaves out every fsync of the clean queues: for tests and benchmarks,
	// where nobody pulls the plug. Default: false.
	NoSync bool

	Log *slog.Logger // default: discards
}

// ETL is the pipeline from one raw queue to its clean queues.
type ETL struct {
	cfg      Config
	log      *slog.Logger
	lock     *filelock.Lock
	raw      *queue.Tailer
	passed   *queue.Consumer // what the raw queue need not keep for us
	policies *policies       // in force now
	shards   *shards
	group    *queue.Group // the clean queues
	carry    *carry

	// Owned by the pipeline's goroutine; all of it is in the checkpoint.
	rawSeq      uint64 // last raw record processed
	rawID       string // of the raw queue that rawSeq is a place in
	rolled      int64  // capture time up to which segments were cut; 0 before the first record
	rollReset   bool   // a source began: its clock may be an older one
	ids         bindings
	instruments []*instrument // in order of first definition
	bySymbol    map[market.SymbolID]*instrument
	channels    map[string]*channel
	source      sourceMark // the latest source_begin, see adopt.go
	remake      uint64     // raw record up to which streams that were there before us are made again

	ahead           ahead
	behind          behind
	rollAt          int64 // capture time at which segments may be cut next
	sinceCheckpoint uint64
	checkpointed    time.Time // when, by the monotonic clock; not in the data path
	failed          error     // what ended the pipeline inside a record: its state is of no moment
	scratch         scratch
	n               Stats // counted so far

	mu    sync.Mutex
	shown Stats // guarded by mu: what Stats gives
}

// scratch holds buffers that are reused from record to record.
type scratch struct {
	event    market.BookEvent
	resolver book.Resolver
	snapshot market.BookEvent
	trade    market.Trade
	quote    market.Quote
	status   market.Status
}

// DefaultMaxOpen leaves a quarter of a process's mappings to others.
const DefaultMaxOpen = 24_000

// Open takes the ETL's lock, loads the checkpoint if there is one, and attaches
// to the raw queue. If a policy has changed it first processes, under the old
// one, all that the raw queue holds.
func Open(ctx context.Context, cfg Config) (*ETL, error) {
	if cfg.CheckpointEvery == 0 {
		cfg.CheckpointEvery = 2_000_000
	}
	if cfg.CheckpointInterval <= 0 {
		cfg.CheckpointInterval = 10 * time.Second
	}
	if cfg.Consumer == "" {
		cfg.Consumer = "etl"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxOpen <= 0 {
		cfg.MaxOpen = DefaultMaxOpen
	}
	want, err := newPolicies(cfg.Policy, cfg.Groups)
	if err != nil {
		return nil, fmt.Errorf("etl: %w", err)
	}
	shards, err := newShards(cfg.Shards, cfg.Shard)
	if err != nil {
		return nil, fmt.Errorf("etl: %w", err)
	}
	if err := durable.MkdirAll(cfg.StateDir, 0o755); err != nil {
		return nil, fmt.Errorf("etl: %w", err)
	}
	lock, err := filelock.Acquire(filepath.Join(cfg.StateDir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("etl: %w", err)
	}
	e := &ETL{
		cfg: cfg, log: cfg.Log, lock: lock, policies: want, shards: shards,
		group:    queue.NewGroup(queue.GroupOptions{MaxOpen: cfg.MaxOpen, NoSync: cfg.NoSync}),
		bySymbol: map[market.SymbolID]*instrument{},
		channels: map[string]*channel{},
	}
	if err := e.start(ctx, want); err != nil {
		return nil, errors.Join(err, e.abandon())
	}
	return e, nil
}

func (e *ETL) start(ctx context.Context, want *policies) error {
	var err error
	if e.carry, err = openCarry(filepath.Join(e.cfg.StateDir, "books.q"), e.cfg.NoSync); err != nil {
		return err
	}
	found, err := e.loadCheckpoint()
	if err != nil {
		return err
	}
	if e.passed, err = queue.RegisterConsumer(e.cfg.RawDir, e.cfg.Consumer); err != nil {
		return fmt.Errorf("etl: %w", err)
	}
	if found {
		err = e.sameRawQueue()
	} else {
		err = e.beginWithOldest()
	}
	if err != nil {
		return err
	}
	// The raw queue keeps what comes after the checkpoint. A position beyond it (the
	// checkpoint is an older copy, or was deleted) is taken back.
	e.passed.Rewind(e.rawSeq + 1)
	e.checkpointed = time.Now()
	if e.raw, err = queue.OpenTailer(e.cfg.RawDir, e.rawSeq+1); err != nil {
		return fmt.Errorf("etl: raw queue: %w", err)
	}
	if found && !e.policies.equal(want) {
		if err := e.CatchUp(ctx); err != nil {
			return err
		}
		e.enforce(want)
		return e.Checkpoint()
	}
	if !found {
		return e.Checkpoint() // pins the policy before the first record is made
	}
	return nil
}

// enforce puts policies in force.
func (e *ETL) enforce(p *policies) {
	e.policies = p
	for _, inst := range e.instruments {
		inst.policy = p.of(inst.def.SymbolID())
	}
	e.rollAt = 0
	if e.rolled > 0 {
		e.rollAt = p.nextRoll(e.rolled)
	}
}

// beginWithOldest begins, for want of a checkpoint, with the oldest record that
// the raw queue holds. Where clean streams are there already they must be made
// again from the very first.
func (e *ETL) beginWithOldest() error {
	oldest, next, err := queue.Bounds(e.cfg.RawDir)
	if err == nil {
		e.rawID, err = queue.ID(e.cfg.RawDir)
	}
	if err != nil {
		return fmt.Errorf("etl: raw queue: %w", err)
	}
	streams, err := filepath.Glob(filepath.Join(e.cfg.CleanDir, "*", "*", "*.q"))
	if err != nil {
		return fmt.Errorf("etl: %w", err)
	}
	if len(streams) > 0 {
		e.remake = next - 1
	}
	if oldest <= 1 {
		return nil
	}
	if len(streams) > 0 {
		return fmt.Errorf("etl: there is no checkpoint in %s, and the raw queue begins with record %d, after the first: bring the checkpoint back, or move %s away to begin anew from there: %w",
			e.cfg.StateDir, oldest, e.cfg.CleanDir, ErrLostRecords)
	}
	e.log.Warn("the raw queue's beginning is gone: starting with its oldest record", "oldest", oldest)
	e.rawSeq = oldest - 1
	return nil
}

// CatchUp processes what the raw queue holds now and returns.
func (e *ETL) CatchUp(ctx context.Context) error {
	if err := e.catchUp(ctx); err != nil {
		return err
	}
	if err := e.raw.Recheck(); err != nil {
		return fmt.Errorf("etl: raw queue: %w", err)
	}
	return e.catchUp(ctx)
}

func (e *ETL) catchUp(ctx context.Context) error {
	defer e.publish()
	for n := 0; ; n++ {
		if n&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		ok, err := e.step()
		if err != nil || !ok {
			return err
		}
	}
}

// Run follows the raw queue until ctx is done, which is its normal end.
func (e *ETL) Run(ctx context.Context) error {
	e.behind.open(e)
	defer e.behind.close()
	for {
		if err := e.catchUp(ctx); err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		if e.checkpointDue() {
			if err := e.Checkpoint(); err != nil {
				return err
			}
		}
		if err := e.raw.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("etl: raw queue: %w", err)
		}
	}
}

// step processes one raw record; it returns false when there is none yet.
func (e *ETL) step() (bool, error) {
	if e.failed != nil {
		return false, e.failed
	}
	r, err := e.ahead.next(e)
	if err != nil {
		return false, fmt.Errorf("etl: raw queue after record %d: %w", e.rawSeq, err)
	}
	if r == nil {
		return false, nil
	}
	if r.Seq != e.rawSeq+1 {
		return false, fmt.Errorf("etl: raw queue gave record %d after %d: %w", r.Seq, e.rawSeq, queue.ErrCorrupt)
	}
	if err := e.process(r); err != nil {
		e.failed = fmt.Errorf("etl: raw record %d (%v): %w", r.Seq, market.Kind(r.Kind), err)
		return false, e.failed
	}
	e.rawSeq, e.n.RawTime = r.Seq, r.Time
	e.n.Records++
	e.sinceCheckpoint++
	due := e.sinceCheckpoint >= e.cfg.CheckpointEvery
	if e.n.Records%lookEvery == 0 {
		e.ahead.look(e.instruments)
	}
	if e.n.Records&1023 == 0 {
		e.publish()
		due = due || e.checkpointDue()
	}
	if due {
		return true, e.Checkpoint()
	}
	return true, nil
}

// checkpointDue tells whether the latest checkpoint is old, there is something new,
// and most of it is on disk.
func (e *ETL) checkpointDue() bool {
	return e.sinceCheckpoint > 0 && time.Since(e.checkpointed) >= e.cfg.CheckpointInterval && e.behind.written()
}

// process applies one raw record to every stream that it concerns.
func (e *ETL) process(r *queue.Record) error {
	if err := e.rollByTime(r.Time); err != nil {
		return err
	}
	switch market.Kind(r.Kind) {
	case market.KindSession:
		return e.session(r)
	case market.KindDefinition:
		return e.define(r)
	case market.KindGap:
		return e.rawGap(r)
	}
	inst := e.ids.get(r.Tag)
	switch inst {
	case nil:
		return fmt.Errorf("instrument id %d was never defined: %w", r.Tag, market.ErrCorrupt)
	case foreign:
		return nil
	}
	if !e.admits(inst, r) {
		e.n.Behind++
		return nil
	}
	switch market.Kind(r.Kind) {
	case market.KindBook, market.KindSnapshot:
		return e.bookRecord(inst, r)
	case market.KindTrade:
		return e.trade(inst, r)
	case market.KindQuote:
		return e.quote(inst, r)
	case market.KindStatus:
		return e.status(inst, r)
	}
	return fmt.Errorf("unknown kind %d: %w", r.Kind, market.ErrCorrupt)
}

// admits tells whether the record may go to its stream: not when the source is
// older than what the stream holds. Status messages, which make no state, always may.
func (e *ETL) admits(inst *instrument, r *queue.Record) bool {
	index := 0
	switch market.Kind(r.Kind) {
	case market.KindBook, market.KindSnapshot:
		index = bookStream
	case market.KindTrade:
		index = tradeStream
	case market.KindQuote:
		index = quoteStream
	default:
		return true
	}
	s := inst.streams[index]
	known := s == nil || s.begun
	ok := s.admits(r.Time)
	if !ok && !known {
		e.log.Error("this source is older than what the archive holds of the symbol and is left out: replay recordings in order of time, or into a root of their own",
			"symbol", inst.def.SymbolID().String(), "stream", s.name, "source_begins", r.Time, "archive_ends", s.oldTime)
	}
	return ok
}

// rollByTime cuts the segments that are due for it when capture time enters a new
// roll interval, and all at 0:00 UTC. A time that runs backwards cuts nothing; a
// new source may start an older clock.
func (e *ETL) rollByTime(t int64) error {
	if t <= 0 {
		return nil // a session record of a recording has no time of its own
	}
	older := e.rollReset && t < e.rolled
	e.rollReset = false
	if t < e.rollAt && !older {
		return nil
	}
	from := e.rolled
	e.rolled, e.rollAt = t, e.policies.nextRoll(t)
	if from == 0 || older {
		return nil
	}
	for _, inst := range e.instruments {
		may, must := inst.policy.rollDue(from, t)
		for _, s := range inst.streams {
			if s == nil || !must && !(may && s.bytes >= inst.policy.RollMinBytes) {
				continue
			}
			if err := s.roll(); err != nil {
				return err
			}
		}
	}
	return nil
}

// rollAll ends the current segment of every stream.
func (e *ETL) rollAll() error {
	for _, inst := range e.instruments {
		for _, s := range inst.streams {
			if s == nil {
				continue
			}
			if err := s.roll(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close writes a checkpoint, seals every segment that was cut, and closes the
// streams, leaving the last segments open for the next start. After a failure inside a record there is no checkpoint
// to write: the record's streams are between two states, and the next start makes
// what is missing from the last checkpoint.
func (e *ETL) Close() error {
	if e.failed != nil {
		return e.abandon()
	}
	err := e.Checkpoint()
	if err == nil {
		err = e.group.Wait()
	}
	return errors.Join(err, e.abandon())
}

// abandon releases everything without a checkpoint.
func (e *ETL) abandon() error {
	errs := []error{e.group.Close()}
	if e.carry != nil {
		errs = append(errs, e.carry.close())
	}
	if e.raw != nil {
		errs = append(errs, e.raw.Close())
	}
	if e.passed != nil {
		errs = append(errs, e.passed.Close())
	}
	return errors.Join(append(errs, e.lock.Release())...)
}
