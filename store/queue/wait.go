package queue

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Wait returns when Next may have something to say: a record, or an error. It
// spins, then yields, then sleeps, as TailerOptions say; the writer is not
// involved. It returns the context's error when that is cancelled, and may return
// early without cause. It allocates nothing.
func (t *Tailer) Wait(ctx context.Context) error {
	if t.closed {
		return fmt.Errorf("wait on queue %s: %w", t.dir, ErrClosed)
	}
	if t.options.Busy {
		return t.spin(ctx)
	}
	for range t.options.Spin {
		if t.something() {
			return nil
		}
	}
	for range t.options.Yield {
		if t.something() {
			return nil
		}
		runtime.Gosched()
	}
	return t.sleep(ctx)
}

// busyLooks is how often a busy tailer looks before it sees to the context and
// the clock, neither of which needs a system call.
const busyLooks = 4096

// spin waits without giving the processor away. Now and then it asks the file
// system, as sleep does.
func (t *Tailer) spin(ctx context.Context) error {
	for asked := time.Now(); time.Since(asked) < askEvery; {
		for range busyLooks {
			if t.something() {
				return nil
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return t.ask()
}

// sleep waits in sleeps that double, asking the file system too now and then.
func (t *Tailer) sleep(ctx context.Context) error {
	pause := t.options.MinSleep
	for asked := time.Now(); time.Since(asked) < askEvery; pause = min(2*pause, t.options.MaxSleep) {
		if t.slept >= t.options.IdleAfter {
			pause = t.options.IdleSleep
		}
		if err := t.nap(ctx, pause); err != nil {
			return err
		}
		t.slept += pause
		if t.something() {
			return nil
		}
	}
	return t.ask()
}

// nap sleeps for d, or less if ctx is cancelled and d is long. Go's own timers
// are no finer than a millisecond in an idle process; the kernel's are, if asked.
func (t *Tailer) nap(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d < time.Millisecond {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)      // ns, of this thread; without it 50 µs more
		_ = unix.Nanosleep(&unix.Timespec{Nsec: int64(d)}, nil) // woken early by a signal: look early
		return nil
	}
	if t.timer == nil {
		t.timer = time.NewTimer(d)
	} else {
		t.timer.Reset(d)
	}
	defer t.timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.timer.C:
		return nil
	}
}

// askEvery bounds how long a waiting tailer goes by the mapped words alone. What
// they cannot show (a segment discarded, a table replaced) it sees after that.
const askEvery = 100 * time.Millisecond

// ask makes the next look go to the file system.
func (t *Tailer) ask() error {
	t.idle = lookAgain - 1
	return t.leaveUnlinked()
}

// something tells, at the cost of one load, whether there may be something.
func (t *Tailer) something() bool {
	if t.cur != nil {
		mark, err := t.cur.src.word(t.cur.off)
		return mark != 0 || err != nil
	}
	if t.table == nil {
		return false
	}
	if newest := t.table.newest(); t.after != 0 {
		return newest >= t.after
	} else {
		return newest != t.seen
	}
}
