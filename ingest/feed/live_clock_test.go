package feed

import (
	"io"
	"slices"
	"testing"
	"time"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/emit/emittest"
	"chronicle/ingest/feed/udp"
	"chronicle/market"
)

// silence is a source from which nothing comes, with a clock that goes on by what
// is waited.
type silence struct {
	script
	now, end time.Time
}

func (s *silence) Receive(wait time.Duration) ([]udp.Datagram, int64, error) {
	if s.now = s.now.Add(max(wait, 1)); s.now.After(s.end) {
		return nil, 0, io.EOF
	}
	return nil, s.now.UnixNano(), nil
}

// A packet feed that receives nothing tells the time: every minute, and at midnight
// within half a second.
func TestQuietPacketFeedTellsTheTime(t *testing.T) {
	begin := time.Date(2026, 1, 2, 23, 58, 30, 0, time.UTC)
	from := &silence{now: begin, end: begin.Add(170 * time.Second)}
	q := &emittest.Queue{}
	opts := PacketOptions{Lines: []Line{loopback}}
	format, _ := packetFormatOf("itch")
	stream, err := opts.stream(format.channel, from)
	if err != nil {
		t.Fatal(err)
	}
	p := newPump(from, emit.New(q, &Counters{}, emit.Options{Venue: "sim"}), format, stream, func() time.Time { return from.now })
	for n := 0; err == nil && n < 10_000; n++ {
		err = p.batch()
	}
	var got []string
	for _, rec := range q.Records {
		s, err := market.DecodeJSON[market.Session](rec.Body)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(s.Event)+" "+time.Unix(0, rec.Time).UTC().Format("15:04:05.0"))
	}
	want := []string{"source_begin 23:59:30.0", "clock 23:59:30.0", "clock 00:00:00.3", "clock 00:01:00.3"}
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}
