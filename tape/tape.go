// Package tape is what a strategy process reads: the raw queue as decoded market
// messages, in the order in which they arrived, from any moment on.
//
//	t, err := tape.Open("chronicle-data/queues/raw_main.q", tape.Live(), tape.Options{})
//	for m, err := range t.Messages(ctx) {
//		if m.Kind == market.KindTrade { use(m.Instrument, &m.Trade) }
//	}
//
// The feed's process appends, any number of other processes read; a reader takes
// no lock, writes nothing and costs the feed nothing. [Follower] keeps one
// instrument's book along the tape.
//
// Invariants:
//   - Every record that was committed from the start on comes once, in order.
//   - [Reader.Next] neither allocates nor makes a system call while it stays
//     inside a segment, but for definitions, gaps and sessions, which are rare.
//   - A message names its instrument from the first one on, wherever the tape is
//     joined: definitions are looked up in what came before.
//   - A reader that falls behind retention is told so, and from which record it
//     can go on ([queue.GoneError]); nothing is skipped in silence.
//
// The raw queue holds what the venue sent and no snapshots of Chronicle's own: a
// book that is joined in the middle is known only from the venue's next snapshot
// on, or when the tape is read from the venue session's beginning.
//
// A Reader belongs to one goroutine.
package tape

import (
	"chronicle/market"
	"chronicle/store/queue"
)

// Message is one record of the raw queue. It is valid until the next call of the
// reader that gave it; copy what is to be kept.
type Message struct {
	Seq     uint64 // of the raw queue, contiguous from 1
	TsRecv  int64  // ns since the Unix epoch: when it was captured
	TsEvent int64  // ns since the Unix epoch: the venue's time; market.UndefTimestamp when it sends none
	Kind    market.Kind

	// Instrument is what the message is about; nil for gaps and sessions, and for
	// an instrument whose definition is gone. Within a source the pointer stays the
	// same as long as the definition does, so it can be compared.
	Instrument *market.Definition

	// The body, by Kind. The other fields hold what they held before.
	Book    market.BookEvent // KindBook, KindSnapshot
	Trade   market.Trade     // KindTrade
	Quote   market.Quote     // KindQuote
	Status  market.Status    // KindStatus; Payload lies in the queue itself
	Gap     *market.Gap      // KindGap
	Session *market.Session  // KindSession
}

// Start says where a reader begins.
type Start struct {
	at  startKind
	seq uint64
	ns  int64
}

type startKind uint8

const (
	startOldest startKind = iota
	startLive
	startSequence
	startTime
)

// Oldest begins with the oldest record that there is.
func Oldest() Start { return Start{at: startOldest} }

// Live begins with the first record that is appended from now on.
func Live() Start { return Start{at: startLive} }

// Sequence begins with record seq of the raw queue, which may not be there yet.
func Sequence(seq uint64) Start { return Start{at: startSequence, seq: seq} }

// Time begins with the first record captured at ns (since the Unix epoch) or
// later; by the running maximum of capture times, which never goes back.
func Time(ns int64) Start { return Start{at: startTime, ns: ns} }

// Options say what to read, and how to wait for more. The zero value reads all.
type Options struct {
	// Want chooses instruments; the messages of others are passed over undecoded.
	// Gaps, sessions and messages of an unknown instrument always come. It is
	// called for each definition.
	// Default: all.
	Want func(*market.Definition) bool

	// Wait says how to wait for what is not there yet: spinning (lowest latency,
	// one core) or with pauses that grow. Default: the queue's.
	Wait queue.TailerOptions
}
