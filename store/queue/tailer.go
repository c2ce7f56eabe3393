package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// TailerOptions say how a tailer waits. The zero value is usable.
type TailerOptions struct {
	// Busy makes Wait do nothing but look: it never yields the processor nor
	// sleeps, and takes all of one core for as long as it waits. A record is seen
	// one look after its commit, a few nanoseconds. It is for a process that has a
	// core to itself; GOMAXPROCS must be 2 or more if it does anything else. The
	// other options then mean nothing. Default false.
	Busy bool

	// Spin is how often Wait looks for a record before it first yields the
	// processor. Default 2000; negative for not at all.
	Spin int

	// Yield is how often it then looks, yielding each time, before it sleeps.
	// Default 100; negative for not at all.
	Yield int

	// MinSleep and MaxSleep bound its sleeps, which double from the one to the
	// other. Defaults 5 µs and 50 µs. A longer MaxSleep saves processor time and
	// delays the wake-up by as much.
	MinSleep, MaxSleep time.Duration

	// IdleAfter is for how long nothing must have come before it sleeps for
	// IdleSleep at a time, which costs next to no processor time. Defaults 1 s and
	// 1 ms. Where even the first record after a pause is urgent, set IdleSleep to
	// MaxSleep.
	IdleAfter, IdleSleep time.Duration
}

func (o TailerOptions) withDefaults() (TailerOptions, error) {
	if o.Spin == 0 {
		o.Spin = 2000
	}
	if o.Yield == 0 {
		o.Yield = 100
	}
	if o.MinSleep == 0 {
		o.MinSleep = 5 * time.Microsecond
	}
	if o.MaxSleep == 0 {
		o.MaxSleep = max(50*time.Microsecond, o.MinSleep)
	}
	if o.IdleAfter == 0 {
		o.IdleAfter = time.Second
	}
	if o.IdleSleep == 0 {
		o.IdleSleep = max(time.Millisecond, o.MaxSleep)
	}
	if o.MinSleep < 0 || o.MaxSleep < o.MinSleep || o.IdleSleep < o.MinSleep || o.IdleAfter < 0 {
		return o, fmt.Errorf("tailer options MinSleep %v, MaxSleep %v, IdleAfter %v, IdleSleep %v: give 0 < MinSleep <= MaxSleep, IdleSleep >= MinSleep, IdleAfter > 0",
			o.MinSleep, o.MaxSleep, o.IdleAfter, o.IdleSleep)
	}
	return o, nil
}

// Tailer follows a queue: it reads record after record, from segment to segment,
// and waits for new ones. It is for one goroutine of any process; it takes no
// lock, writes nothing, and costs the writer nothing.
type Tailer struct {
	dir     string
	options TailerOptions
	next    uint64 // the record wanted; 0 = the oldest there is
	after   uint64 // between segments: where the next one begins; 0 = not known
	seg     *Segment
	cur     *Cursor
	table   *tableView    // nil while there is none
	seen    uint64        // what the table's newest segment was when the files were listed
	idle    uint          // empty looks in a row
	slept   time.Duration // since the latest record
	timer   *time.Timer   // for sleeps of a millisecond and more; nil before the first
	closed  bool

	passOver bool // records whose time, by clock, is before since; see start.go
	clock    Clock
	since    int64
}

// OpenTailer opens a tailer that begins with record from; 0 and 1 mean the
// oldest there is. A record that is not there yet is waited for. One that is no
// longer there is [ErrGone], from Next; the directory must be there.
//
// The other ways to begin are OpenTailerLive and OpenTailerTime, in start.go.
func OpenTailer(dir string, from uint64) (*Tailer, error) {
	return OpenTailerOptions(dir, from, TailerOptions{})
}

// OpenTailerOptions is OpenTailer with a say in how to wait.
func OpenTailerOptions(dir string, from uint64, opts TailerOptions) (*Tailer, error) {
	if from == 1 {
		from = 0
	}
	t, err := newTailer(dir, opts)
	if err != nil {
		return nil, err
	}
	t.next = from
	return t, nil
}

// newTailer gives a tailer that is nowhere yet.
func newTailer(dir string, opts TailerOptions) (*Tailer, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("tail queue: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("tail queue %s: not a directory", dir)
	}
	return &Tailer{dir: dir, options: opts}, nil
}

// Next gives the next record, whose body is valid until the following call.
// False without an error means that nothing more is committed yet. After an error
// the tailer stays where it is: [ErrGone] says from where the queue can still be
// read, [ErrCorrupt] that what is there cannot be. It allocates only when it goes
// from one segment to the next.
func (t *Tailer) Next() (Record, bool, error) {
	if t.closed {
		return Record{}, false, fmt.Errorf("tail queue %s: %w", t.dir, ErrClosed)
	}
	for {
		if t.cur == nil {
			if ok, err := t.open(); !ok {
				return Record{}, false, err
			}
		}
		r, err := t.cur.Next()
		if err == nil {
			t.next, t.idle, t.slept = r.Seq+1, 0, 0
			if t.passOver && t.before(&r) {
				continue
			}
			return r, true, nil
		}
		if err != io.EOF {
			return Record{}, false, err
		}
		if !t.cur.Ended() {
			return Record{}, false, t.checkStale()
		}
		if err := t.leave(); err != nil {
			return Record{}, false, err
		}
	}
}

// leave goes on from a segment that has ended.
func (t *Tailer) leave() error {
	end := t.cur.seq
	t.next = max(t.next, end)
	return t.drop(end)
}

// drop closes the current segment; the next one begins with record after, 0 if
// that is not known.
func (t *Tailer) drop(after uint64) error {
	seg := t.seg
	t.seg, t.cur, t.after, t.idle = nil, nil, after, 0
	if seg == nil {
		return nil
	}
	return seg.Close()
}

// lookAgain is how many empty looks in a row make a tailer ask the file system.
const lookAgain = 256

// checkStale leaves a segment in which nothing comes because it is no longer
// the queue's: an empty one that a recovering writer has discarded.
func (t *Tailer) checkStale() error {
	if t.idle++; t.idle%lookAgain != 0 {
		return nil
	}
	return t.leaveUnlinked()
}

// Recheck makes the next call of Next ask the file system whether the queue goes on
// elsewhere, for a caller that has come to the end and does not Wait, which asks ten
// times a second: a writer that recovers the queue may have replaced the last segment.
func (t *Tailer) Recheck() error {
	if t.closed {
		return fmt.Errorf("tail queue %s: %w", t.dir, ErrClosed)
	}
	return t.ask()
}

func (t *Tailer) leaveUnlinked() error {
	if t.seg == nil || t.seg.live == nil {
		return nil
	}
	gone, err := t.seg.live.unlinked()
	if err != nil || !gone {
		return err
	}
	if mark, err := t.cur.src.word(t.cur.off); err != nil || mark != 0 {
		return err // it ended, and was removed since: read on
	}
	return t.drop(0)
}

// NextSeq gives the sequence of the record that Next will give; 0 while that is
// the oldest one and there is none yet.
func (t *Tailer) NextSeq() uint64 { return t.next }

// Close ends the use of the tailer and of what Next returned.
func (t *Tailer) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	err := t.drop(0)
	if t.table != nil {
		err = errors.Join(err, t.table.close())
	}
	return err
}
