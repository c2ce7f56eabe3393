package main

import (
	"errors"
	"time"

	"chronicle/store/queue"
)

// head is the newest record of a queue; zero if it has none.
type head struct {
	seq  uint64
	time int64 // ns; the largest of its segment
}

func headOf(dir string) (head, error) {
	seq, at, err := queue.Newest(dir)
	return head{seq, at}, err
}

// lag tells how far a reader is behind.
type lag struct {
	Records uint64
	Time    time.Duration // of capture, from the last record processed to the newest
}

// behind gives the lag of a reader whose last record is of that sequence and time;
// 0 when it has processed none, or does not tell the time.
func (h head) behind(seq uint64, at int64) (l lag) {
	if h.seq <= seq {
		return l
	}
	l.Records = h.seq - seq
	if at > 0 {
		l.Time = max(time.Duration(h.time-at), 0)
	}
	return l
}

// timeOf gives the time of a record; false if it is gone, or not there yet.
func timeOf(dir string, seq uint64) (at int64, ok bool, err error) {
	t, err := queue.OpenTailer(dir, seq)
	if err != nil {
		return 0, false, err
	}
	r, ok, err := t.Next()
	if errors.Is(err, queue.ErrGone) {
		ok, err = false, nil
	}
	return r.Time, ok, errors.Join(err, t.Close())
}
