package sim

// Report is what Lines did so far.
type Report struct {
	Packets  uint64 `json:"packets"`  // given, those without messages included
	Messages uint64 `json:"messages"` // given
	A        Sent   `json:"a"`
	B        *Sent  `json:"b,omitempty"` // nil when there is no line B
	// LostBoth counts the messages that no line carried; Lost are they. Of one line
	// they are those that it lost.
	LostBoth uint64  `json:"lost_both"`
	Lost     []Range `json:"lost"`
}

// Sent is what one line did.
type Sent struct {
	Packets      uint64  `json:"packets"` // sent, duplicates included
	Bytes        uint64  `json:"bytes"`
	LostPackets  uint64  `json:"lost_packets"` // with messages or without
	LostMessages uint64  `json:"lost_messages"`
	InBlackouts  uint64  `json:"in_blackouts"` // of the lost messages
	Duplicated   uint64  `json:"duplicated"`   // packets
	Reordered    uint64  `json:"reordered"`    // packets held back
	Refused      uint64  `json:"refused"`      // times that the other end said that nobody listens
	Lost         []Range `json:"-"`
}

// Range is a range of a session's messages, both ends included.
type Range struct {
	// Epoch counts the sessions of the lines from 0: it tells those of one name apart.
	Epoch   int    `json:"epoch"`
	Session string `json:"session"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
}

// maxRanges bounds the ranges that a report keeps; the counts go on.
const maxRanges = 1 << 16

// addRange appends a range, joined to the last one where it continues it.
func addRange(all []Range, r Range) []Range {
	if n := len(all); n > 0 && all[n-1].Epoch == r.Epoch && all[n-1].Last+1 == r.First {
		all[n-1].Last = r.Last
		return all
	} else if n >= maxRanges {
		return all
	}
	return append(all, r)
}
