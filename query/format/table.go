package format

import (
	"bufio"
	"bytes"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
)

// tableRows is how many rows decide the width of the columns together. Later
// rows only ever widen them.
const tableRows = 1000

// tableSink writes aligned columns for people: names first, numbers to the
// right, a null as "-".
type tableSink struct {
	w      *bufio.Writer
	schema *arrow.Schema
	widths []int
}

func (s *tableSink) write(rec arrow.RecordBatch) error {
	all := cells(rec)
	for from := int64(0); from < rec.NumRows(); from += tableRows {
		if err := s.block(all, int(from), int(min(from+tableRows, rec.NumRows()))); err != nil {
			return err
		}
	}
	return nil
}

// block writes rows [from, to).
func (s *tableSink) block(all []cell, from, to int) error {
	texts := make([][]byte, 0, (to-from)*len(all))
	first := s.begin()
	for i := from; i < to; i++ {
		for j := range all {
			text := []byte("-")
			if !all[j].column.IsNull(i) {
				text = all[j].append(nil, i)
			}
			texts = append(texts, text)
			s.widths[j] = max(s.widths[j], utf8.RuneCount(text))
		}
	}
	if first {
		if err := s.names(all); err != nil {
			return err
		}
	}
	for ; len(texts) > 0; texts = texts[len(all):] {
		if err := s.line(all, texts[:len(all)]); err != nil {
			return err
		}
	}
	return nil
}

// begin tells whether nothing was written yet.
func (s *tableSink) begin() bool {
	if s.widths != nil {
		return false
	}
	s.widths = make([]int, s.schema.NumFields())
	for i, f := range s.schema.Fields() {
		s.widths[i] = utf8.RuneCountInString(f.Name)
	}
	return true
}

// names writes the line of names; all is nil when there are no rows.
func (s *tableSink) names(all []cell) error {
	names := make([][]byte, s.schema.NumFields())
	for i, f := range s.schema.Fields() {
		names[i] = []byte(f.Name)
	}
	return s.line(all, names)
}

func (s *tableSink) line(all []cell, texts [][]byte) error {
	var b bytes.Buffer
	for j, text := range texts {
		pad := bytes.Repeat([]byte(" "), s.widths[j]-utf8.RuneCount(text))
		if j > 0 {
			b.WriteString("  ")
		}
		if all != nil && !all[j].left() {
			b.Write(pad)
			b.Write(text)
			continue
		}
		b.Write(text)
		b.Write(pad)
	}
	_, err := s.w.Write(append(bytes.TrimRight(b.Bytes(), " "), '\n'))
	return err
}

// left tells whether the column's values begin at its left edge.
func (c *cell) left() bool {
	_, decimal := c.column.DataType().(arrow.DecimalType)
	return c.text && !decimal
}

func (s *tableSink) finish() error {
	if s.begin() {
		return s.names(nil)
	}
	return nil
}
