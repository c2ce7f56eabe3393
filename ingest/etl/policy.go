package etl

import (
	"fmt"
	"slices"
	"time"

	"chronicle/market"
)

// Policy decides where snapshots go and where segments are cut. It is part of
// the data path's input: a change takes effect after everything that the old
// one may have produced has been produced.
type Policy struct {
	SnapshotInterval time.Duration // event time between snapshots of a changing book; default 60 s
	ReplayBudget     int           // entries after a snapshot that make the next one due, or twice the snapshot's own if that is more; default 2,000
	RollInterval     time.Duration // segments of RollMinBytes or more are cut at multiples of it in capture time, all at 0:00 UTC; default 1 h
	RollMinBytes     int64         // see RollInterval; default 1 MiB for each hour of it
	RollBytes        int64         // a segment is cut when it holds this many bytes; default 64 MiB
	MaxPending       int           // most events held back while a book waits for its snapshot; default 50,000
}

var defaultPolicy = Policy{
	SnapshotInterval: time.Minute,
	ReplayBudget:     2_000,
	RollInterval:     time.Hour,
	RollBytes:        64 << 20,
	MaxPending:       50_000,
}

// or gives p with what is zero in it taken from other.
func (p Policy) or(other Policy) Policy {
	q := Policy{
		SnapshotInterval: orElse(p.SnapshotInterval, other.SnapshotInterval),
		ReplayBudget:     orElse(p.ReplayBudget, other.ReplayBudget),
		RollInterval:     orElse(p.RollInterval, other.RollInterval),
		RollMinBytes:     orElse(p.RollMinBytes, other.RollMinBytes),
		RollBytes:        orElse(p.RollBytes, other.RollBytes),
		MaxPending:       orElse(p.MaxPending, other.MaxPending),
	}
	if q.RollMinBytes == 0 {
		q.RollMinBytes = max(1, int64(q.RollInterval.Hours()*(1<<20)))
	}
	return q
}

func orElse[T ~int | ~int64](v, other T) T {
	if v == 0 {
		return other
	}
	return v
}

func (p Policy) check() error {
	for name, v := range map[string]int64{
		"snapshot interval": int64(p.SnapshotInterval), "replay budget": int64(p.ReplayBudget), "roll interval": int64(p.RollInterval),
		"roll bytes": p.RollBytes, "smallest size for a roll": p.RollMinBytes, "events held back": int64(p.MaxPending),
	} {
		if v < 0 {
			return fmt.Errorf("policy: %s %d: give 0 for the default, or more", name, v)
		}
	}
	return nil
}

// policies is the policy of every instrument.
type policies struct {
	base   Policy
	groups []PolicyGroup // with complete policies
	sets   [][]market.Pattern
}

func newPolicies(base Policy, groups []PolicyGroup) (*policies, error) {
	p := &policies{base: base.or(defaultPolicy)}
	if err := base.check(); err != nil {
		return nil, err
	}
	for i, g := range groups {
		set, err := parsePatterns(g.Symbols)
		if err != nil {
			return nil, fmt.Errorf("policy group %d: symbols: %w", i+1, err)
		}
		if err := g.Policy.check(); err != nil {
			return nil, fmt.Errorf("policy group %d: %w", i+1, err)
		}
		g.Policy = g.Policy.or(p.base)
		p.groups, p.sets = append(p.groups, g), append(p.sets, set)
	}
	return p, nil
}

// equal tells whether both give every instrument the same policy.
func (p *policies) equal(q *policies) bool {
	return p.base == q.base && slices.EqualFunc(p.groups, q.groups, func(a, b PolicyGroup) bool {
		return a.Policy == b.Policy && slices.Equal(a.Symbols, b.Symbols)
	})
}

// of gives the policy of an instrument.
func (p *policies) of(id market.SymbolID) *Policy {
	for i, set := range p.sets {
		if matchAny(set, id) {
			return &p.groups[i].Policy
		}
	}
	return &p.base
}

// day is 24 hours, in nanoseconds.
const day = int64(24 * time.Hour)

// rollDue tells whether capture time has come to a place where segments of this
// policy may be cut, and whether it is one where all must be.
func (p *Policy) rollDue(from, to int64) (may, must bool) {
	must = to/day > from/day
	return must || to/int64(p.RollInterval) > from/int64(p.RollInterval), must
}

// nextRoll gives the first time after t at which a segment may be cut.
func (p *policies) nextRoll(t int64) int64 {
	next := min((t/day+1)*day, p.base.nextRoll(t))
	for i := range p.groups {
		next = min(next, p.groups[i].Policy.nextRoll(t))
	}
	return next
}

func (p *Policy) nextRoll(t int64) int64 {
	return (t/int64(p.RollInterval) + 1) * int64(p.RollInterval)
}
