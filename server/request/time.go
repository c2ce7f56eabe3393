package request

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"chronicle/query"
)

// Time is a time as the client wrote it: RFC 3339 or integer nanoseconds. In
// JSON the latter may be a number too. Empty means that none was given.
type Time string

// UnmarshalJSON takes a string or an integer.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Time(s)
		return nil
	}
	if _, err := strconv.ParseInt(string(b), 10, 64); err != nil {
		return refuse("time", clip(string(b)), query.TimeAllowed, "not a time")
	}
	*t = Time(b)
	return nil
}

// parse reads the time, blaming field when it is none.
func (t Time) parse(field string) (int64, error) {
	ns, err := query.ParseTime(string(t))
	if err == nil {
		return ns, nil
	}
	detail := "not a time"
	var q *query.Error
	if errors.As(err, &q) {
		detail = q.Detail
	}
	return 0, refuse(field, clip(string(t)), query.TimeAllowed, detail)
}

// day reads a UTC day such as 2026-01-02 as the range from its first nanosecond
// to that of the next day.
func day(s string) (start, end Time, ok bool) {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return "", "", false
	}
	return Time(d.Format(time.RFC3339)), Time(d.AddDate(0, 0, 1).Format(time.RFC3339)), true
}
