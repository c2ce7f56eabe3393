package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"chronicle/query"
)

// pulse is what queue stat --watch prints: a queue and its consumers, and what has
// come since the one before.
type pulse struct {
	At        string          `json:"at"`
	Seq       uint64          `json:"seq"`                 // newest record
	Appended  float64         `json:"appended_per_second"` // records
	Consumers []consumerPulse `json:"consumers"`

	taken time.Time
}

type consumerPulse struct {
	consumerView
	Processed float64 `json:"processed_per_second"` // records
}

// takePulse looks at a queue. Rates are from the one before, which has none.
func takePulse(dir string, before *pulse, now time.Time) (*pulse, error) {
	all, h, err := views(dir)
	if err != nil {
		return nil, err
	}
	p := &pulse{At: query.FormatTime(now.UnixNano()), Seq: h.seq, Consumers: []consumerPulse{}, taken: now}
	rate := func(then, now uint64) float64 {
		return max(0, float64(int64(now-then))) / max(p.taken.Sub(before.taken).Seconds(), 1e-9)
	}
	if before != nil {
		p.Appended = rate(before.Seq, p.Seq)
	}
	for _, v := range all {
		c := consumerPulse{consumerView: v}
		if before != nil {
			for _, b := range before.Consumers {
				if b.Name == v.Name {
					c.Processed = rate(b.Seen, v.Seen)
				}
			}
		}
		p.Consumers = append(p.Consumers, c)
	}
	return p, nil
}

func (p *pulse) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(p)
	}
	line := fmt.Sprintf("%s  newest %d, appended %.0f/s", p.taken.UTC().Format(time.TimeOnly), p.Seq, p.Appended)
	for _, c := range p.Consumers {
		line += fmt.Sprintf("; %s %.0f/s, behind by %d records, %.3f s", c.Name, c.Processed, c.LagRecords, c.LagSeconds)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// watchQueue prints a line at each interval until ctx is done, which is no error.
func watchQueue(ctx context.Context, w io.Writer, dir string, interval time.Duration, asJSON bool) error {
	if interval <= 0 {
		return badUsage("--watch %v: give a time between two lines, such as 2s", interval)
	}
	before, err := takePulse(dir, nil, time.Now())
	if err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p, err := takePulse(dir, before, time.Now())
		if err != nil {
			return err
		}
		if err := p.print(w, asJSON); err != nil {
			return err
		}
		before = p
	}
}
