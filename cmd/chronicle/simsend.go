package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"chronicle/ingest/sim"
)

func (q *simFlags) run(ctx context.Context, cfg *Config, stdout, stderr io.Writer) error {
	opts, err := simSession(cfg)
	if err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	lines, err := q.lines(cfg.Sim.Rate, opts.Seed)
	if err != nil {
		return err
	}
	v := &venue{simFlags: q, opts: opts, rate: cfg.Sim.Rate, started: time.Now()}
	if _, err := sim.New(opts); err != nil {
		return badUsage("simulated market: %w", err)
	}
	if v.lines, err = sim.NewLines(lines); err != nil {
		return badUsage("%w", err)
	}
	if err := v.send(ctx, newTicker(cfg, stderr)); err != nil {
		return err
	}
	return v.print(cfg.JSON, stdout)
}

// venue sends the sessions of one command.
type venue struct {
	*simFlags
	opts     sim.Options
	rate     float64
	started  time.Time
	took     time.Duration // until the last message
	lines    *sim.Lines
	recovery *sim.Recovery // nil when there is none
}

// send sends all sessions and closes the lines.
func (v *venue) send(ctx context.Context, tick *ticker) (err error) {
	defer func() { err = errors.Join(err, v.lines.Close()) }()
	out := io.Writer(v.lines)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	if v.simFlags.recovery != "" {
		if v.recovery, err = sim.NewRecovery(sim.RecoveryOptions{Loss: v.recoveryLoss, Rate: v.recoveryRate, Seed: v.opts.Seed}); err != nil {
			return badUsage("%w", err)
		}
		conn, err := sim.ListenRecovery(v.simFlags.recovery)
		if err != nil {
			return fmt.Errorf("--recovery-listen: %w", err)
		}
		g.Go(func() error { return v.recovery.Serve(serving, conn) })
		out = io.MultiWriter(v.recovery, v.lines)
	}
	g.Go(func() error { tick.run(serving, v); return nil })
	err = v.sessions(ctx, out)
	stop()
	return errors.Join(err, g.Wait())
}

// sessions sends one session, or two when it changes or is reset.
func (v *venue) sessions(ctx context.Context, out io.Writer) error {
	limited := ctx
	if v.rate == 0 && v.duration > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, v.duration)
		defer cancel()
	}
	total, first := v.length(v.rate), max(v.changeAfter, v.resetsAfter)
	if first > 0 && (total == 0 || first < total) {
		if _, err := v.session(limited, out, first); err != nil {
			return err
		}
		v.opts.Seed++
		if v.changeAfter > 0 {
			v.opts.Session = "T" + v.opts.Session[1:]
		}
		total -= min(total, first)
	}
	v.opts.Messages = total
	s, err := v.session(limited, out, 0)
	v.took = time.Since(v.started)
	if err != nil {
		return err
	}
	return sim.End(ctx, out, s, v.linger)
}

// session sends messages of a new session, all of them when messages is 0, and
// leaves it open.
func (v *venue) session(ctx context.Context, out io.Writer, messages uint64) (*sim.Sim, error) {
	s, err := sim.New(v.opts)
	if err != nil {
		return nil, err
	}
	return s, sim.Send(ctx, out, s, sim.SendOptions{Messages: messages, Unpaced: v.rate == 0, KeepOpen: true})
}

// simSummary is what sim --json prints at the end. Session and Seed are those of
// the last session.
type simSummary struct {
	Session  string         `json:"session"`
	Seed     uint64         `json:"seed"`
	Symbols  int            `json:"symbols"`
	Seconds  float64        `json:"seconds"`
	Lines    sim.Report     `json:"lines"`
	Recovery *sim.Recovered `json:"recovery,omitempty"`
}

func (v *venue) print(asJSON bool, w io.Writer) error {
	s := simSummary{v.opts.Session, v.opts.Seed, len(v.opts.Symbols), v.took.Seconds(), v.lines.Report(), nil}
	if v.recovery != nil {
		r := v.recovery.Report()
		s.Recovery = &r
	}
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	_, err := fmt.Fprintf(w, "%s; session %s, seed %d\n", v.state(v.took), s.Session, s.Seed)
	for _, r := range s.Lines.Lost[:min(len(s.Lines.Lost), 10)] {
		fmt.Fprintf(w, "  lost on all lines: messages %d to %d of session %s\n", r.First, r.Last, r.Session)
	}
	if more := len(s.Lines.Lost) - 10; more > 0 {
		fmt.Fprintf(w, "  and %d more ranges (--json lists them)\n", more)
	}
	return err
}
