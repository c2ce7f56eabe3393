package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"chronicle/market"
)

// Row is a line of the ledger: an interval of a book stream in which books may be
// wrong although their records say nothing of it. It is open until the book is
// proved again; a later row of the same Key takes the place of an earlier one.
type Row struct {
	Venue       string          `json:"venue"`
	Symbol      string          `json:"symbol"`
	Stream      string          `json:"stream"`
	FirstSeq    uint64          `json:"first_seq"`     // clean sequence of the last snapshot that was proved
	LastSeq     uint64          `json:"last_seq"`      // and of the record that shows that something is wrong
	FirstRawSeq uint64          `json:"first_raw_seq"` // raw sequences of the two; 0 not known
	LastRawSeq  uint64          `json:"last_raw_seq"`
	Start       int64           `json:"start"` // ts_recv of the two
	End         int64           `json:"end"`
	Cause       market.GapCause `json:"cause"`   // audit
	Finding     Kind            `json:"finding"` // what is wrong
	Detail      string          `json:"detail"`  // for people

	ProvedSeq    uint64 `json:"proved_seq,omitempty"`     // clean sequence of the snapshot that proved the book again; 0: open
	ProvedRawSeq uint64 `json:"proved_raw_seq,omitempty"` // and its raw sequence
	ProvedTime   int64  `json:"proved_time,omitempty"`    // and ts_recv
}

// Key tells rows apart.
type Key struct {
	Venue, Symbol, Stream string
	LastSeq               uint64
	Cause                 market.GapCause
}

// Key gives the row's key.
func (r *Row) Key() Key { return Key{r.Venue, r.Symbol, r.Stream, r.LastSeq, r.Cause} }

// NewRow makes the row of a finding.
func NewRow(venue, symbol string, f *Finding) Row {
	first := f.Since
	if first.Seq == 0 {
		first = f.At // nothing before it was proved
	}
	return Row{
		Venue: venue, Symbol: symbol, Stream: market.StreamBook, FirstSeq: first.Seq, LastSeq: f.At.Seq, FirstRawSeq: first.RawSeq, LastRawSeq: f.At.RawSeq,
		Start: first.Time, End: f.At.Time, Cause: market.GapAudit, Finding: f.Kind,
		Detail: fmt.Sprintf("expected %s; found %s", f.Want, f.Got),
	}
}

// Open tells whether the book has not been proved again yet.
func (r *Row) Open() bool { return r.ProvedSeq == 0 }

// Covers tells whether the book after the record of that clean sequence may be wrong.
func (r *Row) Covers(seq uint64) bool { return seq >= r.FirstSeq && (r.Open() || seq < r.ProvedSeq) }

// Touches tells whether the row's interval, by ts_recv, touches [start, end).
func (r *Row) Touches(start, end int64) bool {
	last := r.ProvedTime
	if r.Open() {
		last = math.MaxInt64
	}
	return r.Start < end && last >= start
}

// Line gives the row as a line of the ledger.
func (r *Row) Line() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic("audit: " + err.Error()) // plain text and numbers always encode
	}
	return append(b, '\n')
}

// ReadRows reads a ledger: its rows in order of their first lines, each as its
// latest line has it. whole is the number of bytes up to the end of the last row.
// What follows was being written, or was torn by a crash before it was durable,
// and is no row; a line that is none and has rows after it is damage.
func ReadRows(b []byte) (rows []Row, whole int, err error) {
	places := map[Key]int{}
	at := 0
	for n := 1; ; n++ {
		end := bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			return rows, whole, nil
		}
		r, wrong := parseRow(b[at : at+end])
		if at += end + 1; wrong != nil {
			if bytes.IndexByte(b[at:], '\n') < 0 {
				return rows, whole, nil
			}
			return nil, 0, fmt.Errorf("line %d: %w", n, wrong)
		}
		if i, ok := places[r.Key()]; ok {
			rows[i] = r
		} else {
			places[r.Key()] = len(rows)
			rows = append(rows, r)
		}
		whole = at
	}
}

func parseRow(line []byte) (r Row, err error) {
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("not a row: %w", err)
	}
	if r.Venue == "" || r.Symbol == "" || r.Stream == "" || r.FirstSeq == 0 || r.LastSeq < r.FirstSeq {
		return r, errors.New("not a row: venue, symbol, stream, first_seq and last_seq (not before it) are needed")
	}
	return r, nil
}
