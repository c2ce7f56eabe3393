package book

import "math/bits"

// index finds orders by id: a hash table with open addressing and linear
// probing, at most half full. A slot is
//
//	63           32 31            0
//	| hash of id   | reference     |   0: the slot is empty
//
// The upper bits of the hash are the slot where a search for the id starts. The
// slot holds enough of it to move entries without looking at the orders.
type index struct {
	slots []uint64
	shift uint8 // home slot = hash >> shift
	used  int
}

// minSlots is the first size of the table; a power of two.
const minSlots = 64

// hashID spreads ids, which venues like to number in a row or in large steps. It
// gives the hash where a slot has it, in the upper 32 bits.
func hashID(id uint64) uint64 {
	hi, lo := bits.Mul64(id^0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)
	return (hi ^ lo) >> 32 << 32
}

// find gives the slot and the reference of the order with an id and its hash;
// reference 0, and the slot where it belongs, when it is not there. The table
// must have a free slot.
func (x *index) find(id, hash uint64, orders []order) (int, uint32) {
	mask := len(x.slots) - 1
	for i := int(hash >> 32 >> x.shift); ; i = (i + 1) & mask {
		s := x.slots[i]
		if s == 0 {
			return i, 0
		}
		if s>>32 == hash>>32 && orders[uint32(s)].id == id {
			return i, uint32(s)
		}
	}
}

// reserve makes room for one more id.
func (x *index) reserve() {
	if x.used*2 >= len(x.slots) {
		x.grow()
	}
}

func (x *index) grow() {
	old := x.slots
	n := max(minSlots, 2*len(old))
	x.slots = make([]uint64, n)
	x.shift = uint8(32 - bits.TrailingZeros(uint(n)))
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := int(s >> 32 >> x.shift)
		for x.slots[i] != 0 {
			i = (i + 1) & (n - 1)
		}
		x.slots[i] = s
	}
}

// put fills the free slot that find gave.
func (x *index) put(i int, slot uint64) {
	x.slots[i] = slot
	x.used++
}

// remove empties slot i and moves back those behind it which a search would
// otherwise no longer reach.
func (x *index) remove(i int) {
	mask := len(x.slots) - 1
	for j := (i + 1) & mask; ; j = (j + 1) & mask {
		s := x.slots[j]
		if s == 0 {
			break
		}
		home := int(s >> 32 >> x.shift)
		if (j-home)&mask >= (j-i)&mask {
			x.slots[i] = s
			i = j
		}
	}
	x.slots[i] = 0
	x.used--
}

func (x *index) clear() {
	if x.used > 0 {
		clear(x.slots)
		x.used = 0
	}
}
