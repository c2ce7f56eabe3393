package audit

import (
	"context"
	"time"
)

// burst is how long the auditor works before it sleeps.
const burst = 500 * time.Microsecond

// pacer keeps work down to a share of the time.
type pacer struct {
	share float64
	clock clock
	began time.Time // of the work since the last sleep
}

// clock is the time, and a way to let it pass. Tests have one of their own.
type clock struct {
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration) error
}

var wallClock = clock{now: time.Now, sleep: func(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}}

// rest sleeps if there was work enough, for as long as the share demands. It is to
// be called every few microseconds of work.
func (p *pacer) rest(ctx context.Context) error {
	worked := p.clock.now().Sub(p.began)
	if worked < burst {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if d := time.Duration(float64(worked) * (1/p.share - 1)); d > 0 {
		if err := p.clock.sleep(ctx, d); err != nil {
			return err
		}
	}
	p.began = p.clock.now()
	return nil
}

// idle sleeps for d.
func (p *pacer) idle(ctx context.Context, d time.Duration) error {
	err := p.clock.sleep(ctx, d)
	p.began = p.clock.now()
	return err
}
