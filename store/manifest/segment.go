package manifest

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"chronicle/market"
	"chronicle/store/blob"
	"chronicle/store/queue"
)

// Hot is the name of the tier that is no tier: the clean queues. The key of a
// location there is the file below the folder of the clean queues,
// "<venue>/<symbol>/<stream>.q/<first_seq>.q".
const Hot = "hot"

// Ref names a segment wherever it is.
type Ref struct {
	Venue    string `json:"venue"`
	Symbol   string `json:"symbol"`
	Stream   string `json:"stream"`
	FirstSeq uint64 `json:"first_seq"`
}

// String gives "venue:symbol/stream/first_seq".
func (r Ref) String() string {
	return fmt.Sprintf("%s:%s/%s/%d", r.Venue, r.Symbol, r.Stream, r.FirstSeq)
}

// StreamID gives the stream that the segment is a part of.
func (r Ref) StreamID() StreamID {
	return StreamID{Venue: r.Venue, Symbol: r.Symbol, Stream: r.Stream}
}

// HotKey gives the segment's key in the hot tier.
func (r Ref) HotKey() string {
	return path.Join(market.StreamPath(r.Venue, r.Symbol, r.Stream), queue.SegmentName(r.FirstSeq))
}

// StreamID names a clean stream.
type StreamID struct {
	Venue  string `json:"venue"`
	Symbol string `json:"symbol"`
	Stream string `json:"stream"`
}

// String gives "venue:symbol/stream".
func (s StreamID) String() string { return s.Venue + ":" + s.Symbol + "/" + s.Stream }

// Location is where a copy of a segment is.
type Location struct {
	Tier string `json:"tier"`
	Key  string `json:"key"`
}

// String gives "tier:key".
func (l Location) String() string { return l.Tier + ":" + l.Key }

// Segment is the row of one sealed segment: what its header and footer say, and
// where it is. Sequences are the queue's. Times are nanoseconds since the epoch;
// event times are market.UndefTimestamp when no record has one.
type Segment struct {
	Venue          string            `json:"venue"`
	Symbol         string            `json:"symbol"`
	Stream         string            `json:"stream"`
	Date           string            `json:"date"` // UTC day of FirstTime, YYYY-MM-DD
	FirstSeq       uint64            `json:"first_seq"`
	LastSeq        uint64            `json:"last_seq"`
	FirstTime      int64             `json:"first_time"` // ts_recv
	LastTime       int64             `json:"last_time"`
	FirstEventTime int64             `json:"first_event_time"` // ts_event: least and greatest
	LastEventTime  int64             `json:"last_event_time"`
	Records        uint64            `json:"records"`
	Keys           uint64            `json:"keys"`            // records that a reader can start at: snapshots
	Kinds          map[uint16]uint64 `json:"kinds,omitempty"` // records by market.Kind
	Bytes          int64             `json:"bytes"`           // size of the file
	Hash           string            `json:"hash"`            // the footer's: "sha256:" and hex, over the file up to the footer
	Tier           string            `json:"tier"`
	Key            string            `json:"key"`
	Definition     market.Definition `json:"definition"`
}

// Ref gives the segment's name.
func (s *Segment) Ref() Ref {
	return Ref{Venue: s.Venue, Symbol: s.Symbol, Stream: s.Stream, FirstSeq: s.FirstSeq}
}

// StreamID gives the segment's stream.
func (s *Segment) StreamID() StreamID { return s.Ref().StreamID() }

// Location gives where the segment is.
func (s *Segment) Location() Location { return Location{Tier: s.Tier, Key: s.Key} }

// ArchiveKey gives the key that the segment has in every tier but the hot one:
// "<venue>/<symbol>/<stream>/<date>/<first_seq %020d>.q".
func (s *Segment) ArchiveKey() string {
	return path.Join(s.Venue, s.Symbol, s.Stream, s.Date, queue.SegmentName(s.FirstSeq))
}

// Gap is a row of the gap ledger. Sequences are the venue's, inclusive; Start and
// End are ts_recv of the last record before the gap and the first one after it.
type Gap struct {
	Venue     string `json:"venue"`
	Symbol    string `json:"symbol"`
	Channel   string `json:"channel"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	FirstSeq  uint64 `json:"first_seq"`
	LastSeq   uint64 `json:"last_seq"`
	Cause     string `json:"cause"`
	Recovered bool   `json:"recovered"`
	Detail    string `json:"detail,omitempty"`
}

var (
	streamName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	tierName   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	writerName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	hashText   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrInvalid)...)
}

// check tells whether the parts of a name can be elements of a path.
func (s StreamID) check() error {
	id, err := market.ParseSymbolID(s.Venue + ":" + s.Symbol)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if id.Venue != s.Venue || id.Symbol != s.Symbol {
		return invalid("symbol %s:%s is not in lower case", s.Venue, s.Symbol)
	}
	if !streamName.MatchString(s.Stream) {
		return invalid("stream %q is not a lower-case word", s.Stream)
	}
	return nil
}

func (r Ref) check() error {
	if r.FirstSeq == 0 {
		return invalid("first_seq is 0: sequences begin at 1")
	}
	return r.StreamID().check()
}

func (l Location) check() error {
	if !tierName.MatchString(l.Tier) {
		return invalid("tier %q is not a lower-case word", l.Tier)
	}
	if err := blob.CheckKey(l.Key); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return nil
}

// check validates a row on its own.
func (s *Segment) check() error {
	if err := s.Ref().check(); err != nil {
		return err
	}
	err := s.Location().check()
	switch {
	case err != nil:
		return fmt.Errorf("segment %v: %w", s.Ref(), err)
	case s.Tier == Hot:
		return invalid("segment %v: tier hot is not a place of the archive", s.Ref())
	case s.Date != Day(s.FirstTime):
		return invalid("segment %v: date %q is not the day of first_time, %s", s.Ref(), s.Date, Day(s.FirstTime))
	case s.LastSeq < s.FirstSeq || s.Records == 0 || s.Records-1 != s.LastSeq-s.FirstSeq:
		return invalid("segment %v: last_seq %d does not follow from %d records", s.Ref(), s.LastSeq, s.Records)
	case s.LastTime < s.FirstTime || s.LastEventTime < s.FirstEventTime:
		return invalid("segment %v: a last time is before the first", s.Ref())
	case (s.FirstEventTime == market.UndefTimestamp) != (s.LastEventTime == market.UndefTimestamp):
		return invalid("segment %v: one event time is undefined and the other is not", s.Ref())
	case s.Bytes <= 0:
		return invalid("segment %v: bytes is %d", s.Ref(), s.Bytes)
	case !hashText.MatchString(s.Hash):
		return invalid("segment %v: hash %q is not sha256:<64 hex digits>", s.Ref(), s.Hash)
	}
	return s.checkCounts()
}

func (s *Segment) checkCounts() error {
	if s.Keys > s.Records {
		return invalid("segment %v: %d keys in %d records", s.Ref(), s.Keys, s.Records)
	}
	var sum uint64
	for kind, n := range s.Kinds {
		if n == 0 || n > s.Records-sum {
			return invalid("segment %v: %d records of kind %d among %d", s.Ref(), n, kind, s.Records)
		}
		sum += n
	}
	if sum != s.Records {
		return invalid("segment %v: kinds sum up to %d of %d records", s.Ref(), sum, s.Records)
	}
	d := &s.Definition
	return checkText(d.Venue, d.Symbol, d.Native, string(d.BookType), d.Channel, d.Checksum, d.TickSize, d.LotSize, d.Currency)
}

func (g *Gap) check() error {
	if err := (StreamID{Venue: g.Venue, Symbol: g.Symbol, Stream: "gap"}).check(); err != nil {
		return fmt.Errorf("gap: %w", err)
	}
	return checkText(g.Channel, g.Cause, g.Detail)
}

func checkText(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return invalid("text %q is not UTF-8", s)
		}
	}
	return nil
}

// Day gives the UTC day of a time in nanoseconds, as YYYY-MM-DD.
func Day(t int64) string { return time.Unix(0, t).UTC().Format(time.DateOnly) }

// Clock chooses between the two times of a record.
type Clock uint8

// The clocks.
const (
	ByTime      Clock = iota // ts_recv
	ByEventTime              // ts_event
)

// Range gives the segment's first and last time by a clock; ok is false when no
// record has one.
func (s *Segment) Range(c Clock) (first, last int64, ok bool) {
	if c == ByTime {
		return s.FirstTime, s.LastTime, true
	}
	return s.FirstEventTime, s.LastEventTime, s.FirstEventTime != market.UndefTimestamp
}

// SymbolID gives the segment's instrument.
func (s *Segment) SymbolID() market.SymbolID {
	return market.SymbolID{Venue: s.Venue, Symbol: s.Symbol}
}

// SameContent tells whether two rows are of the same bytes, wherever they are.
func (s *Segment) SameContent(o *Segment) bool {
	return s.Ref() == o.Ref() && s.LastSeq == o.LastSeq && s.Bytes == o.Bytes && strings.EqualFold(s.Hash, o.Hash)
}

// noEnd stands for the absence of an upper bound.
const noEnd = math.MaxInt64
