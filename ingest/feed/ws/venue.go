package ws

import (
	"time"

	"chronicle/ingest/feed/recording"
)

// Venue is a venue as it is reached live: the session that understands its
// traffic, which also replays recordings, and the plan of what to ask of it.
//
// All methods are called from one goroutine, the one that owns the emitter. The
// session is told what a recording would tell it, in the order in which it
// happened: Expect for every frame of every connection's Subscribe, then for each
// connection Connect, Request for every frame sent (subscriptions, pings and
// resyncs alike) and Receive; Response for every HTTP answer, with conn [HTTP].
// A connection that comes up again is told by Connect under the same name, which
// makes [emit.Emitter.Connect] write the outage as a gap.
//
// A Venue needs no timers, no state of connections and no book: the feed dials
// and waits, and it watches the records that the session writes to know which
// book is not good (see [Resync]).
type Venue interface {
	recording.Session

	// Lists gives the URLs of the instrument lists. They are fetched before the
	// first connection is made and handed to Response. A list that cannot be had
	// after some attempts is gone without.
	Lists() []string

	// Connections gives the connections to make, after the answers to Lists came:
	// now spellings of symbols can be resolved (see [Resolve]). It is called once.
	Connections() ([]Connection, error)

	// Resync says how to get the whole book of one instrument again, named as in
	// Connection.Books.
	Resync(native string) Resync
}

// HTTP is the connection that HTTP answers are said to come from.
const HTTP = "http"

// Connection is one WebSocket connection and what is asked for over it. All
// channels of one instrument belong on one connection: the connection's name is
// the Channel of the instrument's definition, so that an outage marks all of its
// streams.
type Connection struct {
	// Name is the connection's name in the records, the same after each reconnect
	// and, if it can be, after each restart: "ws.1".
	Name string
	// URL to dial, "wss://...".
	URL string
	// Subscribe are the frames to send when the connection is up, in order.
	Subscribe [][]byte
	// SendEvery is the least time between two frames sent. Default 0: none.
	SendEvery time.Duration
	// Ping is the frame that keeps the connection alive where the venue wants one
	// of its own, sent every PingEvery. Nil: the protocol's own ping is sent.
	Ping []byte
	// PingEvery is the time between two pings. Default 20 s.
	PingEvery time.Duration
	// Quiet is how long nothing may come, not even an answer to a ping, before the
	// connection counts as dead and is made anew. Default 60 s.
	Quiet time.Duration
	// MaxAge is the age at which the connection is renewed, ahead of the venue
	// closing it. Default 0: never.
	MaxAge time.Duration
	// Books are the instruments, as in Definition.Native, whose books come over
	// this connection. The feed sees to it that each of them gets good.
	Books []string
}

// Resync is a way to get a whole book again: an HTTP GET whose answer is a
// snapshot, or frames that make the venue send one.
//
// The feed asks for one when the records of the session show that the book is not
// good, by the rules that the ETL has (docs/decisions/0003): a session or gap
// record of its channel, a broken chain (Definition.Chained), a checksum that
// does not match (Definition.Checksum); and it asks again, after longer and
// longer times, until a snapshot has made the book good. A venue with sequence
// numbers of its own, which the ETL does not check, writes a gap record before
// the event that shows the hole; nothing more is needed.
type Resync struct {
	// Get is the URL of a snapshot. Empty: none is fetched. With Get a snapshot is
	// asked for at each start and reconnect too, once the first event of the book is in.
	Get string
	// Send are frames to send on the book's connection, such as unsubscribe and
	// subscribe. Without Get, the subscription of a new connection is expected to
	// bring the first snapshot.
	Send [][]byte
}
