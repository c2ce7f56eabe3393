package emit

import (
	"slices"
	"testing"
)

func TestLinesAreCounted(t *testing.T) {
	c := &Counters{}
	a, b := c.Line("A"), c.Line("B")
	a.Packets.Add(3)
	b.Lost.Add(2)
	b.Silent.Store(true)
	if c.Line("A") != a {
		t.Error("the same name gives other counters")
	}
	if got, want := c.Stats().Lines, []LineStats{{Name: "A", Packets: 3}, {Name: "B", Lost: 2, Silent: true}}; !slices.Equal(got, want) {
		t.Errorf("lines are %+v, want %+v", got, want)
	}
}

func TestManySkipsAtOnce(t *testing.T) {
	c := &Counters{}
	c.SkipN(Duplicate, 5)
	c.Skip(Duplicate)
	if s := c.Stats(); s.Skipped != 6 || s.SkippedBy["duplicate"] != 6 {
		t.Errorf("counts are %+v", s)
	}
}
