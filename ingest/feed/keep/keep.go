// Package keep looks after a raw queue beside the feed that writes it: it removes
// what is old and passed, and raises an alarm while there is still time to do
// something.
//
//	feed ──append──▶ raw queue ◀──every 10 s── Keeper: retention, sizes, free space
//	                                              └──▶ log, State (metrics, /healthz)
//
// Reasons for an alarm:
//
//	free_space       less is left of the file system than Limits.Below gives
//	consumer_behind  the queue is larger than its limit: a consumer has not passed
//	                 what is due, or was never there
//	retention        retention itself fails
//
// An alarm is one error in the log when it is raised and one info when it is over,
// however long it lasts. The feed hears of nothing: it goes on appending until the
// disk is really full.
//
// A Keeper is run by one goroutine; State may be called from any.
package keep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"chronicle/store/queue"
)

// The reasons for an alarm.
const (
	FreeSpace      = "free_space"
	ConsumerBehind = "consumer_behind"
	Retention      = "retention"
)

// Reasons lists them.
var Reasons = []string{FreeSpace, ConsumerBehind, Retention}

// Limits of a raw queue.
type Limits struct {
	MaxAge       time.Duration // 0: kept for ever
	MaxBytes     int64         // 0: as large as it likes
	Require      []string      // consumers without which nothing is removed
	SegmentBytes int64         // size of the segments
	AlarmFree    int64         // free bytes below which there is an alarm; default see Below
}

// Below gives the free bytes below which there is an alarm, on a file system of
// total bytes: what the limits say, or the larger of 5 % and 4 segments.
func (l *Limits) Below(total int64) int64 {
	if l.AlarmFree > 0 {
		return l.AlarmFree
	}
	return max(total/20, 4*l.SegmentBytes)
}

// Space is what a file system has, in bytes.
type Space struct {
	Free, Total int64 // Free is what a process without privileges can still take
}

// SpaceOf asks the file system that dir is on.
func SpaceOf(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return Space{Free: int64(st.Bavail) * st.Bsize, Total: int64(st.Blocks) * st.Bsize}, nil
}

// Alarm is an alarm in force.
type Alarm struct {
	Reason string
	Since  time.Time
	Detail string // for people: how it was when it was looked at last
}

// State is what a keeper knows.
type State struct {
	Segments     int
	Bytes        int64 // of all segments, the live one's reserved space included
	Space        Space
	Below        int64         // free bytes below which there is an alarm
	FullIn       time.Duration // until nothing is free, at the pace of the last minutes; 0: not known, or never
	Alarms       []Alarm
	Removed      uint64 // segments removed so far
	RemovedBytes uint64
}

// Options say what to look after.
type Options struct {
	Dir    string // of the raw queue
	Limits Limits
	Now    func() time.Time                // default: time.Now
	Space  func(dir string) (Space, error) // default: SpaceOf
	Log    *slog.Logger                    // default: discard
}

// Keeper looks after one raw queue.
type Keeper struct {
	opts  Options
	pace  pace
	waits string // for whom retention waited last, for the log

	mu    sync.Mutex
	state State // guarded by mu
}

// New makes a keeper.
func New(opts Options) *Keeper {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Space == nil {
		opts.Space = SpaceOf
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{opts: opts}
}

// State gives what was found last.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state
	s.Alarms = append([]Alarm(nil), s.Alarms...)
	return s
}

// every is the time between two looks.
const every = 10 * time.Second

// Run looks at once and then every ten seconds, until ctx is done. What cannot be
// done is logged and tried again.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		k.Look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Look removes what is due, and looks at what is left.
func (k *Keeper) Look() {
	now := k.opts.Now()
	l := &k.opts.Limits
	var result queue.RetainResult
	var failed error
	if l.MaxAge > 0 || l.MaxBytes > 0 {
		result, failed = queue.Retain(k.opts.Dir, queue.Retention{MaxAge: l.MaxAge, MaxBytes: l.MaxBytes, Require: l.Require, Now: now})
		k.tell(&result, failed)
	}
	segments, bytes, err := queue.Usage(k.opts.Dir)
	space, spaceErr := k.opts.Space(k.opts.Dir)
	if err = errors.Join(err, spaceErr); err != nil {
		k.opts.Log.Warn("the raw queue's space is not known", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.state
	s.Removed += uint64(len(result.Removed))
	s.RemovedBytes += uint64(result.Bytes)
	k.judge(now, Retention, failed != nil, fmt.Sprint(failed))
	if err != nil {
		return
	}
	s.Segments, s.Bytes, s.Space, s.Below = segments, bytes, space, l.Below(space.Total)
	s.FullIn = k.pace.add(now, space.Free)
	if failed == nil {
		detail := l.behind(s, append(result.HeldBy, result.Missing...))
		k.judge(now, ConsumerBehind, detail != "", detail)
	}
	below := s.Below
	if k.raised(FreeSpace) {
		below += below / 20 // not on and off at the limit
	}
	k.judge(now, FreeSpace, space.Free < below, s.lowText()+fullText(s.FullIn))
}

// behind tells what is wrong with a queue that some consumers hold; empty if nothing
// is. The newest segment stays anyway.
func (l *Limits) behind(s *State, holders []string) string {
	if l.MaxBytes <= 0 || s.Bytes <= l.MaxBytes || s.Segments < 2 || len(holders) == 0 {
		return ""
	}
	return fmt.Sprintf("the raw queue has %d bytes, more than its limit of %d, and nothing goes before these consumers have passed it: %s",
		s.Bytes, l.MaxBytes, strings.Join(holders, ", "))
}

func (s *State) lowText() string {
	return fmt.Sprintf("%d bytes are free, the alarm begins below %d", s.Space.Free, s.Below)
}

// tell logs what retention has done, and for whom it waits when that changes.
func (k *Keeper) tell(r *queue.RetainResult, err error) {
	if len(r.Removed) > 0 {
		k.opts.Log.Info("raw retention", "segments_removed", len(r.Removed), "bytes", r.Bytes)
	}
	if err != nil {
		return // an alarm
	}
	waits := fmt.Sprint(r.HeldBy, r.Missing)
	if waits == k.waits {
		return
	}
	k.waits = waits
	switch {
	case r.Held > 0:
		k.opts.Log.Warn("raw retention waits: the raw queue grows", "segments_due", r.Held, "held_by", r.HeldBy)
	case len(r.Missing) > 0:
		k.opts.Log.Info("raw retention waits for consumers that have never been there", "consumers", r.Missing)
	}
}

func fullText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return ": full in " + d.String() + " at the present pace"
}

func (k *Keeper) raised(reason string) bool {
	for _, a := range k.state.Alarms {
		if a.Reason == reason {
			return true
		}
	}
	return false
}

// judge raises, keeps or ends an alarm. The lock is held.
func (k *Keeper) judge(now time.Time, reason string, on bool, detail string) {
	for i := range k.state.Alarms {
		a := &k.state.Alarms[i]
		switch {
		case a.Reason != reason:
			continue
		case on:
			a.Detail = detail
		default:
			k.opts.Log.Info("alarm is over", "alarm", reason, "lasted", now.Sub(a.Since).Round(time.Second))
			k.state.Alarms = append(k.state.Alarms[:i], k.state.Alarms[i+1:]...)
		}
		return
	}
	if on {
		k.opts.Log.Error("ALARM: the raw queue is running out of room", "alarm", reason, "detail", detail, "queue", k.opts.Dir)
		k.state.Alarms = append(k.state.Alarms, Alarm{reason, now, detail})
	}
}
