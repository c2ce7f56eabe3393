package kraken

import (
	"bytes"
	"log/slog"

	"chronicle/ingest/feed/emit"
	"chronicle/ingest/feed/scan"
	"chronicle/market"
)

// statusCodes are the channels that are kept verbatim. The values are part of
// what is stored.
var statusCodes = map[string]uint16{"ohlc": 1, "spread": 2}

// maxParts bounds the elements of a channel frame: number, one or two payloads,
// channel name, pair.
const maxParts = 5

// Receive reads one frame. The venue numbers nothing, and its checksum covers the
// best ten levels only: a frame that cannot be read may have changed any book of
// the connection, and is a gap.
func (s *Session) Receive(recv int64, conn, frame []byte) {
	if !scan.Valid(frame) {
		s.e.Skip(emit.BadJSON)
		s.e.Gap(recv, market.Gap{Channel: string(conn), Cause: market.GapSource, Detail: "a frame that cannot be read"})
		return
	}
	frame = bytes.TrimSpace(frame)
	var err error
	if scan.IsObject(frame) {
		err = s.connection(frame)
	} else {
		err = s.channel(recv, conn, frame)
	}
	if err != nil {
		s.e.Skip(emit.ReasonOf(err), slog.String("frame", string(frame[:min(len(frame), 200)])))
		return
	}
	s.e.Message()
}

// connection reads a frame of the connection itself: it changes nothing.
func (s *Session) connection(frame []byte) error {
	for o := scan.Members(frame); o.Next(); {
		if string(o.Key) != "event" {
			continue
		}
		switch name := string(scan.Text(o.Value)); name {
		case "heartbeat", "systemStatus", "pong":
			return nil
		case "subscriptionStatus":
			if bytes.Contains(frame, []byte(`"error"`)) {
				s.e.Log().Warn("kraken refused a subscription", "frame", string(frame))
			}
			return nil
		}
	}
	return emit.UnknownType
}

// channel reads [channelID, payload, (payload,) channelName, pair].
func (s *Session) channel(recv int64, conn, frame []byte) error {
	var parts [maxParts][]byte
	n := scan.Tuple(frame, parts[:])
	if n < 4 {
		return emit.UnknownType
	}
	payloads, name, wsname := parts[1:n-2], scan.Text(parts[n-2]), parts[n-1]
	pairName := scan.Text(wsname)
	if pairName == nil {
		pairName = []byte(wsName(wsname))
	}
	switch {
	case bytes.HasPrefix(name, []byte("book-")):
		err := s.book(recv, conn, name, pairName, payloads)
		if err != nil {
			s.unusable(recv, conn, pairName)
		}
		return err
	case string(name) == "trade":
		return s.trades(recv, pairName, payloads[0])
	case string(name) == "ticker":
		return s.ticker(recv, pairName, payloads[0])
	}
	base, _, _ := bytes.Cut(name, []byte("-"))
	code, ok := statusCodes[string(base)]
	if !ok {
		return emit.UnknownType
	}
	in, err := s.instrument(recv, market.UndefTimestamp, pairName, market.DefaultPriceExponent, market.DefaultSizeExponent)
	if err != nil {
		return err
	}
	s.e.Status(in.id, recv, market.UndefTimestamp, &market.Status{Code: code, Flags: market.FlagLast, Payload: frame})
	return nil
}

// unusable tells that an event of a book could not be used.
func (s *Session) unusable(recv int64, conn, wsname []byte) {
	s.e.Gap(recv, market.Gap{
		Channel: string(conn), Symbol: symbolOf(string(wsname)), Cause: market.GapSource, Detail: "a book event that cannot be used",
	})
}

// exponent gives the exponent that makes a number's own digits its mantissa:
// "354.11000000" has -8.
func exponent(number []byte) int8 {
	_, decimals, _ := bytes.Cut(number, []byte("."))
	return -int8(min(len(decimals), 18))
}

// seconds reads decimal seconds since the epoch as ns.
func seconds(v []byte) (int64, error) {
	return market.ParseFixed(scan.Text(v), -9)
}
