package format

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"chronicle/book"
	"chronicle/market"
	"chronicle/query"
)

// WriteBook writes the book of an instrument. A table is a ladder with the asks
// above the bids; JSON and NDJSON are the answer's own object, on one line, with
// prices as decimal strings whatever the price type; the other formats hold one
// wide row of as many levels as were asked for. w is not closed.
func WriteBook(w io.Writer, b *query.BookAnswer, format string, kind query.PriceType) error {
	if err := Check(format); err != nil {
		return err
	}
	kind, err := query.ParsePriceType(string(kind))
	if err != nil {
		return err
	}
	switch format {
	case Table:
		return writeLadder(w, b)
	case JSON, NDJSON:
		text, err := json.Marshal(b)
		if err != nil {
			return err
		}
		_, err = w.Write(append(text, '\n'))
		return err
	}
	rec := b.Record(memory.DefaultAllocator, kind, b.Depth)
	defer rec.Release()
	r, err := array.NewRecordReader(rec.Schema(), []arrow.RecordBatch{rec})
	if err != nil {
		return err
	}
	defer r.Release()
	return Write(w, r, format)
}

// writeLadder writes the times and the levels of a book for people.
func writeLadder(w io.Writer, b *query.BookAnswer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s  %s\n", b.Symbol, b.Condition)
	for _, line := range [][2]string{
		{"at", query.FormatTime(b.At) + " (" + string(b.Clock) + ")"},
		{"ts_event", timeOrNone(b.TsEvent)}, {"ts_recv", timeOrNone(b.TsRecv)}, {"age", age(b)}, {"sequence", fmt.Sprint(b.Sequence)},
	} {
		fmt.Fprintf(out, "%-8s  %s\n", line[0], line[1])
	}
	rows := [][4]string{{"", "price", "size", "count"}}
	asks := slices.Clone(b.Asks)
	slices.Reverse(asks)
	for i, l := range asks {
		rows = append(rows, ladderRow(side("asks", i == 0), l, &b.Definition))
	}
	rows = append(rows, [4]string{"", spread(b), "", ""})
	for i, l := range b.Bids {
		rows = append(rows, ladderRow(side("bids", i == 0), l, &b.Definition))
	}
	out.WriteByte('\n')
	writeAligned(out, rows)
	return out.Flush()
}

func side(name string, first bool) string {
	if first {
		return name
	}
	return ""
}

func timeOrNone(ns int64) string {
	if ns == market.UndefTimestamp {
		return "-"
	}
	return query.FormatTime(ns)
}

// age tells how long before the time asked for the last event was.
func age(b *query.BookAnswer) string {
	if b.Proof.StalenessNs == nil {
		return "-"
	}
	return time.Duration(*b.Proof.StalenessNs).String()
}

func ladderRow(name string, l book.Level, d *market.Definition) [4]string {
	count := ""
	if l.Count > 0 {
		count = fmt.Sprint(l.Count)
	}
	return [4]string{name, market.FormatFixed(l.Price, d.PriceExponent), market.FormatFixed(l.Size, d.SizeExponent), count}
}

// spread is the line between the sides.
func spread(b *query.BookAnswer) string {
	if len(b.Bids) == 0 || len(b.Asks) == 0 {
		return "---"
	}
	return "--- " + market.FormatFixed(b.Asks[0].Price-b.Bids[0].Price, b.Definition.PriceExponent)
}

// writeAligned writes columns: the first to the left, numbers to the right, and
// the line without a size as it is.
func writeAligned(out *bufio.Writer, rows [][4]string) {
	var widths [4]int
	for _, r := range rows {
		for i, text := range r {
			widths[i] = max(widths[i], len(text))
		}
	}
	for _, r := range rows {
		line := fmt.Sprintf("%-*s  %*s  %*s  %*s", widths[0], r[0], widths[1], r[1], widths[2], r[2], widths[3], r[3])
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
