package emit

import "sync/atomic"

// LineStats are the counts of one line of a feed, or of one of its re-request
// servers, at one moment. Messages of a packet feed come on every line; the
// first copy is used.
type LineStats struct {
	Name      string `json:"name"`
	Packets   uint64 `json:"packets"`   // datagrams
	Messages  uint64 `json:"messages"`  // messages in them
	First     uint64 `json:"first"`     // messages that this line brought first; of a server: recovered
	Redundant uint64 `json:"redundant"` // copies of messages that another line brought first
	Duplicate uint64 `json:"duplicate"` // messages that came twice on this line
	Lost      uint64 `json:"lost"`      // messages that this line has not brought
	Late      uint64 `json:"late"`      // messages that came after they were given up
	NoRoom    uint64 `json:"no_room"`   // messages that could not wait for want of room
	Requests  uint64 `json:"requests"`  // of a server: requests sent to it
	Dropped   uint64 `json:"dropped"`   // datagrams that the kernel dropped for want of buffer
	Silences  uint64 `json:"silences"`  // times that nothing came for too long
	Silent    bool   `json:"silent"`    // nothing comes now
	LastRecv  int64  `json:"last_recv"` // receive time of the last datagram in ns; 0 before the first
}

// LineCounters count one line; they may be read while the feed runs. One
// goroutine changes them.
type LineCounters struct {
	name string

	Packets, Messages, First, Redundant, Duplicate, Lost, Late, NoRoom, Requests, Dropped, Silences atomic.Uint64

	Silent   atomic.Bool
	LastRecv atomic.Int64
}

func (l *LineCounters) stats() LineStats {
	return LineStats{
		Name: l.name, Packets: l.Packets.Load(), Messages: l.Messages.Load(), First: l.First.Load(),
		Redundant: l.Redundant.Load(), Duplicate: l.Duplicate.Load(), Lost: l.Lost.Load(), Late: l.Late.Load(),
		NoRoom: l.NoRoom.Load(), Requests: l.Requests.Load(), Dropped: l.Dropped.Load(),
		Silences: l.Silences.Load(), Silent: l.Silent.Load(), LastRecv: l.LastRecv.Load(),
	}
}

// Line gives the counters of the line of that name, new ones for a new name.
func (c *Counters) Line(name string) *LineCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		if l.name == name {
			return l
		}
	}
	l := &LineCounters{name: name}
	c.lines = append(c.lines, l)
	return l
}

// Line gives the counters of a line of the source.
func (e *Emitter) Line(name string) *LineCounters { return e.c.Line(name) }
