// Package emittest gives the tests of decoders a raw queue in memory.
package emittest

import (
	"errors"
	"fmt"

	"chronicle/market"
	"chronicle/store/queue"
)

// ErrFull is what a Queue with FailAt set returns.
var ErrFull = errors.New("queue is full")

// Queue keeps the records that are written to it. It serves one goroutine.
type Queue struct {
	Records []queue.Record
	FailAt  int // the record, from 1, that fails and all after it; 0 is none

	body []byte
}

// Reserve gives room for a body.
func (q *Queue) Reserve(n int) ([]byte, error) {
	if q.FailAt != 0 && len(q.Records)+1 >= q.FailAt {
		return nil, ErrFull
	}
	q.body = make([]byte, n)
	return q.body, nil
}

// Commit keeps the record.
func (q *Queue) Commit(rec queue.Record, n int) (uint64, error) {
	rec.Seq, rec.Body = uint64(len(q.Records)+1), q.body[:n]
	q.Records = append(q.Records, rec)
	return rec.Seq, nil
}

// Kinds gives the kinds of the records, in order.
func (q *Queue) Kinds() (out []market.Kind) {
	for _, rec := range q.Records {
		out = append(out, market.Kind(rec.Kind))
	}
	return out
}

// Of gives the records of a kind.
func (q *Queue) Of(kind market.Kind) (out []queue.Record) {
	for _, rec := range q.Records {
		if market.Kind(rec.Kind) == kind {
			out = append(out, rec)
		}
	}
	return out
}

// Books decodes the records of kind KindBook and KindSnapshot.
func (q *Queue) Books() (out []market.BookEvent, err error) {
	for _, rec := range q.Records {
		kind := market.Kind(rec.Kind)
		if kind != market.KindBook && kind != market.KindSnapshot {
			continue
		}
		var e market.BookEvent
		if err := e.Decode(rec.Body, kind); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Trades decodes the records of kind KindTrade.
func (q *Queue) Trades() (out []market.Trade, err error) {
	for _, rec := range q.Of(market.KindTrade) {
		var t market.Trade
		if err := t.Decode(rec.Body); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// JSON decodes the records of a kind whose body is JSON.
func JSON[T market.Definition | market.Gap | market.Session](q *Queue) (out []T, err error) {
	kind := market.KindDefinition
	switch any(*new(T)).(type) {
	case market.Gap:
		kind = market.KindGap
	case market.Session:
		kind = market.KindSession
	}
	for _, rec := range q.Of(kind) {
		v, err := market.DecodeJSON[T](rec.Body)
		if err != nil {
			return nil, err
		}
		out = append(out, *v)
	}
	return out, nil
}

// Check tells what breaks the rules that every reader of the raw queue relies
// on: a definition precedes its instrument's records, and every body decodes.
func (q *Queue) Check() error {
	defined := map[uint32]bool{0: true}
	for _, rec := range q.Records {
		if market.Kind(rec.Kind) == market.KindDefinition {
			defined[rec.Tag] = true
		}
		if !defined[rec.Tag] {
			return fmt.Errorf("record %d is of instrument %d, which is not defined yet", rec.Seq, rec.Tag)
		}
		if err := Decodable(rec); err != nil {
			return fmt.Errorf("record %d: %w", rec.Seq, err)
		}
	}
	return nil
}

// Decodable tells whether a record's body follows its kind's layout.
func Decodable(rec queue.Record) (err error) {
	switch kind := market.Kind(rec.Kind); kind {
	case market.KindBook, market.KindSnapshot:
		return new(market.BookEvent).Decode(rec.Body, kind)
	case market.KindTrade:
		return new(market.Trade).Decode(rec.Body)
	case market.KindQuote:
		return new(market.Quote).Decode(rec.Body)
	case market.KindStatus:
		return new(market.Status).Decode(rec.Body)
	case market.KindDefinition:
		_, err = market.DecodeJSON[market.Definition](rec.Body)
	case market.KindGap:
		_, err = market.DecodeJSON[market.Gap](rec.Body)
	case market.KindSession:
		_, err = market.DecodeJSON[market.Session](rec.Body)
	default:
		err = fmt.Errorf("unknown kind %d", rec.Kind)
	}
	return err
}
