package sim

import (
	"math"
	"math/rand/v2"
)

// dice are a reproducible source of random numbers.
type dice struct{ rand.PCG }

func newDice(seed, stream uint64) *dice { return &dice{*rand.NewPCG(seed, stream)} }

// n gives a number below k, which is at most 1<<32.
func (d *dice) n(k int) int { return int(uint64(uint32(d.Uint64())) * uint64(k) >> 32) }

func (d *dice) oneIn(k int) bool { return d.n(k) == 0 }

// chance is true with probability p.
func (d *dice) chance(p float64) bool { return float64(d.Uint64()>>11)/(1<<53) < p }

// of draws from a table of equally likely values.
func (d *dice) of(table []uint32) uint32 { return table[d.n(len(table))] }

// powerLaw tabulates the quantiles of numbers from 0 on that exceed k with
// probability (k+1)^-alpha, up to a limit.
func powerLaw(alpha float64, limit uint32) []uint32 {
	table := make([]uint32, 1024)
	for i := range table {
		tail := 1 - (float64(i)+0.5)/float64(len(table))
		table[i] = min(uint32(math.Pow(tail, -1/alpha))-1, limit)
	}
	return table
}

// mixture tabulates values by their weights, which add up to the table's size.
func mixture(weights ...[2]uint32) (table []uint32) {
	for _, w := range weights {
		for range w[1] {
			table = append(table, w[0])
		}
	}
	return table
}

// alias draws an index by its weight with one random number (the alias method
// of Walker and Vose).
type alias struct {
	keep  []uint32 // chance, of 1<<32, that a column stands for itself
	other []uint16
}

func newAlias(weights []float64) *alias {
	n := len(weights)
	a := &alias{keep: make([]uint32, n), other: make([]uint16, n)}
	total := 0.0
	for _, w := range weights {
		total += w
	}
	share := make([]float64, n)
	var small, large []int
	for i, w := range weights {
		share[i] = w / total * float64(n)
		a.keep[i], a.other[i] = math.MaxUint32, uint16(i)
		if share[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a.keep[s], a.other[s] = uint32(share[s]*math.MaxUint32), uint16(l)
		if share[l] -= 1 - share[s]; share[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	return a
}

func (a *alias) draw(d *dice) int {
	r := d.Uint64()
	i := int((r >> 32) * uint64(len(a.keep)) >> 32)
	if uint32(r) < a.keep[i] {
		return i
	}
	return int(a.other[i])
}
