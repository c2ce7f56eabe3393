package format

import (
	"bufio"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
)

// jsonSink writes one object per row: in an array, or one per line.
type jsonSink struct {
	w     *bufio.Writer
	array bool
	keys  []string // `"name":`
	rows  int
	line  []byte
	text  []byte
}

func newJSONSink(w *bufio.Writer, schema *arrow.Schema, array bool) *jsonSink {
	s := &jsonSink{w: w, array: array}
	for _, f := range schema.Fields() {
		s.keys = append(s.keys, strconv.Quote(f.Name)+":")
	}
	return s
}

func (s *jsonSink) write(rec arrow.RecordBatch) error {
	all := cells(rec)
	for i := range int(rec.NumRows()) {
		s.line = append(s.line[:0], s.before()...)
		for j := range all {
			s.line = append(s.line, "{,"[min(j, 1)])
			s.line = append(s.line, s.keys[j]...)
			s.value(&all[j], i)
		}
		s.line = append(s.line, '}')
		if !s.array {
			s.line = append(s.line, '\n')
		}
		s.rows++
		if _, err := s.w.Write(s.line); err != nil {
			return err
		}
	}
	return nil
}

// before gives what stands before the next row.
func (s *jsonSink) before() string {
	switch {
	case !s.array:
		return ""
	case s.rows == 0:
		return "[\n"
	}
	return ",\n"
}

func (s *jsonSink) value(c *cell, i int) {
	switch {
	case c.column.IsNull(i):
		s.line = append(s.line, "null"...)
	case !c.text:
		s.line = c.append(s.line, i)
	case c.safe:
		s.line = append(c.append(append(s.line, '"'), i), '"')
	default:
		s.text = c.append(s.text[:0], i)
		s.line = appendQuoted(s.line, s.text)
	}
}

// appendQuoted appends a JSON string.
func appendQuoted(dst, text []byte) []byte {
	for _, b := range text {
		if b < ' ' || b == '"' || b == '\\' || b >= utf8.RuneSelf {
			q, _ := json.Marshal(string(text)) // a string always encodes
			return append(dst, q...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}

func (s *jsonSink) finish() error {
	if !s.array {
		return nil
	}
	end := "\n]\n"
	if s.rows == 0 {
		end = "[]\n"
	}
	_, err := s.w.WriteString(end)
	return err
}
