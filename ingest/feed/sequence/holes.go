package sequence

import (
	"slices"
	"sort"
)

// maxHoles bounds the holes that are open at a time.
const maxHoles = 1024

// hole is a range of messages that are missing so far. Times are those of the
// receiver's clock, but for seen.
type hole struct {
	first, last uint64
	born        int64 // when its first message was missed
	since       int64 // when its last message was missed
	fed         int64 // when a part of it came last; 0 for never
	seen        int64 // receive time of the packet that showed its last message missing
	cut         bool  // a truncated packet lost some of it
	joined      bool  // it is from before the feed joined
	answered    bool  // a re-request server brought some of it
}

// holes are in ascending order and never touch what is not missing.
type holes []hole

// find gives the hole that message seq is in, or -1.
func (h holes) find(seq uint64) int {
	if len(h) > 0 && seq <= h[0].last { // mostly
		if seq >= h[0].first {
			return 0
		}
		return -1
	}
	i := sort.Search(len(h), func(i int) bool { return h[i].last >= seq })
	if i == len(h) || h[i].first > seq {
		return -1
	}
	return i
}

// fill takes message seq out of hole i. It is false when the hole would have to
// be split and there is no room for another one.
func (h *holes) fill(i int, seq uint64) bool {
	switch s := &(*h)[i]; {
	case s.first == s.last:
		*h = slices.Delete(*h, i, i+1)
	case seq == s.first:
		s.first++
	case seq == s.last:
		s.last--
	case len(*h) == cap(*h):
		return false
	default:
		behind := *s
		behind.first, s.last = seq+1, seq-1
		*h = slices.Insert(*h, i+1, behind)
	}
	return true
}
