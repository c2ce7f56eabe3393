package sequence

// trackSize is how many messages back a line's own repetitions are told from
// what it brings late.
const trackSize = 1 << 16

// track knows which messages one line has brought.
type track struct {
	base uint64 // sequence of the first message that the line could have brought
	high uint64 // sequence after the highest message; 0 before the first packet
	bits [trackSize / 64]uint64
}

func (t *track) reset() { t.high = 0 }

func (t *track) set(seq uint64)      { t.bits[seq%trackSize/64] |= 1 << (seq % 64) }
func (t *track) unset(seq uint64)    { t.bits[seq%trackSize/64] &^= 1 << (seq % 64) }
func (t *track) has(seq uint64) bool { return t.bits[seq%trackSize/64]&(1<<(seq%64)) != 0 }

// add notes messages [first, end). It gives how many of them the line had brought
// before, how many below first are missing now, and how many that were missing came.
func (t *track) add(first, end uint64) (again, lost, found uint64) {
	if t.high == 0 {
		t.base, t.high = first, first
		clear(t.bits[:])
	}
	if first > t.high {
		lost = first - t.high
		t.skip(first)
	}
	for seq := first; seq < end; seq++ {
		switch {
		case seq >= t.high:
			t.set(seq)
			t.high = seq + 1
		case seq < t.base: // sent before the line was heard
		case t.high-seq > trackSize || t.has(seq):
			again++
		default:
			t.set(seq)
			found++
		}
	}
	return again, lost, found
}

// skip notes that the messages up to first are missing.
func (t *track) skip(first uint64) {
	if first-t.high >= trackSize {
		clear(t.bits[:])
	} else {
		for seq := t.high; seq < first; seq++ {
			t.unset(seq)
		}
	}
	t.high = first
}
