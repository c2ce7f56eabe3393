// Package feed is the dumb pipe: it receives, decodes, normalises to binary
// market records and appends them to the raw queue. It filters nothing, keeps no
// books and organises nothing.
//
// The same decoders and sessions serve live and recorded input; only the source
// differs:
//
//	source/             files (plain, gzip, zstd), lines, captured packets
//	recording/          recordings of WebSocket and HTTP traffic
//	udp/                sockets: multicast lines and re-request servers
//	sequence/           one stream of two lines: duplicates, order, recovery, holes, sessions
//	moldudp/ iextp/     MoldUDP64 and IEX-TP: the datagrams
//	itch/ iex/ binance/ bybit/ coinbase/ kraken/ okx/   the venues' messages
//	ws/                 live connections and HTTP requests
//	emit/               the way into the queue, and the counts
//	scan/               JSON in place
//
// Invariants:
//   - An instrument's definition precedes its first message, and source_begin
//     precedes everything of a source.
//   - The same recording gives byte-identical records, always: no wall clock, no
//     random order. A replay that was killed goes on where the queue ends, after
//     it has compared what is there with what the recording says.
//   - What cannot be used is counted by reason and skipped; the rest is kept.
//   - Nothing here waits for anything downstream.
//
// A queue has one writer: [Replay] and [Live] must not run at the same time on
// the same writer. Counters may be read at any time.
package feed

import (
	"errors"
	"fmt"
	"strings"

	"chronicle/ingest/feed/emit"
)

// Stats are a feed's counts at one moment.
type Stats = emit.Stats

// Counters count a running feed; they may be read while it runs.
type Counters = emit.Counters

// Errors that callers tell apart.
var (
	// ErrAlreadyReplayed: the raw queue holds the whole recording; nothing was done.
	ErrAlreadyReplayed = errors.New("recording is already in the raw queue")
	// ErrInterrupted: an earlier replay of another recording was never finished.
	ErrInterrupted = errors.New("an earlier replay was not finished")
	// ErrMismatch: the raw queue's records are not what the recording gives.
	ErrMismatch = errors.New("the raw queue differs from the recording")
	// ErrNothingUsable: not one message of the recording could be used.
	ErrNothingUsable = errors.New("nothing usable in the recording")
	// ErrNoDate: nothing tells which day an ITCH recording is of.
	ErrNoDate = errors.New("the recording's date is not known")
	// ErrUnknownFormat: no such format.
	ErrUnknownFormat = errors.New("unknown format")
)

// Format is a format that a feed reads.
type Format struct {
	Name  string // as given to Replay and Live
	Venue string // venue of its instruments
	Help  string // one line for people
	Live  bool   // Live can receive it
}

// Formats lists the formats, in alphabetical order.
func Formats() []Format {
	return []Format{
		{Name: "binance-coinm", Venue: "binance-coinm", Help: "Binance COIN-M futures: lines \"<ts_recv ns> <frame>\" or recorded traffic (.jsonl); live: WebSocket and REST snapshots", Live: true},
		{Name: "binance-spot", Venue: "binance-spot", Help: "Binance spot: lines \"<ts_recv ns> <frame>\" or recorded traffic (.jsonl); live: WebSocket and REST snapshots", Live: true},
		{Name: "binance-usdm", Venue: "binance-usdm", Help: "Binance USD-M futures: lines \"<ts_recv ns> <frame>\" or recorded traffic (.jsonl); live: WebSocket and REST snapshots", Live: true},
		{Name: "bybit", Venue: "bybit", Help: "Bybit WebSocket v5, spot and linear: recorded traffic (.jsonl); live: WebSocket", Live: true},
		{Name: "coinbase", Venue: "coinbase", Help: "Coinbase Advanced Trade WebSocket: recorded traffic (.jsonl); live: WebSocket", Live: true},
		{Name: "iex-deep", Venue: "iex", Help: "IEX DEEP 1.0, books by price level: pcap or pcapng, as IEX HIST gives them; live: IEX-TP", Live: true},
		{Name: "iex-deepplus", Venue: "iex", Help: "IEX DEEP+ 1.0, books by order: pcap or pcapng; live: IEX-TP", Live: true},
		{Name: "iex-tops", Venue: "iex", Help: "IEX TOPS 1.6, quotes and trades: pcap or pcapng, as IEX HIST gives them; live: IEX-TP", Live: true},
		{Name: "itch", Venue: "xnas", Help: "NASDAQ ITCH 5.0: BinaryFILE, pcap or pcapng; live: MoldUDP64", Live: true},
		{Name: "kraken", Venue: "kraken", Help: "Kraken WebSocket v1: recorded traffic (.jsonl); live: WebSocket", Live: true},
		{Name: "okx", Venue: "okx", Help: "OKX WebSocket v5: recorded traffic (.jsonl); live: WebSocket", Live: true},
	}
}

// formatOf finds a format by name.
func formatOf(name string) (Format, error) {
	var names []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("format %q: %w (there are: %s)", name, ErrUnknownFormat, strings.Join(names, ", "))
}

// IsPackets tells whether the live feed of a format comes in datagrams, rather
// than over the web.
func IsPackets(format string) bool {
	_, ok := packetFormatOf(format)
	return ok
}
