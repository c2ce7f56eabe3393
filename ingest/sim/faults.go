package sim

import (
	"fmt"
	"slices"
)

// Faults say how a line fails. Probabilities are per packet; each kind is decided
// on its own, so that to change one leaves the others' decisions as they are.
type Faults struct {
	Loss float64 // probability that a packet is lost
	// Burst is the probability that a run of losses begins, of BurstLength packets
	// (default 10).
	Burst       float64
	BurstLength int
	Duplicate   float64 // probability that a packet is sent twice
	// Reorder is the probability that a packet is held back until 1 to ReorderBy
	// (default 3) packets have passed.
	Reorder   float64
	ReorderBy int
	// Blackouts are messages during which the line is dead, counted from 1 over all
	// sessions of the line. They are in order.
	Blackouts []Span
}

// Span is a range of messages, both ends included.
type Span struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

func (f *Faults) fill() error {
	if f.BurstLength == 0 {
		f.BurstLength = 10
	}
	if f.ReorderBy == 0 {
		f.ReorderBy = 3
	}
	for _, p := range []struct {
		name  string
		value float64
	}{{"loss", f.Loss}, {"burst", f.Burst}, {"duplicate", f.Duplicate}, {"reorder", f.Reorder}} {
		if !(p.value >= 0 && p.value <= 1) {
			return fmt.Errorf("sim: %s %v: a probability is 0 to 1", p.name, p.value)
		}
	}
	if f.BurstLength < 1 || f.ReorderBy < 1 || f.ReorderBy > maxHeld {
		return fmt.Errorf("sim: burst of %d packets, reordering by %d: the first is at least 1, the second 1 to %d", f.BurstLength, f.ReorderBy, maxHeld)
	}
	last := uint64(0)
	for _, b := range f.Blackouts {
		if b.First <= last || b.Last < b.First {
			return fmt.Errorf("sim: blackout of messages %d to %d: each begins after the one before it ends, and at 1 at the earliest", b.First, b.Last)
		}
		last = b.Last
	}
	return nil
}

// maxHeld bounds the packets that one line holds back.
const maxHeld = 1000

// fate is what happens to one packet on one line.
type fate struct {
	lost     bool
	blackout bool // and that is why
	twice    bool
	hold     int // packets to let pass first
}

// judge decides the fates of a line's packets. Packets without messages, whose
// number depends on the clock, have dice of their own.
type judge struct {
	faults   Faults
	data     *dice
	beats    *dice
	burst    int    // packets that the current burst of losses still has
	messages uint64 // that passed the line, lost ones included
}

func newJudge(f Faults, seed uint64, line byte) *judge {
	return &judge{faults: f, data: newDice(seed, uint64(line)<<8|1), beats: newDice(seed, uint64(line)<<8|2)}
}

func (j *judge) decide(messages int) (f fate) {
	if messages == 0 {
		f.lost, f.twice = j.beats.chance(j.faults.Loss), j.beats.chance(j.faults.Duplicate)
		f.blackout = j.dark(j.messages, j.messages)
		f.lost = f.lost || f.blackout
		return f
	}
	d := j.data
	f.lost = d.chance(j.faults.Loss)
	begins := d.chance(j.faults.Burst)
	f.twice = d.chance(j.faults.Duplicate)
	held, by := d.chance(j.faults.Reorder), 1+d.n(j.faults.ReorderBy)
	if begins {
		j.burst = j.faults.BurstLength
	}
	if j.burst > 0 {
		j.burst--
		f.lost = true
	}
	first := j.messages + 1
	j.messages += uint64(messages)
	if f.blackout = j.dark(first, j.messages); f.blackout {
		f.lost = true
	}
	if held && !f.lost {
		f.hold = by
	}
	return f
}

// dark tells whether any of these messages falls into a blackout.
func (j *judge) dark(first, last uint64) bool {
	return slices.ContainsFunc(j.faults.Blackouts, func(b Span) bool { return first <= b.Last && last >= b.First })
}
