package query

import (
	"chronicle/market"
	"chronicle/store/queue"
)

// Clock says which time of a record a request means.
type Clock string

// The clocks.
const (
	ClockRecv  Clock = "recv"  // ts_recv: when it was captured. The default
	ClockEvent Clock = "event" // ts_event: when the venue says it happened
)

// ParseClock reads a clock's name; empty text is ClockRecv.
func ParseClock(s string) (Clock, error) {
	return parseName("clock", s, ClockRecv, ClockEvent)
}

// queueClock gives the queue's name of the clock.
func (c Clock) queueClock() queue.Clock {
	if c == ClockEvent {
		return queue.ByEventTime
	}
	return queue.ByTime
}

// of gives a record's own time; UndefTimestamp when the venue sent none.
func (c Clock) of(r *queue.Record) int64 {
	if c == ClockEvent {
		return r.EventTime
	}
	return r.Time
}

// PriceType says how prices and sizes appear in Arrow results.
type PriceType string

// The price types.
const (
	PriceFloat   PriceType = "float"   // float64, the nearest to the decimal. The default
	PriceFixed   PriceType = "fixed"   // int64 mantissa; the column's metadata has the "exponent"
	PriceDecimal PriceType = "decimal" // decimal128(38, 18), exact
)

// ParsePriceType reads a price type's name; empty text is PriceFloat.
func ParsePriceType(s string) (PriceType, error) {
	return parseName("price_type", s, PriceFloat, PriceFixed, PriceDecimal)
}

// OnGap says what to do where the book may be wrong because records are missing.
type OnGap string

// The ways to treat a gap.
const (
	GapMark  OnGap = "mark"  // answer, and say so in condition or flags. The default
	GapNull  OnGap = "null"  // give no book: empty sides, null columns
	GapError OnGap = "error" // fail
)

// ParseOnGap reads the name of a treatment; empty text is GapMark.
func ParseOnGap(s string) (OnGap, error) {
	return parseName("on_gap", s, GapMark, GapNull, GapError)
}

// parseName picks the value that s names; the first one when s is empty.
func parseName[T ~string](field, s string, values ...T) (T, error) {
	if s == "" {
		return values[0], nil
	}
	allowed := ""
	for i, v := range values {
		if s == string(v) {
			return v, nil
		}
		if i > 0 {
			allowed += ", "
		}
		allowed += string(v)
	}
	return "", invalid(field, s, allowed, "not a known value")
}

// The conditions of a book.
const (
	ConditionAvailable = "available" // every record up to here was received
	ConditionDegraded  = "degraded"  // records are missing: the book may be wrong
)

func condition(degraded bool) string {
	if degraded {
		return ConditionDegraded
	}
	return ConditionAvailable
}

// noTime is "before everything" on either clock.
const noTime = market.UndefTimestamp
