package query

import (
	"strconv"
	"strings"
	"time"

	"chronicle/market"
)

// timeLayout is RFC 3339 in UTC with all nine decimals.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// TimeAllowed says how a time may be written, for errors and documents.
const TimeAllowed = "RFC 3339 with up to nine decimals, such as 2026-01-02T10:00:00.000000001Z, or integer nanoseconds since 1970"

// ParseTime reads a time as RFC 3339 with up to nine decimals, or as integer
// nanoseconds since the epoch. Nothing is rounded.
func ParseTime(s string) (int64, error) {
	text := strings.ToUpper(strings.TrimSpace(s))
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
		if ns == market.UndefTimestamp {
			return 0, badTime(s, "that number stands for no time")
		}
		return ns, nil
	}
	if strings.Contains(text, ",") || decimals(text) > 9 {
		return 0, badTime(s, "more than nanoseconds cannot be told apart")
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, badTime(s, "not a time")
	}
	if sec := t.Unix(); sec < -9_223_372_036 || sec >= 9_223_372_036 {
		return 0, badTime(s, "the years 1678 to 2261 can be held in nanoseconds")
	}
	return t.UnixNano(), nil
}

func badTime(given, detail string) error { return invalid("time", given, TimeAllowed, detail) }

// decimals counts the digits after the decimal point.
func decimals(s string) int {
	_, frac, _ := strings.Cut(s, ".")
	return len(frac) - len(strings.TrimLeft(frac, "0123456789"))
}

// FormatTime writes ns as RFC 3339 in UTC with nine decimals; empty for
// market.UndefTimestamp.
func FormatTime(ns int64) string {
	if ns == market.UndefTimestamp {
		return ""
	}
	return string(AppendTime(nil, ns))
}

// AppendTime appends ns as FormatTime writes it; market.UndefTimestamp is the
// caller's to handle.
func AppendTime(dst []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(dst, timeLayout)
}

// jsonTime marshals as RFC 3339 with nine decimals, or null.
type jsonTime int64

// MarshalJSON implements json.Marshaler.
func (t jsonTime) MarshalJSON() ([]byte, error) {
	if int64(t) == market.UndefTimestamp {
		return []byte("null"), nil
	}
	b := AppendTime([]byte{'"'}, int64(t))
	return append(b, '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *jsonTime) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = jsonTime(market.UndefTimestamp)
		return nil
	}
	s, err := strconv.Unquote(string(b))
	if err != nil {
		return err
	}
	ns, err := ParseTime(s)
	*t = jsonTime(ns)
	return err
}
